/** Which orders may be let out now. The caller holds the ring's lock; every check that matters is made after its lock. */
import type { PoolClient } from 'pg';
import type { Candidate } from '../../domain/change/admit.js';
import { BEFORE_APPLY } from '../../domain/order/index.js';
import { type EpochMs, MINUTE } from '../../domain/time.js';
import { failedStates } from './budget-halt.js';
import type { Lane } from './lane.js';
import { quoted } from './move-set.js';
import { at } from './rows.js';

/** A mutating order that gives way: of another change, of lower priority, not begun, no permit out. */
const GIVES_WAY = `(h.change_id IS DISTINCT FROM o.change_id AND h.priority < o.priority
  AND h.state IN (${quoted(BEFORE_APPLY)}) AND h.permit_until IS NULL)`;

/** Members of quorum groups that count as away: a mutating order holds them, this change left them broken, or hooks on the server still have to bring them back. */
const AWAY = `
  SELECT m.quorum_id, m.endpoint_id FROM quorum_member m
   WHERE EXISTS (SELECT FROM order_state h WHERE h.endpoint_id = m.endpoint_id AND h.phase = 'holding' AND h.kind IN ('change', 'revert'))
      OR EXISTS (SELECT FROM order_state b WHERE b.change_id = $1 AND b.endpoint_id = m.endpoint_id AND b.kind IN ('change', 'revert')
                    AND NOT b.retried AND (b.state = 'revertFailed' OR b.state = 'failed' AND b.started_at IS NOT NULL))
      OR EXISTS (SELECT FROM order_gate g WHERE g.endpoint_id = m.endpoint_id AND g.state <> 'done' AND g.begun_at IS NOT NULL)`;

/**
 * Walks the queue in its order and stops at the limit: the look at each endpoint is kept from becoming a join of everything
 * (OFFSET 0), and the statement is planned for its values each time, because a plan for any limit sorts the whole queue first.
 * What a ring passes over is marked in the row, so that it is not looked at again each time.
 */
const PICK = `
  WITH full_groups AS MATERIALIZED (
    SELECT q.id FROM quorum_group q
     WHERE $9 AND q.max_unavailable <= (SELECT count(*) FROM (${AWAY}) a WHERE a.quorum_id = q.id))
  SELECT o.id, o.endpoint_id
    FROM order_state o
    JOIN LATERAL (
      SELECT FROM endpoint e
       WHERE e.id = o.endpoint_id AND e.state = 'active' AND NOT e.scan_only AND e.last_seen >= ${at('$5')}
         AND (e.hold_until IS NULL OR e.hold_until <= ${at('$4')}) OFFSET 0) reachable ON true
   WHERE o.change_id = $1 AND o.ring = $2 AND o.kind = $3 AND o.phase = 'waiting'
     AND o.next_open <= ${at('$4')} AND o.next_close > ${at('$4')}
     AND (o.straggler_reason IS NULL OR $10 AND o.straggler_reason NOT LIKE 'content%')
     AND ($6::smallint[] IS NULL OR o.home_ring = ANY ($6))
     AND o.wave <= coalesce(($7::jsonb ->> o.home_ring::text)::int, o.wave)
     AND (NOT $9 OR NOT EXISTS (
       SELECT FROM order_state h WHERE h.endpoint_id = o.endpoint_id AND h.phase = 'holding' AND h.kind IN ('change', 'revert')
          AND NOT ${GIVES_WAY}))
     AND (NOT $9 OR NOT EXISTS (
       SELECT FROM quorum_member m WHERE m.endpoint_id = o.endpoint_id AND m.quorum_id IN (SELECT id FROM full_groups)))
   ORDER BY o.change_id, o.ring, o.kind, o.wave, o.id LIMIT $8`;

const LOCK_GROUPS = `
  SELECT q.id, q.max_unavailable FROM quorum_group q
   WHERE q.id IN (SELECT m.quorum_id FROM quorum_member m WHERE m.endpoint_id = ANY ($1::uuid[]))
   ORDER BY q.id FOR UPDATE`;

/** The second key space of our advisory locks: one holder decides what may hold an endpoint. */
export const ENDPOINT_LOCK = 0x52_4d_65_70;

const LOCK_ORDERS = `
  SELECT o.id, o.endpoint_id, pg_try_advisory_xact_lock(${ENDPOINT_LOCK}, hashtext(o.endpoint_id::text)) AS mine
    FROM order_state o WHERE o.id = ANY ($1::uuid[]) AND o.state = 'pending'
   ORDER BY o.wave, o.id FOR NO KEY UPDATE OF o SKIP LOCKED`;

const HOLDERS = `
  SELECT o.id, h.id AS holder, h.gives_way
    FROM order_state o
   CROSS JOIN LATERAL (
     SELECT h.id, ${GIVES_WAY} AS gives_way FROM order_state h
      WHERE h.endpoint_id = o.endpoint_id AND h.phase = 'holding' AND h.kind IN ('change', 'revert') OFFSET 0) h
   WHERE o.id = ANY ($1::uuid[])`;

const MEMBERS = `
  SELECT m.endpoint_id, m.quorum_id FROM quorum_member m WHERE m.endpoint_id = ANY ($1::uuid[])`;

const AWAY_NOW = `SELECT a.quorum_id, a.endpoint_id FROM (${AWAY}) a WHERE a.quorum_id = ANY ($2::uuid[])`;

export interface Picked {
  readonly candidates: readonly Candidate[];
  /** Endpoints each quorum group can still do without. */
  readonly room: ReadonlyMap<string, number>;
  /** Orders of lower priority that must give way first, by candidate. */
  readonly givingWay: ReadonlyMap<string, string>;
}

/**
 * Finds and locks up to `limit` orders that may be let out: window open, host order reached, endpoint reachable and free (or
 * freed by priority). Quorum groups are locked in id order before anything is counted; orders and endpoints somebody else
 * is at are passed over until the next tick.
 *
 * @param args.homeRings rings whose plan is approved; null: the kind of order needs no approval.
 * @param args.gates the wave each home ring's host order has reached; rings not named have none.
 */
export async function pickCandidates(
  client: PoolClient,
  lane: Lane,
  args: {
    readonly now: EpochMs;
    readonly limit: number;
    readonly homeRings: readonly number[] | null;
    readonly gates: Readonly<Record<string, number>>;
  },
): Promise<Picked> {
  const mutating = lane.target !== 'stage';
  const none: Picked = { candidates: [], room: new Map(), givingWay: new Map() };
  // As an object, which pools that prepare leave as it is.
  const { rows: found } = await client.query({
    text: PICK,
    values: [
      lane.changeId,
      lane.ring,
      lane.target,
      args.now,
      args.now - lane.offlineAfterMinutes * MINUTE,
      args.homeRings,
      JSON.stringify(args.gates),
      args.limit,
      mutating,
      lane.isStragglers,
    ],
  });
  if (found.length === 0) return none;
  const groups = mutating ? await client.query(LOCK_GROUPS, [found.map((row) => row.endpoint_id)]) : { rows: [] };
  const { rows: locked } = await client.query(LOCK_ORDERS, [found.map((row) => row.id)]);
  const mine = locked.filter((row) => row.mine);
  if (mine.length === 0 || !mutating) {
    return { ...none, candidates: mine.map((row) => ({ orderId: row.id, endpointId: row.endpoint_id, groups: [] })) };
  }

  // Later statements than the locks, so that they see whatever committed before those were granted.
  const { rows: holders } = await client.query(HOLDERS, [mine.map((row) => row.id)]);
  const { rows: members } = await client.query(MEMBERS, [mine.map((row) => row.endpoint_id)]);
  const groupIds = groups.rows.map((row) => row.id);
  const { rows: away } = groupIds.length === 0 ? { rows: [] } : await client.query(AWAY_NOW, [lane.changeId, groupIds]);

  const blocked = new Set(holders.filter((row) => !row.gives_way).map((row) => row.id));
  const awayFrom = new Set(away.map((row) => `${row.quorum_id}/${row.endpoint_id}`));
  const room = new Map<string, number>();
  for (const { id, max_unavailable: most } of groups.rows) {
    room.set(id, most - away.filter((row) => row.quorum_id === id).length);
  }
  return {
    candidates: mine
      .filter((row) => !blocked.has(row.id))
      .map((row) => ({
        orderId: row.id,
        endpointId: row.endpoint_id,
        groups: members
          .filter((m) => m.endpoint_id === row.endpoint_id && !awayFrom.has(`${m.quorum_id}/${m.endpoint_id}`))
          .map((m) => m.quorum_id),
      })),
    room,
    givingWay: new Map(holders.filter((row) => row.gives_way).map((row) => [row.id, row.holder])),
  };
}

/**
 * The wave of the host order each home ring has reached: everything of earlier waves settled, and without a failure. Counted
 * over all lanes, for a straggler is as much a part of the order as the rest.
 */
export async function hostOrderGates(client: PoolClient, lane: Lane): Promise<Readonly<Record<string, number>>> {
  const { rows } = await client.query(
    `SELECT home_ring, min(wave)::int AS gate FROM order_state
      WHERE change_id = $1 AND kind = $2 AND NOT retried
        AND (phase <> 'done' OR state IN (${quoted(failedStates(lane.target))}))
      GROUP BY home_ring`,
    [lane.changeId, lane.target],
  );
  return Object.fromEntries(rows.map((row) => [String(row.home_ring), row.gate]));
}

/** Home rings whose plan is the one that was approved for them. */
export async function approvedRings(client: PoolClient, lane: Lane): Promise<readonly number[]> {
  const { rows } = await client.query(
    'SELECT ordinal FROM ring WHERE change_id = $1 AND approved_digest = $2 ORDER BY ordinal',
    [lane.changeId, lane.planDigest],
  );
  return rows.map((row) => row.ordinal);
}
