import { STRAGGLERS } from '../../domain/change/spec.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

export interface Aggregates {
  readonly orders: readonly { readonly kind: string; readonly state: string; readonly count: number }[];
  readonly changes: readonly {
    readonly stage: string;
    readonly waiting: boolean;
    readonly halted: boolean;
    readonly count: number;
  }[];
  readonly endpoints: readonly { readonly state: string; readonly count: number }[];
  /** Endpoints heard of within five minutes, an hour, a day. */
  readonly seen: { readonly fiveMinutes: number; readonly hour: number; readonly day: number };
  readonly outbox: { readonly count: number; readonly oldestSeconds: number };
  /** Mails not yet sent, and how many of them have failed at least once. */
  readonly mail: { readonly count: number; readonly failing: number; readonly oldestSeconds: number };
  /** Audit entries not yet in the chain. */
  readonly unsealed: number;
  /** Requests that wait for people, by whom they wait for: a role, a stakeholder kind, or named accounts. */
  readonly approvals: readonly { readonly from: string; readonly count: number; readonly oldestSeconds: number }[];
  /** Open changes by what holds them: a halt, an approval, a soak, hours of operation; or nothing, they work. */
  readonly waits: readonly { readonly on: string; readonly count: number; readonly oldestSeconds: number }[];
  readonly late: {
    /** Open changes past their deadline. */
    readonly changes: number;
    /** Open rings past theirs. */
    readonly rings: number;
    readonly stragglers: number;
    /** Seconds to the nearest deadline of an open change; null: none is open. */
    readonly nearestDeadlineSeconds: number | null;
  };
  /** What the workers' heartbeat says; read with `workerParts`. */
  readonly heartbeat: unknown;
}

/** Seconds from a time to now (epoch milliseconds). */
const age = (now: string, since: string): string =>
  `extract(epoch FROM to_timestamp(${now} / 1000.0) - ${since})::float8`;

interface One {
  readonly five: number;
  readonly hour: number;
  readonly day: number;
  readonly backlog: number;
  readonly oldest: number | null;
  readonly mails: number;
  readonly failing: number;
  readonly oldestMail: number | null;
  readonly unsealed: number;
  readonly lateChanges: number;
  readonly lateRings: number;
  readonly stragglers: number;
  readonly nearest: number | null;
  readonly heartbeat: unknown;
}

const ONE = `
  SELECT seen.*, out.*, mails.*, changes.*,
         (SELECT count(*) FROM audit_entry WHERE sealed IS NULL) AS unsealed,
         (SELECT count(*) FROM ring r JOIN change c ON c.id = r.change_id
           WHERE c.closed_at IS NULL AND r.state = 'open' AND r.deadline < to_timestamp($1 / 1000.0)) AS "lateRings",
         (SELECT count(*) FROM order_state WHERE ring = ${STRAGGLERS} AND phase = 'waiting') AS stragglers,
         (SELECT value FROM setting WHERE key = 'workerHeartbeat') AS heartbeat
    FROM (SELECT count(*) FILTER (WHERE last_seen > to_timestamp($1 / 1000.0) - interval '5 minutes') AS five,
                 count(*) FILTER (WHERE last_seen > to_timestamp($1 / 1000.0) - interval '1 hour') AS hour,
                 count(*) FILTER (WHERE last_seen > to_timestamp($1 / 1000.0) - interval '1 day') AS day FROM endpoint) seen,
         (SELECT count(*) AS backlog, ${age('$1', 'min(created_at)')} AS oldest FROM outbox WHERE done_at IS NULL) out,
         (SELECT count(*) AS mails, count(*) FILTER (WHERE attempts > 0) AS failing, ${age('$1', 'min(created_at)')} AS "oldestMail"
            FROM mail WHERE sent_at IS NULL) mails,
         (SELECT count(*) FILTER (WHERE deadline < to_timestamp($1 / 1000.0)) AS "lateChanges",
                 -(${age('$1', 'min(deadline)')}) AS nearest FROM change WHERE closed_at IS NULL) changes`;

/** The first reason that holds: a halted change waits for a person, whatever its windows. */
const WAITS = `
  SELECT CASE WHEN c.halted OR EXISTS (SELECT 1 FROM ring r WHERE r.change_id = c.id AND r.halted) THEN 'halt'
              WHEN EXISTS (SELECT 1 FROM approval_request a WHERE a.change_id = c.id AND a.state = 'open') THEN 'approval'
              WHEN EXISTS (SELECT 1 FROM ring r WHERE r.change_id = c.id AND r.state = 'soaking') THEN 'soak'
              WHEN c.waiting_for IS NOT NULL AND EXISTS (SELECT 1 FROM ring r WHERE r.change_id = c.id AND r.state = 'open') THEN 'hours'
              ELSE 'nothing' END AS "on",
         count(*) AS count, ${age('$1', 'min(c.requested_at)')} AS "oldestSeconds"
    FROM change c WHERE c.closed_at IS NULL GROUP BY 1`;

/** Counts by state. Orders of closed changes only grow and say nothing new, so they are left out. */
export async function readAggregates(db: Queryable, now: EpochMs): Promise<Aggregates> {
  const [orders, changes, endpoints, one, approvals, waits] = await Promise.all([
    db.query<{ kind: string; state: string; count: number }>(
      `SELECT o.kind, o.state, count(*) AS count FROM order_state o LEFT JOIN change c ON c.id = o.change_id
        WHERE c.closed_at IS NULL GROUP BY o.kind, o.state`,
    ),
    db.query<{ stage: string; waiting: boolean; halted: boolean; count: number }>(
      `SELECT stage, waiting_for IS NOT NULL AS waiting, halted, count(*) AS count FROM change GROUP BY 1, 2, 3`,
    ),
    db.query<{ state: string; count: number }>('SELECT state, count(*) AS count FROM endpoint GROUP BY state'),
    db.query<One>(ONE, [now]),
    db.query<Aggregates['approvals'][number]>(
      `SELECT coalesce(rule #>> '{from,role}', rule #>> '{from,stakeholder}', 'accounts') AS "from", count(*) AS count,
              ${age('$1', 'min(opened_at)')} AS "oldestSeconds"
         FROM approval_request WHERE state = 'open' GROUP BY 1`,
      [now],
    ),
    db.query<Aggregates['waits'][number]>(WAITS, [now]),
  ]);
  const row = one.rows[0];
  return {
    orders: orders.rows,
    changes: changes.rows,
    endpoints: endpoints.rows,
    seen: { fiveMinutes: row?.five ?? 0, hour: row?.hour ?? 0, day: row?.day ?? 0 },
    outbox: { count: row?.backlog ?? 0, oldestSeconds: Math.max(0, row?.oldest ?? 0) },
    mail: { count: row?.mails ?? 0, failing: row?.failing ?? 0, oldestSeconds: Math.max(0, row?.oldestMail ?? 0) },
    unsealed: row?.unsealed ?? 0,
    approvals: approvals.rows,
    waits: waits.rows,
    late: {
      changes: row?.lateChanges ?? 0,
      rings: row?.lateRings ?? 0,
      stragglers: row?.stragglers ?? 0,
      nearestDeadlineSeconds: row?.nearest ?? null,
    },
    heartbeat: row?.heartbeat,
  };
}
