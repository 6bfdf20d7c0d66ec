/** How one endpoint stands to a zero-day, for people: what its reasons come down to. Pure. */
import type { EpochMs } from '../time.js';
import type { Why } from '../why/decide.js';
import type { ReasonCode } from '../why/reason.js';

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
  readonly reason: string;
  readonly until: EpochMs | null;
}

const STATES: Readonly<Record<ReasonCode, ExposureState>> = {
  retired: 'unfit',
  quarantined: 'unfit',
  scanOnly: 'unfit',
  neverScanned: 'unfit',
  // It was told that an update is there and not offered for what is vulnerable: a contradiction that a scan resolves.
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
    return { state: 'outOfScope', reason: 'it is exposed, and out of the scope that was asked for', until: null };
  // What can't be done at all comes before what is not offered.
  if (!offered && !['inProgress', 'unfit', 'noPolicy', 'offline'].includes(state)) {
    return {
      state: 'noFix',
      reason: 'its own package index does not offer the fix yet: it has to look again, or its repository is behind',
      until: null,
    };
  }
  return { state, reason: first?.text ?? why.sentence, until: first?.until ?? null };
}

export interface NextStep {
  readonly action:
    | 'start'
    | 'approve'
    | 'resume'
    | 'retry'
    | 'policy'
    | 'reach'
    | 'scan'
    | 'exceptions'
    | 'widen'
    | 'wait';
  readonly endpoints: number;
  readonly text: string;
}

/** What somebody can do about what is left, the most useful first. */
export function nextSteps(args: {
  readonly id: string;
  readonly counts: Readonly<Record<ExposureState, number>>;
  /** Of those that wait: by reason. */
  readonly waiting: Readonly<Partial<Record<ReasonCode, number>>>;
  /** The change under way; null: none is. */
  readonly openChange: string | null;
  /** Exposed endpoints in scope with a fix on offer that no open change takes care of. */
  readonly startable: number;
}): NextStep[] {
  const { counts, waiting } = args;
  const n = (code: ReasonCode) => waiting[code] ?? 0;
  const steps: NextStep[] = [
    { action: 'start', endpoints: args.startable, text: `start it again: POST /v1/zero-day/${args.id}/start` },
    { action: 'approve', endpoints: n('approval'), text: 'decide on the open approval requests' },
    { action: 'resume', endpoints: n('halted'), text: 'look at why it was stopped, then resume, roll back or abort' },
    { action: 'retry', endpoints: counts.failed, text: 'look at why they failed, then retry-failed' },
    {
      action: 'policy',
      endpoints: counts.noPolicy,
      text: 'put them under a policy set: without one they get no change',
    },
    { action: 'reach', endpoints: counts.offline, text: 'bring them back, or take them off the network' },
    { action: 'scan', endpoints: counts.noFix, text: 'let them scan again, and see to their repositories' },
    {
      action: 'exceptions',
      endpoints: counts.excepted,
      text: 'they stay exposed by an exception, a deferral or their owner’s word: accept it or lift it',
    },
    { action: 'widen', endpoints: counts.outOfScope, text: 'ask for a zero-day without scope to have them fixed, too' },
    {
      action: 'wait',
      endpoints: n('frozen') + n('closed') + n('hold'),
      text: 'wait for the times told, or start again with an override where the policy allows it',
    },
  ];
  return steps.filter((step) => step.endpoints > 0);
}
