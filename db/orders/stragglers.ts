import type { Pool, PoolClient } from 'pg';
import { STRAGGLERS } from '../../domain/change/spec.js';
import { BEFORE_APPLY, ORDER_STATES, STATE_TRAITS } from '../../domain/order/index.js';
import { type EpochMs, MINUTE, SECOND } from '../../domain/time.js';
import { appendAudit } from '../audit/append.js';
import { mayTalkAt } from '../endpoints/communication.js';
import { inTransaction } from '../pool.js';
import { failedStates, lockRings } from './budget-halt.js';
import type { Lane } from './lane.js';
import { moveOrders, quoted } from './move-set.js';
import { at, wakeEndpoints } from './rows.js';
import { NoSuchRow } from './types.js';

const WORKING = quoted(ORDER_STATES.filter((state) => STATE_TRAITS[state].working));

/** How long an endpoint that was woken has to answer before its silence counts. */
const ANSWER_MS = 20 * SECOND;

/** Silent because we told it to ask rarely, and not woken in vain yet: so it is not known to be offline. */
const ASLEEP = `(e.last_seen < ${at('$5')} AND e.next_poll_at > ${at('$4')}
  AND (o.asked_at IS NULL OR o.asked_at <= e.last_seen OR o.asked_at > ${at('$7')}
       OR EXISTS (SELECT FROM communication_window w WHERE w.endpoint_id = e.id AND w.opens > e.last_seen)))`;

/** It may be talked with now, so that it may be woken. */
const MAY_TALK = mayTalkAt('e.id', at('$4'));

/** Why an endpoint can't be served now, in words for people that begin with a word for programs; null when it can. */
const BLOCKED = `
  CASE WHEN e.state = 'retired' THEN 'retired: ' || coalesce(e.state_reason, 'no reason given')
       WHEN e.state = 'quarantined' THEN 'quarantined: ' || coalesce(e.state_reason, 'no reason given')
       WHEN e.scan_only THEN 'scanOnly: its owner lets it be scanned only'
       WHEN e.hold_until > ${at('$4')} THEN 'held: until ' || to_char(e.hold_until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')
                                              || coalesce(', ' || e.hold_reason, '')
       WHEN e.last_seen IS NULL THEN 'offline: never seen'
       WHEN ${ASLEEP} THEN NULL
       WHEN e.last_seen < ${at('$5')} THEN 'offline: last seen ' || to_char(e.last_seen AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')
  END`;

/**
 * Says of each order that has not begun why its endpoint can't be served, or that it can again, so that such endpoints hold
 * nobody up. Endpoints that may only be asleep are woken first. And takes orders back that wait for an endpoint which is away or whose window is over, before they are fetched.
 * The caller holds the ring's lock.
 */
export async function tidyLane(client: PoolClient, lane: Lane, now: EpochMs): Promise<void> {
  const silentSince = now - lane.offlineAfterMinutes * MINUTE;
  const key = [lane.changeId, lane.ring, lane.target];
  const ofLane = 'o.change_id = $1 AND o.ring = $2 AND o.kind = $3';
  // A null deadline never passes; the stragglers' lane ends with the change, whose deadline expires what is left.
  const deadline = lane.isStragglers || lane.target !== 'change' ? null : lane.deadline;
  const { rows } = await client.query(
    `WITH host_order AS MATERIALIZED (
       SELECT home_ring,
              min(wave) FILTER (WHERE phase <> 'done' OR state IN (${quoted(failedStates(lane.target))})) AS reached,
              min(wave) FILTER (WHERE straggler_reason IS NULL AND state IN ('pending', ${WORKING})) AS moving
         FROM order_state WHERE change_id = $1 AND kind = $3 AND kind <> 'stage' AND NOT retried GROUP BY home_ring),
     why AS (
       SELECT o.id, ${ASLEEP} AND e.state = 'active' AND (o.asked_at IS NULL OR o.asked_at <= e.last_seen) AND ${MAY_TALK} AS ask,
              coalesce(
                ${BLOCKED},
                CASE WHEN $6::bigint <= $4::bigint THEN 'deadline: not begun by the deadline of its ring' END,
                CASE WHEN o.next_open IS NULL AND o.window_reason IS NOT NULL THEN 'windowless: ' || o.window_reason
                     WHEN o.next_open >= ${at('$6')} THEN 'windowless: no window before the deadline of its ring' END,
                CASE WHEN o.state = 'pending' AND h.reached < o.wave AND (h.moving IS NULL OR h.moving >= o.wave)
                     THEN 'hostOrder: endpoints that come before it failed or can''t be served' END,
                CASE WHEN o.kind = 'revert' AND o.phase = 'waiting' AND EXISTS (
                       SELECT FROM order_state s WHERE s.endpoint_id = o.endpoint_id AND s.phase = 'holding' AND s.state = 'stalled')
                     THEN 'stalled: an order of this endpoint began and was not heard of again' END) AS reason
         FROM order_state o JOIN endpoint e ON e.id = o.endpoint_id LEFT JOIN host_order h ON h.home_ring = o.home_ring
        WHERE ${ofLane} AND o.phase IN ('waiting', 'holding') AND o.state IN (${quoted(BEFORE_APPLY)})),
     changed AS (
       SELECT o.id, why.reason, coalesce(why.ask, false) AS ask,
              o.straggler_reason IS DISTINCT FROM why.reason
                AND (o.straggler_reason IS NULL OR o.straggler_reason NOT LIKE 'content%')
                AND (why.reason IS NULL OR o.permit_until IS NULL OR o.permit_until < ${at('$5')}) AS turned
         FROM order_state o JOIN why ON why.id = o.id
        WHERE why.ask
           OR o.straggler_reason IS DISTINCT FROM why.reason
          AND (o.straggler_reason IS NULL OR o.straggler_reason NOT LIKE 'content%')
          AND (why.reason IS NULL OR o.permit_until IS NULL OR o.permit_until < ${at('$5')})
        ORDER BY o.id FOR NO KEY UPDATE OF o SKIP LOCKED)
     UPDATE order_state o
        SET straggler_reason = CASE WHEN c.turned THEN c.reason ELSE o.straggler_reason END,
            asked_at = CASE WHEN c.ask THEN ${at('$4')} ELSE o.asked_at END
       FROM changed c WHERE o.id = c.id
     RETURNING o.endpoint_id, c.ask`,
    [...key, now, silentSince, deadline, now - ANSWER_MS],
  );
  const woken = rows.filter((row) => row.ask).map((row) => row.endpoint_id);
  await wakeEndpoints(client, woken);
  await moveOrders(client, {
    event: 'recall',
    where: `${ofLane} AND o.state = 'released' AND (o.straggler_reason IS NOT NULL OR coalesce(o.next_close, '-infinity') <= ${at('$4')})`,
    values: [...key, now],
    now,
    lock: 'skip',
  });
}

/**
 * Moves what a drained ring leaves behind to the stragglers' lane, each with its reason. Orders the endpoint holds already
 * move with it.
 *
 * @throws NoSuchRow when the change has no stragglers' lane.
 */
export async function moveStragglers(
  pool: Pool,
  args: { readonly changeId: string; readonly ring: number; readonly now: EpochMs },
): Promise<{ readonly moved: number }> {
  return inTransaction(pool, async (client) => {
    await lockRings(client, [args.changeId]);
    const { rows: lane } = await client.query('SELECT 1 FROM ring WHERE change_id = $1 AND ordinal = $2', [
      args.changeId,
      STRAGGLERS,
    ]);
    if (lane.length === 0) throw new NoSuchRow(`change ${args.changeId} has no lane for stragglers`);
    const { rows } = await client.query(
      `WITH moving AS (
         SELECT id, straggler_reason FROM order_state
          WHERE change_id = $1 AND ring = $2 AND kind = 'change' AND straggler_reason IS NOT NULL
            AND phase IN ('waiting', 'holding') AND state IN (${quoted(BEFORE_APPLY)})
          ORDER BY id FOR NO KEY UPDATE),
       moved AS (UPDATE order_state o SET ring = ${STRAGGLERS} FROM moving m WHERE o.id = m.id RETURNING o.id, o.state, o.straggler_reason),
       noted AS (INSERT INTO order_event (order_id, at, actor, event, from_state, to_state, detail)
         SELECT id, ${at('$3')}, 'server', 'straggler', state, state, jsonb_build_object('reason', straggler_reason) FROM moved),
       lane AS (UPDATE ring SET planned = planned + (SELECT count(*) FROM moved)
                 WHERE change_id = $1 AND ordinal = ${STRAGGLERS})
       SELECT id, straggler_reason AS reason FROM moved ORDER BY id`,
      [args.changeId, args.ring, args.now],
    );
    if (rows.length > 0) {
      await appendAudit(client, [
        {
          actor: 'worker',
          action: 'ring.stragglers',
          subject: `change/${args.changeId}`,
          detail: { ring: args.ring, orders: rows },
        },
      ]);
    }
    return { moved: rows.length };
  });
}
