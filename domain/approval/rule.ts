/** Whose approval a ring needs. Plain types; `rule-schema.ts` validates. */
import type { Override } from '../change/override.js';

export type Role = 'Administrator' | 'Manager' | 'Operator' | 'User';
export type StakeholderKind = 'itOwner' | 'user' | 'management' | 'businessOwner';

export type Approvers =
  | { readonly role: Role }
  | { readonly stakeholder: StakeholderKind }
  | { readonly accounts: readonly string[] };

export interface ApprovalRule {
  readonly from: Approvers;
  /** How many distinct people must approve; the requester never counts. One rejection rejects. */
  readonly quorum: number;
  /** Whoever approves by this rule counts for no other rule of the ring, and the other way round. */
  readonly distinctPeople?: boolean | undefined;
  readonly remindEveryMinutes: number;
  readonly escalateAfterMinutes: number;
  readonly escalateTo: Approvers;
  /** Then the request expires and the ring stays shut; it never approves by itself. */
  readonly expireAfterMinutes: number;
  /** Needs a one-time code sent by another way than the mail with the link. */
  readonly highRisk: boolean;
  /** What this approval, and no other, allows to set aside. Added by us from the expedite policy, never read from a request. */
  readonly overrides?: Override | undefined;
}
