/** Orders that are not done, as read along with their endpoint: what a poll is judged by before anything is locked. */
import type { EpochMs } from '../../domain/time.js';
import type { OrderRow } from './rows.js';

export interface OpenOrder extends OrderRow {
  readonly updatedAt: EpochMs;
  /** Open when the installation was restored from a backup, and so perhaps further on its endpoint. */
  readonly restoredAt: EpochMs | null;
  /** When its window opens next; null: not known. */
  readonly nextOpen: EpochMs | null;
}

const ms = (column: string): string => `floor(extract(epoch FROM ${column}) * 1000)`;

/** SQL: an order of `order_state o` in one value, for {@link toOpenOrder}. */
export const OPEN_ORDER = `json_build_array(o.id, o.endpoint_id, o.change_id, o.ring, o.kind, o.state, o.phase, o.seq, o.resume_from,
  ${ms('o.permit_until')}, ${ms('o.updated_at')}, ${ms('o.restored_at')}, ${ms('o.next_open')})`;

type Packed = readonly [
  string,
  string,
  string | null,
  number,
  OpenOrder['kind'],
  OpenOrder['state'],
  OpenOrder['phase'],
  number,
  OpenOrder['resumeFrom'],
  EpochMs | null,
  EpochMs,
  EpochMs | null,
  EpochMs | null,
];

export function toOpenOrder(packed: Packed): OpenOrder {
  const [
    id,
    endpointId,
    changeId,
    ring,
    kind,
    state,
    phase,
    seq,
    resumeFrom,
    permitUntil,
    updatedAt,
    restoredAt,
    nextOpen,
  ] = packed;
  return {
    id,
    endpointId,
    changeId,
    ring,
    kind,
    state,
    phase,
    seq,
    resumeFrom,
    permitUntil,
    updatedAt,
    restoredAt,
    nextOpen,
  };
}
