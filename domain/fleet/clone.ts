/** Signs that two machines share one identity, or that a machine was put back to an earlier copy of its disk. */
import type { EpochMs } from '../time.js';

export interface PollClaim {
  /** When the poll was signed (epoch milliseconds, the agent's estimate of server time). */
  readonly signedAt: EpochMs;
  readonly journalSeq: number;
  readonly bootId: string;
}

export interface KnownIdentity {
  readonly lastSignedAt: EpochMs | null;
  readonly lastJournalSeq: number;
  readonly bootId: string | null;
  readonly earlierBootIds: readonly string[];
}

export type IdentityVerdict =
  | { readonly kind: 'consistent' }
  /** Signed no later than one already judged (a retry that was overtaken, or a replay): says nothing about the machine. */
  | { readonly kind: 'old' }
  | { readonly kind: 'suspect'; readonly reason: string };

/**
 * Judges a poll against what earlier ones told. A boot id is random and never comes back, so one that returns after
 * another means two machines; a journal only grows, so a shorter one means an older copy of it.
 */
export function judgeIdentity(claim: PollClaim, known: KnownIdentity): IdentityVerdict {
  if (known.lastSignedAt !== null && claim.signedAt <= known.lastSignedAt) return { kind: 'old' };
  if (claim.journalSeq < known.lastJournalSeq) {
    return {
      kind: 'suspect',
      reason: `its journal has ${claim.journalSeq} records, but had ${known.lastJournalSeq}: rolled back or cloned`,
    };
  }
  if (claim.bootId !== known.bootId && known.earlierBootIds.includes(claim.bootId)) {
    return { kind: 'suspect', reason: 'two machines use its key: an earlier boot id came back' };
  }
  return { kind: 'consistent' };
}
