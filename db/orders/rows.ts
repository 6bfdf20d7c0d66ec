/** Reading `order_state` rows as the protocol's {@link OrderCore}, and small things every file here needs. */
import type { OrderCore, OrderKind, OrderPhase, OrderState } from '../../domain/order/index.js';
import type { EpochMs } from '../../domain/time.js';
import { mayTalkAt } from '../endpoints/communication.js';
import type { Queryable } from '../pool.js';

export interface OrderRow extends OrderCore {
  readonly id: string;
  readonly endpointId: string;
  readonly changeId: string | null;
  readonly ring: number;
  readonly phase: OrderPhase;
}

/** The columns {@link toOrderRow} reads, of `order_state o`. */
export const ORDER_COLUMNS = `o.id, o.endpoint_id, o.change_id, o.ring, o.kind, o.state, o.phase, o.seq, o.permit_until,
  o.resume_from`;

export function toOrderRow(row: Record<string, unknown>): OrderRow {
  return {
    id: row.id as string,
    endpointId: row.endpoint_id as string,
    changeId: row.change_id as string | null,
    ring: row.ring as number,
    kind: row.kind as OrderKind,
    state: row.state as OrderState,
    phase: row.phase as OrderPhase,
    seq: row.seq as number,
    permitUntil: toEpoch(row.permit_until),
    resumeFrom: row.resume_from as OrderState | null,
  };
}

export function toEpoch(value: unknown): EpochMs | null {
  return value instanceof Date ? value.getTime() : null;
}

/** SQL for an epoch-milliseconds parameter. Goes through an interval: `to_timestamp` of a double loses microseconds. */
export function at(parameter: string): string {
  return `('epoch'::timestamptz + ${parameter}::bigint * interval '1 millisecond')`;
}

/** {@link wakeEndpoints} for what has no window of its own: those that may not be talked with now are left asleep. */
export async function wakeWithinHours(db: Queryable, endpointIds: readonly string[]): Promise<void> {
  if (endpointIds.length === 0) return;
  const { rows } = await db.query<{ id: string }>(
    `SELECT i.id FROM unnest($1::uuid[]) AS i (id) WHERE ${mayTalkAt('i.id', 'now()')}`,
    [endpointIds],
  );
  await wakeEndpoints(
    db,
    rows.map((row) => row.id),
  );
}

/** Endpoints named in one NOTIFY: its payload ends at 8,000 bytes, and an id takes 39. */
const WOKEN_AT_ONCE = 180;
/** Beyond this many at once, everyone is woken instead. */
const MOST_WOKEN = 100 * WOKEN_AT_ONCE;

/** Hints to these endpoints, once the transaction commits, that a poll is worth it. */
export async function wakeEndpoints(db: Queryable, endpointIds: readonly string[]): Promise<void> {
  if (endpointIds.length === 0) return;
  const payloads: string[] = [];
  for (let from = 0; from < endpointIds.length; from += WOKEN_AT_ONCE)
    payloads.push(JSON.stringify(endpointIds.slice(from, from + WOKEN_AT_ONCE)));
  await db.query(`SELECT pg_notify('rm_wake', p) FROM unnest($1::text[]) AS p`, [
    endpointIds.length > MOST_WOKEN ? ['*'] : payloads,
  ]);
}
