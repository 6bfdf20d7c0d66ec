import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { AggregateCache } from './aggregates.js';

export interface Metrics {
  readonly contentType: string;
  readonly text: () => Promise<string>;
}

/** Prometheus text. While the database is away the process's own numbers remain, and `ringmaster_database_up` is 0. */
export function createMetrics(cache: AggregateCache): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name: `ringmaster_${name}`, help, labelNames, registers: [registry] });

  const up = gauge('database_up', 'Whether PostgreSQL answered');
  const orders = gauge('orders', 'Orders of open changes', ['kind', 'state']);
  const changes = gauge('changes', 'Changes by stage; waiting: for a window or a person', [
    'stage',
    'waiting',
    'halted',
  ]);
  const endpoints = gauge('endpoints', 'Endpoints', ['state']);
  const seen = gauge('endpoints_seen', 'Endpoints heard of lately', ['within']);
  const backlog = gauge('outbox_backlog', 'Intents not yet carried to Temporal');
  const oldest = gauge('outbox_oldest_seconds', 'Age of the oldest such intent');
  const approvals = gauge('approval_requests_open', 'Approval requests that wait for people');

  return {
    contentType: registry.contentType,
    text: async () => {
      const now = await cache.read();
      up.set(now === null ? 0 : 1);
      for (const each of [orders, changes, endpoints, seen, backlog, oldest, approvals]) each.reset();
      if (now !== null) {
        for (const { kind, state, count } of now.orders) orders.set({ kind, state }, count);
        for (const { stage, waiting, halted, count } of now.changes) {
          changes.set({ stage, waiting: String(waiting), halted: String(halted) }, count);
        }
        for (const { state, count } of now.endpoints) endpoints.set({ state }, count);
        seen.set({ within: '5m' }, now.seen.fiveMinutes);
        seen.set({ within: '1h' }, now.seen.hour);
        seen.set({ within: '24h' }, now.seen.day);
        backlog.set(now.outbox.count);
        oldest.set(now.outbox.oldestSeconds);
        approvals.set(now.openApprovals);
      }
      return registry.metrics();
    },
  };
}
