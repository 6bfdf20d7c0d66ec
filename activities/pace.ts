import { Context } from '@temporalio/activity';
import type { EpochMs } from '../domain/time.js';

/** What a long activity needs of its surroundings; tests bring their own. */
export interface Pace {
  /** Tells Temporal that this attempt lives; `detail` is what the next attempt finds in {@link Pace.left}. */
  heartbeat(detail: unknown): void;
  /** @throws when the activity is cancelled meanwhile. */
  sleep(ms: number): Promise<void>;
  /** What the attempt before this one said last; undefined for the first. */
  readonly left: unknown;
  /** The same for every attempt of one activity, different for every other. */
  readonly key: string | null;
}

/** Inside a Temporal activity. */
export function temporalPace(): Pace {
  const context = Context.current();
  const { workflowExecution, activityId, heartbeatDetails } = context.info;
  return {
    heartbeat: (detail) => context.heartbeat(detail),
    sleep: (ms) => context.sleep(ms),
    left: heartbeatDetails,
    key: `${workflowExecution?.workflowId ?? ''}/${workflowExecution?.runId ?? ''}/${activityId}`,
  };
}

/** Seconds between two heartbeats; well inside the 30 s after which an attempt counts as lost. */
const BEAT_MS = 5_000;

/** Runs `work` while heartbeats go out by themselves: for steps that may take long without a natural pause. */
export async function whileBeating<T>(pace: Pace, detail: unknown, work: () => Promise<T>): Promise<T> {
  const timer = setInterval(() => pace.heartbeat(detail), BEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}

/**
 * Looks again and again until nothing is left or the time is over, whatever comes first. The end survives a restart of
 * the activity: it travels in the heartbeat.
 * @param args.look what is still missing; 0 ends the wait.
 */
export async function waitBounded(args: {
  readonly pace: Pace;
  readonly clock: () => EpochMs;
  readonly minutes: number;
  readonly look: () => Promise<number>;
}): Promise<void> {
  const { pace, clock } = args;
  const left = pace.left as { until?: unknown } | undefined;
  const until = typeof left?.until === 'number' ? left.until : clock() + args.minutes * 60_000;
  for (let pauseMs = 1_000; ; pauseMs = Math.min(pauseMs * 1.5, 5_000)) {
    const missing = await args.look();
    pace.heartbeat({ until, missing });
    if (missing === 0 || clock() >= until) return;
    await pace.sleep(Math.max(1, Math.min(pauseMs, until - clock())));
  }
}
