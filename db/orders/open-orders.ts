/** Orders that are not done, as read along with their endpoint: what a poll is judged by before anything is locked. */
import type { EpochMs } from '../../domain/time.js';
import { epochMs } from '../epoch.js';
import type { OrderRow } from './rows.js';

export interface OpenOrder extends OrderRow {
  readonly updatedAt: EpochMs;
  /** Open when the installation was restored from a backup, and so perhaps further on its endpoint. */
  readonly restoredAt: EpochMs | null;
  /** When its window opens next; null: not known. */
  readonly nextOpen: EpochMs | null;
  /** The last start in that window. */
  readonly nextClose: EpochMs | null;
}

/** SQL: an {@link OpenOrder} of `order_state o` as one JSON object. */
export const OPEN_ORDER = `json_build_object('id', o.id, 'endpointId', o.endpoint_id, 'changeId', o.change_id, 'ring', o.ring, 'kind', o.kind,
  'state', o.state, 'phase', o.phase, 'seq', o.seq, 'resumeFrom', o.resume_from, 'permitUntil', ${epochMs('o.permit_until')},
  'updatedAt', ${epochMs('o.updated_at')}, 'restoredAt', ${epochMs('o.restored_at')}, 'nextOpen', ${epochMs('o.next_open')},
  'nextClose', ${epochMs('o.next_close')})`;
