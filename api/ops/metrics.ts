import type { RequestHandler } from 'express';
import type { Pool } from 'pg';
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { stateOfDisk } from '../../domain/server-disk.js';
import type { EpochMs } from '../../domain/time.js';
import type { AggregateCache } from './aggregates.js';
import { measureRequests } from './http-metrics.js';
import { workerHeartbeat, workerParts } from './readiness.js';

export interface Metrics {
  readonly contentType: string;
  readonly text: () => Promise<string>;
  /** To be used before every route. */
  readonly measure: RequestHandler;
}

export interface MetricsDeps {
  readonly cache: AggregateCache;
  readonly pools: readonly Pick<Pool, 'totalCount' | 'idleCount' | 'waitingCount'>[];
  readonly clock: () => EpochMs;
  /** Endpoints that hold a wake-up channel to this process. */
  readonly wakeable: () => number;
}

/**
 * Prometheus text: is it healthy, is it late, who waits (docs/observability.md). While the database is away the process's own
 * numbers remain, and `ringmaster_database_up` is 0. What is read from the database is the same from every replica.
 */
export function createMetrics(deps: MetricsDeps): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const own = gauges(registry);
  return {
    contentType: registry.contentType,
    measure: measureRequests(registry),
    text: async () => {
      const now = await deps.cache.read();
      for (const each of Object.values(own)) each.reset();
      own.up.set(now === null ? 0 : 1);
      const sum = (count: 'totalCount' | 'idleCount' | 'waitingCount') =>
        deps.pools.reduce((total, pool) => total + pool[count], 0);
      own.connections.set({ state: 'busy' }, sum('totalCount') - sum('idleCount'));
      own.connections.set({ state: 'idle' }, sum('idleCount'));
      own.connections.set({ state: 'wanted' }, sum('waitingCount'));
      own.wakeable.set(deps.wakeable());
      if (now !== null) {
        for (const { kind, state, count } of now.orders) own.orders.set({ kind, state }, count);
        for (const { stage, waiting, halted, count } of now.changes) {
          own.changes.set({ stage, waiting: String(waiting), halted: String(halted) }, count);
        }
        for (const { state, count } of now.endpoints) own.endpoints.set({ state }, count);
        own.seen.set({ within: '5m' }, now.seen.fiveMinutes);
        own.seen.set({ within: '1h' }, now.seen.hour);
        own.seen.set({ within: '24h' }, now.seen.day);
        own.outbox.set(now.outbox.count);
        own.outboxOldest.set(now.outbox.oldestSeconds);
        own.mail.set({ state: 'new' }, now.mail.count - now.mail.failing);
        own.mail.set({ state: 'failing' }, now.mail.failing);
        own.mailOldest.set(now.mail.oldestSeconds);
        own.unsealed.set(now.unsealed);
        for (const { from, count, oldestSeconds } of now.approvals) {
          own.approvals.set({ from }, count);
          own.approvalsOldest.set({ from }, oldestSeconds);
        }
        for (const { on, count, oldestSeconds } of now.waits) {
          own.waits.set({ on }, count);
          own.waitsOldest.set({ on }, oldestSeconds);
        }
        own.lateChanges.set(now.late.changes);
        own.lateRings.set(now.late.rings);
        own.stragglers.set(now.late.stragglers);
        if (now.late.nearestDeadlineSeconds !== null) own.deadline.set(now.late.nearestDeadlineSeconds);
        setWorker(own, now.heartbeat, deps.clock());
      }
      return registry.metrics();
    },
  };
}

type Gauges = ReturnType<typeof gauges>;

function gauges(registry: Registry) {
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name: `ringmaster_${name}`, help, labelNames, registers: [registry] });
  return {
    // Is it healthy?
    up: gauge('database_up', 'Whether PostgreSQL answered'),
    connections: gauge('database_connections', 'Connections of this process; wanted: requests that wait for one', [
      'state',
    ]),
    worker: gauge('worker_up', 'Whether a worker has been heard of within 30 s'),
    temporal: gauge('temporal_up', 'Whether the worker reaches Temporal'),
    duty: gauge('duty_idle_seconds', 'Since a background duty of the worker last ran without an error', ['duty']),
    dutyFailing: gauge('duty_failing', 'Whether a background duty of the worker fails now', ['duty']),
    diskFree: gauge('disk_free_bytes', 'Free on a disk of the server', ['disk']),
    diskLow: gauge('disk_low', 'Whether a disk of the server is about to be full', ['disk']),
    outbox: gauge('outbox_backlog', 'Intents not yet carried to Temporal'),
    outboxOldest: gauge('outbox_oldest_seconds', 'Age of the oldest such intent'),
    mail: gauge('mail_backlog', 'Mails not yet sent; failing: tried at least once', ['state']),
    mailOldest: gauge('mail_oldest_seconds', 'Age of the oldest such mail'),
    unsealed: gauge('audit_unsealed', 'Audit entries not yet in the hash chain'),
    wakeable: gauge('wake_connections', 'Endpoints that hold a wake-up channel to this process'),
    endpoints: gauge('endpoints', 'Endpoints', ['state']),
    seen: gauge('endpoints_seen', 'Endpoints heard of lately', ['within']),
    // Is it late?
    orders: gauge('orders', 'Orders of open changes', ['kind', 'state']),
    lateChanges: gauge('changes_past_deadline', 'Open changes past their deadline'),
    lateRings: gauge('rings_past_deadline', 'Open rings past their deadline'),
    deadline: gauge('nearest_deadline_seconds', 'To the nearest deadline of an open change; negative: past it'),
    stragglers: gauge('stragglers', 'Endpoints that missed their ring and wait to be caught up'),
    // Who waits?
    changes: gauge('changes', 'Changes by stage; waiting: for a window or a person', ['stage', 'waiting', 'halted']),
    waits: gauge('changes_waiting', 'Open changes by what holds them', ['on']),
    waitsOldest: gauge('changes_waiting_oldest_seconds', 'Age of the oldest open change held by it', ['on']),
    approvals: gauge('approval_requests_open', 'Approval requests that wait for people', ['from']),
    approvalsOldest: gauge('approval_requests_oldest_seconds', 'Age of the oldest such request', ['from']),
  };
}

function setWorker(own: Gauges, heartbeat: unknown, now: EpochMs): void {
  for (const { name, state } of workerParts(heartbeat, now)) {
    if (name === 'worker') own.worker.set(state === 'up' ? 1 : 0);
    if (name === 'temporal') own.temporal.set(state === 'up' ? 1 : 0);
  }
  const told = workerHeartbeat.safeParse(heartbeat);
  for (const { name, lastRunAt, lastError } of told.data?.duties ?? []) {
    if (lastRunAt !== null) own.duty.set({ duty: name }, Math.max(0, (now - lastRunAt) / 1_000));
    own.dutyFailing.set({ duty: name }, lastError === null ? 0 : 1);
  }
  const reserve = told.data?.diskReserveBytes ?? 0;
  for (const disk of told.data?.disks ?? []) {
    if (disk.freeBytes !== null) own.diskFree.set({ disk: disk.name }, disk.freeBytes);
    const state = stateOfDisk(disk, reserve);
    // Nothing is said of one that can't be looked at: it need not be full.
    if (state !== 'unknown') own.diskLow.set({ disk: disk.name }, state === 'ok' ? 0 : 1);
  }
}
