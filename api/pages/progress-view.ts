/** A change's progress as its page says it: every number in words, every colour with a text. */
import type { Progress, RingProgress } from '../../db/read/progress.js';
import { STRAGGLERS } from '../../domain/change/spec.js';

export const STEPS = [
  ['discover', 'Discover', 'what is missing where'],
  ['obtain', 'Obtain', 'the files, checked'],
  ['test', 'Test', 'on the test group'],
  ['prepare', 'Prepare', 'stage the files'],
  ['deploy', 'Deploy', 'ring by ring'],
  ['confirm', 'Confirm', 'by a scan'],
] as const;

export interface StepView {
  readonly text: string;
  readonly what: string;
  readonly state: 'done' | 'now' | 'to come';
}

export function stepsOf(progress: Pick<Progress, 'stage' | 'outcome'>): readonly StepView[] {
  const closed = progress.stage === 'closed';
  // A change that ended early closed at some step, and nobody wrote down which: only a completed one did them all.
  const complete = progress.outcome === 'completed' || progress.outcome === 'completedWithFailures';
  const at = STEPS.findIndex(([stage]) => stage === progress.stage);
  return STEPS.map(([, text, what], i) => ({
    text,
    what,
    state: closed ? (complete ? 'done' : 'to come') : i < at ? 'done' : i === at ? 'now' : 'to come',
  }));
}

const OUTCOMES: Readonly<Record<string, string>> = {
  completed: 'Completed',
  completedWithFailures: 'Completed, with failures',
  nothingToDo: 'Nothing to do',
  rolledBack: 'Rolled back',
  aborted: 'Aborted',
  expired: 'Ended at its deadline',
  failed: 'Failed',
};
export const outcomeInWords = (outcome: string): string => OUTCOMES[outcome] ?? outcome;

/** One sentence: what happens now, or what it waits for. */
export function waitsFor(progress: Progress): string {
  if (progress.outcome !== null) return `${outcomeInWords(progress.outcome)}.`;
  if (progress.halted) {
    const verb =
      progress.haltVerb === 'abort'
        ? 'Aborted'
        : progress.haltVerb === 'stopAll'
          ? 'Stopped with all changes'
          : 'Paused';
    const then =
      progress.haltVerb === 'abort' ? 'What was begun settles.' : 'Nothing is released until somebody resumes it.';
    return `${verb}${progress.haltedBy === null ? '' : ` by ${progress.haltedBy}`}. ${then}`;
  }
  // Workflows say it in whole sentences: whose ring, what for, and what a person may do about it.
  if (progress.waitingFor !== null) return progress.waitingFor;
  return progress.stage === 'requested' ? 'Is about to start.' : 'Is working.';
}

export interface RingView {
  readonly ordinal: number;
  readonly title: string;
  readonly name: string;
  readonly state: string;
  readonly halted: boolean;
  readonly haltReason: string | null;
  readonly haltedBy: string | null;
  readonly deadline: Date | null;
  readonly openedAt: Date | null;
  readonly numbers: {
    readonly total: number;
    readonly succeeded: number;
    readonly inFlight: number;
    readonly failed: number;
    readonly waiting: number;
    readonly none: number;
  };
  /** Widths of the bar in percent of the total, in the order shown. */
  readonly bar: readonly {
    readonly kind: 'ok' | 'work' | 'bad' | 'none';
    readonly x: number;
    readonly width: number;
  }[];
  readonly spoken: string;
  readonly what: string;
}

const RING_STATES: Readonly<Record<string, string>> = {
  waiting: 'not open yet',
  open: 'open',
  soaking: 'soaking',
  passed: 'passed',
  halted: 'halted',
  rollingBack: 'rolling back',
  rolledBack: 'rolled back',
  failed: 'failed',
  aborted: 'aborted',
};

export function ringView(ring: RingProgress): RingView {
  const kind = ring.targetKind;
  const counts = ring.counts[kind];
  const total = Math.max(counts.total, ring.planned);
  const numbers = {
    total,
    succeeded: counts.succeeded,
    inFlight: counts.inFlight,
    failed: counts.failed,
    none: counts.none,
    waiting: total - counts.succeeded - counts.inFlight - counts.failed - counts.none,
  };
  let x = 0;
  const bar = (
    [
      ['ok', numbers.succeeded],
      ['work', numbers.inFlight],
      ['bad', numbers.failed],
      ['none', numbers.none],
    ] as const
  ).flatMap(([part, n]) => {
    const width = total === 0 ? 0 : Math.round((n / total) * 1_000) / 10;
    const piece = { kind: part, x, width };
    x += width;
    return width > 0 ? [piece] : [];
  });
  const says = (n: number, word: string) => (n > 0 ? [`${n} ${word}`] : []);
  const spoken = [
    `${numbers.succeeded} of ${total} succeeded`,
    ...says(numbers.inFlight, 'in flight'),
    ...says(numbers.failed, 'failed'),
    ...says(numbers.waiting, 'waiting'),
    ...says(numbers.none, 'neither'),
  ].join(', ');
  return {
    ordinal: ring.ordinal,
    title: ring.ordinal === STRAGGLERS ? 'Stragglers' : `Ring ${ring.ordinal}`,
    name: ring.ordinal === STRAGGLERS ? 'caught up later' : ring.name,
    state: RING_STATES[ring.state] ?? ring.state,
    halted: ring.halted,
    haltReason: ring.haltReason,
    haltedBy: ring.haltedBy,
    deadline: ring.deadline,
    openedAt: ring.openedAt,
    numbers,
    bar,
    spoken,
    what: kind === 'revert' ? 'rollback' : kind === 'stage' ? 'staging' : '',
  };
}
