import type { EpochMs } from '../time.js';

/** The words for programs; `docs/zero-day.md` says what each means, in the order in which they decide. */
export const REASON_CODES = [
  'retired',
  'quarantined',
  'scanOnly',
  'neverScanned',
  'nothingMissing',
  'awaitingReboot',
  'underWay',
  'mayStart',
  'failed',
  'superseded',
  'skipped',
  'hold',
  'noPolicy',
  'excepted',
  'deferred',
  'declined',
  'excluded',
  'notInChange',
  'preparing',
  'halted',
  'approval',
  'earlierRing',
  'soak',
  'offline',
  'clockSkew',
  'localLimits',
  'frozen',
  'noWindow',
  'silent',
  'closed',
  'otherOrder',
  'passedOver',
  'expired',
  'withdrawn',
  'turn',
] as const;

export type ReasonCode = (typeof REASON_CODES)[number];

export interface Reason {
  readonly code: ReasonCode;
  /** For people, with the zone of every time in it; no full stop. */
  readonly text: string;
  readonly since?: EpochMs | undefined;
  /** When it is over, as far as is known. */
  readonly until?: EpochMs | undefined;
}
