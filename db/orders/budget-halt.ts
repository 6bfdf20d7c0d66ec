import { judgeBudget } from '../../domain/change/budget.js';
import { budgetClass, ORDER_STATES, type OrderKind, type OrderState } from '../../domain/order/index.js';
import type { EpochMs } from '../../domain/time.js';
import { appendAudit } from '../audit/append.js';
import type { Queryable } from '../pool.js';
import { stopHandingOut } from './hand-out-lock.js';
import { quoted } from './move-set.js';
import { at } from './rows.js';

/** States in which an order of this kind counts as failed. */
export function failedStates(kind: OrderKind): readonly OrderState[] {
  return ORDER_STATES.filter((state) => budgetClass(kind, state) === 'failed');
}

/** States in which a change order counts as failed. */
export const FAILED_STATES = failedStates('change');

/**
 * Locks every ring of these changes, in the one order all writers use, and shuts out whoever hands out orders of them. Take it
 * before any order row.
 */
export async function lockRings(client: Queryable, changeIds: readonly string[]): Promise<void> {
  await client.query('SELECT 1 FROM ring WHERE change_id = ANY ($1::uuid[]) ORDER BY change_id, ordinal FOR UPDATE', [
    changeIds,
  ]);
  await stopHandingOut(client, changeIds);
}

/**
 * Halts every ring of these changes whose error budget is spent, or can't be read, in the caller's transaction, which holds
 * the rings' locks ({@link lockRings}). When a ring that had passed turns out too bad, what runs after it halts with it.
 *
 * @returns the rings that were halted.
 */
export async function haltSpentRings(
  client: Queryable,
  args: { readonly changeIds: readonly string[]; readonly now: EpochMs },
): Promise<readonly { readonly changeId: string; readonly ring: number; readonly reason: string }[]> {
  const { rows } = await client.query(
    `SELECT r.change_id, r.ordinal, r.spec, r.state, r.planned, r.forgiven_failures, r.halted, coalesce(f.failed, 0) AS failed
       FROM ring r
       LEFT JOIN (SELECT change_id, ring, count(*)::int AS failed FROM order_state
                   WHERE change_id = ANY ($1::uuid[]) AND kind = 'change' AND NOT retried
                     AND state IN (${quoted(FAILED_STATES)})
                   GROUP BY change_id, ring) f ON f.change_id = r.change_id AND f.ring = r.ordinal
      WHERE r.change_id = ANY ($1::uuid[]) AND r.state IN ('open', 'soaking', 'passed') AND r.target_kind = 'change'
      ORDER BY r.change_id, r.ordinal`,
    [args.changeIds],
  );
  const halts = new Map<string, { changeId: string; ring: number; reason: string }>();
  const halt = (row: { change_id: string; ordinal: number; halted: boolean }, reason: string) => {
    const key = `${row.change_id}/${row.ordinal}`;
    if (!row.halted && !halts.has(key)) halts.set(key, { changeId: row.change_id, ring: row.ordinal, reason });
  };
  for (const row of rows) {
    const { spec, planned, failed, forgiven_failures: forgiven } = row;
    const verdict = judgeBudget({ spec, planned, failed, forgiven });
    if (verdict.kind === 'within') continue;
    halt(row, verdict.reason);
    if (row.state !== 'passed') continue;
    const running = rows.filter((other) => other.change_id === row.change_id && other.state !== 'passed');
    for (const other of running) halt(other, `ring ${row.ordinal}, which had passed: ${verdict.reason}`);
  }
  await setHalted(client, { halts: [...halts.values()], by: 'budget', now: args.now });
  return [...halts.values()];
}

/** Writes halts and their audit records. The caller holds the rings' locks. */
export async function setHalted(
  client: Queryable,
  args: {
    readonly halts: readonly { readonly changeId: string; readonly ring: number; readonly reason: string }[];
    readonly by: string;
    readonly now: EpochMs;
  },
): Promise<void> {
  const { halts } = args;
  if (halts.length === 0) return;
  await client.query(
    `UPDATE ring r SET halted = true, halt_reason = h.reason, halted_by = $4, halted_at = ${at('$5')}
       FROM unnest($1::uuid[], $2::smallint[], $3::text[]) AS h (change_id, ordinal, reason)
      WHERE r.change_id = h.change_id AND r.ordinal = h.ordinal`,
    [halts.map((h) => h.changeId), halts.map((h) => h.ring), halts.map((h) => h.reason), args.by, args.now],
  );
  await appendAudit(
    client,
    halts.map((h) => ({
      actor: args.by,
      action: 'ring.halted',
      subject: `change/${h.changeId}`,
      detail: { ring: h.ring, reason: h.reason },
    })),
  );
  await notifyOrders(
    client,
    halts.map((h) => h.changeId),
  );
}

/** Wakes the pumps of these changes, once each, when the transaction commits. */
export async function notifyOrders(client: Queryable, changeIds: readonly string[]): Promise<void> {
  const distinct = [...new Set(changeIds)];
  if (distinct.length === 0) return;
  await client.query(`SELECT pg_notify('rm_orders', id) FROM unnest($1::text[]) AS id`, [distinct]);
}
