/**
 * What must stand behind an update that no package manager takes back (design §5): a snapshot that succeeded right before
 * it, or a second person's word. Read anew from stored documents each time; what can't be read is no net (fail closed).
 */

/** Hooks of this name, or of one that begins with it and a dash, take the snapshot: `snapshot`, `snapshot-lvm`. */
export const SNAPSHOT_HOOK = 'snapshot';

/** Whether a policy has a snapshot taken before each change, and nothing begins when that fails. */
export function takesSnapshot(policy: { readonly hooks: unknown }): boolean {
  if (!Array.isArray(policy.hooks)) return false;
  return policy.hooks.some((hook: unknown) => {
    if (typeof hook !== 'object' || hook === null) return false;
    const { name, when, onFailure } = hook as Readonly<Record<string, unknown>>;
    const isSnapshot = name === SNAPSHOT_HOOK || (typeof name === 'string' && name.startsWith(`${SNAPSHOT_HOOK}-`));
    return isSnapshot && when === 'before' && onFailure === 'fail';
  });
}

/** Whether a ring may carry such updates without a snapshot: only where people are asked, of whom two are then needed. */
export function asksPeople(ring: { readonly approvals: readonly unknown[] }): boolean {
  return ring.approvals.length > 0;
}

/**
 * How many people a rule really asks for: where endpoints of the ring get such updates without a snapshot, a single
 * approval is not enough. A ring with several rules has its second approval already, by people who are then distinct
 * ({@link distinctFor}).
 */
export function quorumFor(args: {
  readonly quorum: number;
  /** Rules of the same ring, this one included. */
  readonly rules: number;
  /** Endpoints of the ring without a way back and without a snapshot. */
  readonly withoutNet: number;
}): number {
  return args.withoutNet > 0 && args.rules < 2 ? Math.max(2, args.quorum) : args.quorum;
}

/** Whether whoever approves by this rule counts for no other of the ring: it says so, or one person's word is not enough. */
export function distinctFor(args: {
  readonly distinctPeople: boolean | undefined;
  readonly withoutNet: number;
}): boolean {
  return args.distinctPeople === true || args.withoutNet > 0;
}
