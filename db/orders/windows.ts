/** Where windows are kept: the next opening of each open order, resolved per policy and zone, never per endpoint. */
import type { Pool } from 'pg';
import type { Override } from '../../domain/change/override.js';
import { BEFORE_APPLY } from '../../domain/order/index.js';
import type { PolicyDocument } from '../../domain/policy/policy-set.js';
import type { EpochMs } from '../../domain/time.js';
import { inTransaction, type Queryable } from '../pool.js';
import { quoted } from './move-set.js';
import { at } from './rows.js';
import type { OrderTarget } from './types.js';

/** What a window matters to: orders that have yet to begin, or to reboot. */
const WAITS = `o.phase IN ('waiting', 'holding') AND o.state IN (${quoted([...BEFORE_APPLY, 'awaitingReboot'])})`;

/** Open orders that share their hours: one policy version, one zone. */
export interface WindowGroup {
  readonly key: number;
  /** Null: the plan names no policy for them. */
  readonly policy: PolicyDocument | null;
  readonly zone: string;
  /** What approved requests of the ring these were planned in allow to set aside. */
  readonly override: Override;
  readonly orderIds: readonly string[];
}

/** When a group's orders may be let out next. */
export type ResolvedWindow =
  | {
      readonly opens: EpochMs;
      /** The close less the time an order is expected to take. */
      readonly lastStart: EpochMs;
      readonly closes: EpochMs;
    }
  | { readonly never: string };

/**
 * What may be set aside for orders planned in ring `h` of change `c`: what the plan in force names, as far as a request of that
 * ring with exactly that rule was approved, and the ring stands approved for this very plan.
 */
const allowed = (what: 'hours' | 'freezes'): string => `coalesce(
  (SELECT (p.header #>> '{budgets,override,${what}}') = 'true' FROM plan p WHERE p.change_id = c.id AND p.revision = c.plan_revision AND p.digest = c.plan_digest)
  AND h.approved_digest = c.plan_digest
  AND EXISTS (SELECT FROM approval_request a WHERE a.id = ANY (h.approvals) AND a.change_id = h.change_id AND a.ring = h.ordinal
                AND a.state = 'approved' AND (a.rule #>> '{overrides,${what}}') = 'true'), false)`;

/** The open orders of a lane, grouped by what decides their window, and whether the ring was told not to wait. */
export async function loadWindowGroups(
  pool: Pool,
  args: { readonly changeId: string; readonly ring: number; readonly target: OrderTarget },
): Promise<{ readonly groups: readonly WindowGroup[]; readonly ignoreWindows: boolean }> {
  const { rows } = await pool.query(
    `WITH allowed AS MATERIALIZED (
       SELECT h.ordinal, ${allowed('hours')} AS hours, ${allowed('freezes')} AS freezes
         FROM ring h JOIN change c ON c.id = h.change_id WHERE h.change_id = $1)
     SELECT p.policy_set_id, p.policy_version, s.document, e.zone, v.hours, v.freezes, array_agg(o.id ORDER BY o.id) AS ids
       FROM order_state o
       LEFT JOIN allowed v ON v.ordinal = o.home_ring AND o.kind = 'change'
       JOIN endpoint e ON e.id = o.endpoint_id
       LEFT JOIN plan_endpoint p ON p.change_id = o.change_id AND p.endpoint_id = o.endpoint_id
       LEFT JOIN policy_set s ON s.id = p.policy_set_id AND s.version = p.policy_version
      WHERE o.change_id = $1 AND o.ring = $2 AND o.kind = $3 AND ${WAITS}
      GROUP BY p.policy_set_id, p.policy_version, s.document, e.zone, v.hours, v.freezes
      ORDER BY p.policy_set_id, p.policy_version, e.zone, v.hours, v.freezes`,
    [args.changeId, args.ring, args.target],
  );
  const { rows: ring } = await pool.query('SELECT ignore_windows FROM ring WHERE change_id = $1 AND ordinal = $2', [
    args.changeId,
    args.ring,
  ]);
  return {
    groups: rows.map((row, key) => ({
      key,
      policy: row.document,
      zone: row.zone,
      override: { hours: row.hours === true, freezes: row.freezes === true },
      orderIds: row.ids,
    })),
    ignoreWindows: ring[0]?.ignore_windows ?? false,
  };
}

/** Freeze calendars by name, as imported; a name that is missing is not in the answer. */
export async function loadFreezeTexts(pool: Queryable, names: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const { rows } = await pool.query('SELECT name, icalendar FROM freeze_calendar WHERE name = ANY ($1::text[])', [
    names,
  ]);
  return new Map(rows.map((row) => [row.name, row.icalendar]));
}

/** Writes each group's window into its orders, in one statement. Orders somebody is at keep theirs until the next time. */
export async function writeWindows(
  pool: Pool,
  resolved: readonly { readonly group: WindowGroup; readonly window: ResolvedWindow }[],
): Promise<void> {
  const orders = resolved.flatMap(({ group }, index) => group.orderIds.map((id) => ({ id, index })));
  if (orders.length === 0) return;
  const windows = resolved.map(({ window }) => ('never' in window ? null : window));
  await inTransaction(pool, (client) =>
    client.query(
      `WITH input AS MATERIALIZED (
         SELECT i.id, ${at('w.opens')} AS opens, ${at('w.last_start')} AS last_start, ${at('w.closes')} AS closes, w.reason
           FROM unnest($1::uuid[], $2::int[]) AS i (id, index)
           JOIN unnest($3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[])
             AS w (index, opens, last_start, closes, reason) ON w.index = i.index),
       mine AS (
         SELECT o.id, i.opens, i.last_start, i.closes, i.reason FROM order_state o JOIN input i ON i.id = o.id
          WHERE ${WAITS}
            AND (o.next_open, o.next_close, o.window_closes, o.window_reason)
                IS DISTINCT FROM (i.opens, i.last_start, i.closes, i.reason)
          ORDER BY o.id FOR NO KEY UPDATE OF o SKIP LOCKED)
       UPDATE order_state o SET next_open = m.opens, next_close = m.last_start, window_closes = m.closes, window_reason = m.reason
         FROM mine m WHERE o.id = m.id`,
      [
        orders.map((o) => o.id),
        orders.map((o) => o.index),
        resolved.map((_, index) => index),
        windows.map((w) => w?.opens ?? null),
        windows.map((w) => w?.lastStart ?? null),
        windows.map((w) => w?.closes ?? null),
        resolved.map(({ window }) => ('never' in window ? window.never : null)),
      ],
    ),
  );
}
