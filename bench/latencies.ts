/** How long people and emergencies wait while a routine cycle runs: zero-day orders, pauses, approvals. */

import { approverOf } from '../demo/approver.js';
import { type Installation, type SimulatedFleet, until } from '../demo/installation.js';
import { CATALOGUE, EXTRAS } from '../sim/catalogue.js';
import { changeOf, ringOf, startCycle } from './cycle.js';
import { round } from './processes.js';

export interface LatencyFigures {
  readonly zeroDayMs: { readonly p50: number; readonly p99: number; readonly samples: readonly number[] };
  /** Of the slowest reply; and what was released after a reply, which must be nothing. */
  readonly pauseMs: number;
  readonly pause: { readonly samples: readonly number[]; readonly releasedAfterReply: number };
  readonly approvalMs: number;
  readonly approval: { readonly samples: readonly number[] };
  /** Whether the routine cycle was still under way when the last sample was taken. */
  readonly routineUnderWay: boolean;
}

interface Args {
  readonly installation: Installation;
  readonly fleet: SimulatedFleet;
  readonly samples: number;
  readonly maxInFlight: number;
}

const PAUSES = 5;
const APPROVALS = 3;

export async function measureLatencies(args: Args): Promise<LatencyFigures> {
  const { installation, fleet } = args;
  // A package that every host has, and an installation slow enough that the cycle outlasts the samples.
  await fleet.ask({ do: 'behave', behaviour: { applyMs: 4_000 } });
  const approver = await approverOf(installation, 'benchmark');
  const common = CATALOGUE.find(({ name }) => name === 'sim-tzdata')?.name ?? 'sim-tzdata';
  const routine = await startCycle(installation, {
    name: 'routine',
    packages: [common],
    maxInFlight: args.maxInFlight,
  });
  await until('the routine cycle to release', 300, async () => (await released(installation, routine.changeId)) > 0);
  await installation.api('PUT', '/v1/expedite-policy', EXPEDITE);
  const zeroDay = [];
  for (const extra of EXTRAS.slice(0, args.samples)) zeroDay.push(await zeroDaySample(args, extra.name));
  const pauses = [];
  for (let n = 0; n < PAUSES; n++) pauses.push(await pauseSample(installation, routine.changeId));
  const approvals = [];
  for (const extra of EXTRAS.slice(-APPROVALS)) approvals.push(await approvalSample(args, approver, extra.name));
  const { rows } = await installation.pool.query('SELECT stage FROM change WHERE id = $1', [routine.changeId]);
  const replies = pauses.map(({ replyMs }) => replyMs);
  // What is measured next is a fleet with nothing to do.
  await installation.api('POST', `/v1/changes/${routine.changeId}/abort`, { reason: 'benchmark' });
  await until('every change to close', 600, async () => {
    const open = await installation.pool.query('SELECT FROM change WHERE closed_at IS NULL LIMIT 1');
    return open.rows.length === 0;
  });
  return {
    zeroDayMs: { p50: percentile(zeroDay, 50), p99: percentile(zeroDay, 99), samples: zeroDay },
    pauseMs: Math.max(...replies),
    pause: { samples: replies, releasedAfterReply: pauses.reduce((sum, one) => sum + one.releasedAfter, 0) },
    approvalMs: percentile(approvals, 50),
    approval: { samples: approvals },
    routineUnderWay: ['test', 'prepare', 'deploy'].includes(rows[0].stage),
  };
}

/** Nobody's leave, one ring: what is measured is the software. */
const EXPEDITE = {
  rings: [ringOf({ name: 'all', sharePercent: 100, maxInFlight: 200 })],
  deadlineMinutes: 600,
  offlineAfterMinutes: 60,
  dueMinutes: 120,
  override: null,
};

/** From the request to the first order of it at an agent that is awake, ms. */
async function zeroDaySample({ installation, fleet }: Args, name: string): Promise<number> {
  const sentAt = Date.now();
  const { changeId } = await installation.api<{ changeId: string }>('POST', '/v1/zero-day', {
    packages: [name],
    reason: 'benchmark',
  });
  return (await firstOrderAfter({ fleet, changeId, after: sentAt })) - sentAt;
}

async function firstOrderAfter(args: { fleet: SimulatedFleet; changeId: string; after: number }): Promise<number> {
  let at: number | undefined;
  await until('an order at an agent', 120, async () => {
    const { orders } = await args.fleet.ask<{ orders: { times: number[] } | null }>({
      do: 'change',
      changeId: args.changeId,
    });
    at = orders?.times.find((time) => time > args.after);
    return at !== undefined;
  });
  return at as number;
}

async function pauseSample(
  installation: Installation,
  changeId: string,
): Promise<{ replyMs: number; releasedAfter: number }> {
  const began = performance.now();
  await installation.api('POST', `/v1/changes/${changeId}/pause`, { reason: 'benchmark' });
  const replyMs = round(performance.now() - began, 1);
  const before = await released(installation, changeId);
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  const releasedAfter = (await released(installation, changeId)) - before;
  await installation.api('POST', `/v1/changes/${changeId}/resume`, { reason: 'benchmark' });
  await until('the cycle to go on', 60, async () => {
    const { rows } = await installation.pool.query(
      'SELECT c.halted OR bool_or(r.halted) AS halted FROM change c JOIN ring r ON r.change_id = c.id WHERE c.id = $1 GROUP BY c.id',
      [changeId],
    );
    return rows[0].halted === false;
  });
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  return { replyMs, releasedAfter };
}

async function released(installation: Installation, changeId: string): Promise<number> {
  const { rows } = await installation.pool.query(
    'SELECT count(*)::int AS n FROM order_state WHERE change_id = $1 AND released_at IS NOT NULL',
    [changeId],
  );
  return rows[0].n;
}

/** From the approver's POST to the first order of the ring it opens, at an agent, ms. */
async function approvalSample(
  { installation, fleet }: Args,
  approver: Awaited<ReturnType<typeof approverOf>>,
  name: string,
): Promise<number> {
  const { id } = await installation.api<{ id: string }>(
    'POST',
    '/v1/changes',
    changeOf({
      name: `approved ${name}`,
      packages: [name],
      priority: 50,
      rings: [
        ringOf({ name: 'first', sharePercent: 1, maxInFlight: 10 }),
        ringOf({ name: 'rest', sharePercent: 100, maxInFlight: 200, approvals: [approver.rule] }),
      ],
    }),
  );
  const form = await approver.formOf(id);
  await until('the ring to wait for its approval alone', 120, async () => {
    const { rows } = await installation.pool.query(
      `SELECT drained_at IS NOT NULL AS drained FROM ring WHERE change_id = $1 AND ordinal = 0`,
      [id],
    );
    return rows[0]?.drained === true;
  });
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const sentAt = Date.now();
  const [at] = await Promise.all([firstOrderAfter({ fleet, changeId: id, after: sentAt }), form.approve()]);
  return at - sentAt;
}

function percentile(samples: readonly number[], percent: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil((percent / 100) * sorted.length) - 1)] ?? 0;
}
