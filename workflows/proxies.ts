/** Activities as workflows see them: one proxy per time-out profile. Types only; implementations live in the worker. */
import { proxyActivities, proxyLocalActivities } from '@temporalio/workflow';
import type { Activities } from '../activities/contract.js';

const patient = { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '1m' } as const;

/**
 * A few rows. Retried until it works: a database that is away is waited for, visibly. What a worker took down with it is
 * taken up again after the time-out, so it is short.
 */
export const quick = proxyActivities<Activities>({ startToCloseTimeout: '15s', retry: patient });

/**
 * Steps of {@link quick} and {@link bulk} for a change that hurries: done within the workflow's own task, for a round through
 * the server is what each of them would mostly wait for. What is said to the workflow meanwhile is heard after them.
 */
export const withinTask = proxyLocalActivities<Activities>({ startToCloseTimeout: '2m', retry: patient });

/** A statement or a few over every row of a ring or change: seconds for a large fleet. */
export const bulk = proxyActivities<Activities>({ startToCloseTimeout: '2m', retry: patient });

/**
 * Works or watches for minutes to days and heartbeats all along. An attempt that stops heartbeating is replaced after
 * 30 s; should it still live, the ring's epoch fences it off.
 */
export const watched = proxyActivities<Activities>({
  startToCloseTimeout: '30d',
  heartbeatTimeout: '30s',
  retry: patient,
});
