/** One statement that writes what a batch of reports did: states, events, facts and one wake-up per change. */
import type { PoolClient } from 'pg';
import type { OrderCore, OrderState } from '../../domain/order/index.js';
import { isSettled, STATE_TRAITS } from '../../domain/order/index.js';
import type { EpochMs } from '../../domain/time.js';
import type { AgentReport } from '../../protocol/messages.js';
import type { FoldStep } from './fold-reports.js';
import { at } from './rows.js';

export interface OrderChange {
  readonly id: string;
  readonly order: OrderCore;
  readonly steps: readonly FoldStep[];
  /** Server events that went with it, as event rows. */
  readonly serverEvents?: readonly { readonly event: string; readonly detail: Readonly<Record<string, unknown>> }[];
}

/** How an order that ended is listed: the word of its last step where the state says less. */
const OUTCOMES: Readonly<Partial<Record<AgentReport['type'], string>>> = {
  satisfied: 'satisfied',
  moot: 'moot',
  decline: 'declined',
  refuse: 'refused',
};

const MOVE = `
  WITH input AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset($1::jsonb) AS i (id uuid, state text, phase text, seq int, permit_until bigint,
      resume_from text, outcome text, reason text, keeps_reason boolean, started_at bigint,
      taken_back boolean, settled boolean)),
  moved AS (
    UPDATE order_state o
       SET state = i.state, phase = i.phase, seq = i.seq, permit_until = ${at('i.permit_until')}, resume_from = i.resume_from,
           outcome = i.outcome, reason = coalesce(i.reason, CASE WHEN i.keeps_reason THEN o.reason END), updated_at = ${at('$3')},
           started_at = coalesce(CASE WHEN NOT i.taken_back THEN o.started_at END, ${at('i.started_at')}),
           window_kept = coalesce(CASE WHEN NOT i.taken_back THEN o.window_kept END,
             ${at('i.started_at')} >= o.next_open AND ${at('i.started_at')} <= o.next_close),
           settled_at = CASE WHEN i.settled THEN coalesce(o.settled_at, ${at('$3')}) END
      FROM input i WHERE o.id = i.id
    RETURNING o.id, o.endpoint_id, o.change_id, o.kind, o.phase, o.state, o.outcome, o.content_digest,
              o.next_open, o.window_closes, o.window_kept),
  noted AS (
    INSERT INTO order_event (order_id, at, actor, event, seq, from_state, to_state, detail)
    SELECT e.order_id, ${at('$3')}, e.actor, e.event, e.seq, e.from_state, e.to_state, e.detail
      FROM jsonb_to_recordset($2::jsonb) AS e (order_id uuid, actor text, event text, seq int, from_state text, to_state text,
                                               detail jsonb))`;

const WAKE = `
  SELECT pg_notify('rm_orders', c.change_id::text) FROM (SELECT DISTINCT change_id FROM moved WHERE change_id IS NOT NULL) c`;

const WRITE = `${MOVE} ${WAKE}`;

/** What reports will need (design §12): how each update of the order's set ended on its endpoint, and whether in its window. */
const WRITE_SETTLED = `${MOVE},
  facts AS (
    UPDATE update_fact f
       SET outcome = coalesce(m.outcome, m.state), change_id = m.change_id, order_id = m.id,
           applied_at = CASE WHEN m.kind = 'change' AND m.state = 'succeeded' AND m.outcome IS NULL THEN ${at('$3')}
                             WHEN m.kind = 'revert' AND m.state = 'reverted' THEN NULL ELSE f.applied_at END,
           window_opens = m.next_open, window_closes = m.window_closes,
           window_kept = m.window_kept
      FROM moved m JOIN update_set u ON u.digest = m.content_digest
     CROSS JOIN LATERAL jsonb_array_elements(u.items) AS item
     WHERE m.kind IN ('change', 'revert') AND m.phase = 'done'
       AND f.endpoint_id = m.endpoint_id AND f.name = item ->> 'name' AND f.arch = item ->> 'arch' AND f.version = item ->> 'to')
  ${WAKE}`;

/** Writes the changes. The caller holds the locks of their rows. */
export async function writeReports(
  client: PoolClient,
  args: { readonly changes: readonly OrderChange[]; readonly now: EpochMs },
): Promise<void> {
  const { changes, now } = args;
  if (changes.length === 0) return;
  const ended = changes.some(({ order }) => STATE_TRAITS[order.state].phase === 'done');
  await client.query(ended ? WRITE_SETTLED : WRITE, [
    JSON.stringify(changes.map((change) => stateOf(change, now))),
    JSON.stringify(changes.flatMap(eventsOf)),
    now,
  ]);
}

function stateOf({ id, order, steps }: OrderChange, now: EpochMs) {
  const taken = steps.filter((step) => step.refused === null);
  const last = taken.findLast((step) => step.event.type !== 'note');
  const turn = taken.findLast(({ event }) => event.type === 'notBegun' || starts(order, event));
  const started = turn !== undefined && starts(order, turn.event) ? turn : undefined;
  return {
    id,
    state: order.state,
    phase: STATE_TRAITS[order.state].phase,
    seq: order.seq,
    permit_until: order.permitUntil,
    resume_from: order.resumeFrom,
    outcome: last === undefined ? null : (OUTCOMES[last.event.type] ?? null),
    ...reasonNow(order, taken),
    // By the server's clock: the agent's estimate is an upper bound, and never later than its arrival.
    started_at: started === undefined ? null : Math.min(started.event.at, now),
    // Whatever started before these reports; one that came after it, among them, is `started`.
    taken_back: taken.some(({ event }) => event.type === 'notBegun'),
    settled: isSettled(order.state),
  };
}

const starts = (order: Pick<OrderCore, 'kind'>, event: AgentReport): boolean =>
  event.type === 'apply' || (event.type === 'revertBegun' && order.kind === 'revert');

function eventsOf({ id, steps, order, serverEvents = [] }: OrderChange) {
  const row = (step: { from: OrderState; to: OrderState }, rest: object) => ({
    order_id: id,
    from_state: step.from,
    to_state: step.to,
    ...rest,
  });
  return [
    ...steps.map((step) => {
      const { type, seq, at: said, detail, ...facts } = step.event;
      return row(step, {
        actor: 'agent',
        event: type,
        seq,
        detail: { ...facts, ...detail, at: said, ...(step.refused !== null && { refused: step.refused }) },
      });
    }),
    ...serverEvents.map(({ event, detail }) =>
      row({ from: order.state, to: order.state }, { actor: 'server', event, detail }),
    ),
  ];
}

/** A note changes nothing; and what went back by itself keeps why: "reverted" alone tells nobody what was wrong. */
function reasonNow(order: OrderCore, taken: readonly FoldStep[]): { reason: string | null; keeps_reason: boolean } {
  const undone = order.kind === 'change' && order.state === 'reverted';
  const telling = taken.findLast(({ event }) => (undone ? event.type === 'revertBegun' : event.type !== 'note'));
  return {
    reason: telling === undefined ? null : reasonOf(telling.event),
    keeps_reason: undone || telling === undefined,
  };
}

function reasonOf(event: AgentReport): string | null {
  if ('reason' in event) return event.reason;
  return 'cause' in event ? event.cause : null;
}
