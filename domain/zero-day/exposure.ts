/** How one endpoint stands to a zero-day, for people: what its reasons come down to. */
import type { EpochMs } from '../time.js';
import type { Why } from '../why/decide.js';
import type { Reason, ReasonCode } from '../why/reason.js';

export const EXPOSURE_STATES = [
  /** A scan proves that nothing vulnerable is left. */
  'fixed',
  'inProgress',
  /** Something has to happen first; the reason says what, and until when. */
  'waiting',
  'failed',
  'offline',
  'excepted',
  'noPolicy',
  /** Its own package index offers no fix yet. */
  'noFix',
  /** Quarantined, for scans only, or never scanned: nothing can be done there. */
  'unfit',
  'outOfScope',
] as const;
export type ExposureState = (typeof EXPOSURE_STATES)[number];

export interface Exposure {
  readonly state: ExposureState;
  /** What decides; null where its reasons play no part. */
  readonly code: ReasonCode | null;
  /** For people; no full stop. */
  readonly reason: string;
  readonly since: EpochMs | null;
  /** When that is over, as far as is known. */
  readonly until: EpochMs | null;
}

const STATES: Readonly<Record<ReasonCode, ExposureState>> = {
  retired: 'unfit',
  quarantined: 'unfit',
  scanOnly: 'unfit',
  neverScanned: 'unfit',
  // Its index offers nothing for what is vulnerable.
  nothingMissing: 'noFix',
  awaitingReboot: 'inProgress',
  underWay: 'inProgress',
  mayStart: 'inProgress',
  failed: 'failed',
  superseded: 'waiting',
  skipped: 'excepted',
  hold: 'waiting',
  noPolicy: 'noPolicy',
  excepted: 'excepted',
  deferred: 'excepted',
  declined: 'excepted',
  excluded: 'waiting',
  notInChange: 'waiting',
  preparing: 'inProgress',
  halted: 'waiting',
  approval: 'waiting',
  earlierRing: 'waiting',
  soak: 'waiting',
  offline: 'offline',
  clockSkew: 'waiting',
  localLimits: 'waiting',
  frozen: 'waiting',
  noWindow: 'waiting',
  silent: 'waiting',
  closed: 'waiting',
  otherOrder: 'waiting',
  passedOver: 'waiting',
  expired: 'waiting',
  withdrawn: 'waiting',
  turn: 'inProgress',
};

/** Of an endpoint that still has something vulnerable. */
export function exposureOf(args: {
  readonly why: Why;
  /** Its own index offers a fix of all that is vulnerable there. */
  readonly offered: boolean;
  readonly inScope: boolean;
}): Exposure {
  const { why, offered, inScope } = args;
  const [first] = why.chain;
  const state = STATES[why.code];
  if (!inScope && state !== 'inProgress')
    return standing('outOfScope', 'it is exposed, and out of the scope that was asked for');
  // What can't be done at all comes before what is not offered; nobody out of reach looks for a fix either.
  if (!offered && !['inProgress', 'unfit', 'noPolicy'].includes(state)) {
    const offline = why.chain.find((reason) => reason.code === 'offline');
    if (offline !== undefined) return told('offline', offline);
    return standing(
      'noFix',
      'its own package index does not offer the fix yet: it has been asked to look again, or its repository is behind',
    );
  }
  return first === undefined ? standing(state, why.sentence) : told(state, first);
}

const standing = (state: ExposureState, reason: string): Exposure => ({
  state,
  code: null,
  reason,
  since: null,
  until: null,
});

const told = (state: ExposureState, reason: Reason): Exposure => ({
  state,
  code: reason.code,
  reason: reason.text,
  since: reason.since ?? null,
  until: reason.until ?? null,
});

/** Of an endpoint that has nothing vulnerable left. */
export const proven = (at: EpochMs | null): Exposure => ({
  ...standing('fixed', at === null ? 'its last scan shows nothing vulnerable' : 'a scan proved it fixed'),
  since: at,
});

export const NEXT_STEPS = [
  'start',
  'approve',
  'resume',
  'retry',
  'policy',
  'reach',
  'scan',
  'exceptions',
  'widen',
  'wait',
] as const;

export interface NextStep {
  readonly action: (typeof NEXT_STEPS)[number];
  readonly endpoints: number;
  readonly text: string;
}

/** What somebody can do about what is left, the most useful first. */
function nextSteps(args: {
  readonly id: string;
  readonly counts: Standing['byState'];
  /** By what decides. */
  readonly codes: Readonly<Partial<Record<ReasonCode, number>>>;
  /** Exposed endpoints in scope with a fix on offer that no open change takes care of. */
  readonly startable: number;
}): NextStep[] {
  const { counts, codes } = args;
  const n = (code: ReasonCode) => codes[code] ?? 0;
  const of = (state: ExposureState) => counts[state] ?? 0;
  const steps: NextStep[] = [
    { action: 'start', endpoints: args.startable, text: `start it again: POST /v1/zero-day/${args.id}/start` },
    { action: 'approve', endpoints: n('approval'), text: 'decide on the open approval requests' },
    { action: 'resume', endpoints: n('halted'), text: 'look at why it was stopped, then resume, roll back or abort' },
    { action: 'retry', endpoints: of('failed'), text: 'look at why they failed, then retry-failed' },
    {
      action: 'policy',
      endpoints: of('noPolicy'),
      text: 'put them under a policy set: without one they get no change',
    },
    { action: 'reach', endpoints: of('offline'), text: 'bring them back, or take them off the network' },
    { action: 'scan', endpoints: of('noFix'), text: 'let them scan again, and see to their repositories' },
    {
      action: 'exceptions',
      endpoints: of('excepted'),
      text: 'they stay exposed by an exception, a deferral or their owner’s word: accept it or lift it',
    },
    { action: 'widen', endpoints: of('outOfScope'), text: 'ask for a zero-day without scope to have them fixed, too' },
    {
      action: 'wait',
      endpoints: n('frozen') + n('closed') + n('hold'),
      text: 'wait for the times told, or start again with an override where the policy allows it',
    },
  ];
  return steps.filter((step) => step.endpoints > 0);
}

/** What its changes can no longer fix, and another one could. */
const RESTARTABLE: readonly (ReasonCode | null)[] = ['notInChange', 'failed', 'superseded', 'expired', 'withdrawn'];

/** Whether starting the zero-day again would help. */
export const isStartable = (
  one: Pick<Exposure, 'code'> & { readonly offered: boolean; readonly taken: boolean },
): boolean => one.offered && !one.taken && RESTARTABLE.includes(one.code);

export interface Standing {
  /** How many are exposed. */
  readonly counted: number;
  readonly byState: Readonly<Partial<Record<ExposureState, number>>>;
  /** By what decides. */
  readonly byReason: Readonly<Partial<Record<ReasonCode, number>>>;
  readonly nextSteps: readonly NextStep[];
}

/** What a list of exposed endpoints comes down to. */
export function standingOf(args: {
  readonly id: string;
  readonly exposed: readonly (Pick<Exposure, 'state' | 'code'> & {
    readonly offered: boolean;
    readonly taken: boolean;
    /** How many are like that. */
    readonly endpoints: number;
  })[];
}): Standing {
  const byState: Partial<Record<ExposureState, number>> = {};
  const byReason: Partial<Record<ReasonCode, number>> = {};
  const sum = (some: typeof args.exposed) => some.reduce((all, { endpoints }) => all + endpoints, 0);
  for (const { state, code, endpoints } of args.exposed) {
    byState[state] = (byState[state] ?? 0) + endpoints;
    if (code !== null) byReason[code] = (byReason[code] ?? 0) + endpoints;
  }
  const startable = sum(args.exposed.filter(isStartable));
  return {
    counted: sum(args.exposed),
    byState,
    byReason,
    nextSteps: nextSteps({ id: args.id, counts: byState, codes: byReason, startable }),
  };
}
