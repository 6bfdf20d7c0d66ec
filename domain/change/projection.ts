/**
 * When rings would run and end if nothing failed: windows × orders under way (slow start) × expected time, then soak. Pure
 * arithmetic over what is known now. Approvals take an unknown time and count as given at once; whoever shows the result says so.
 */
import type { Opening } from '../policy/next-opening.js';
import { type EpochMs, MINUTE } from '../time.js';
import { readTerms } from './budget.js';
import { nextPace, SLOW_START } from './pace.js';
import type { RingSpec } from './spec.js';

/** Endpoints under one policy in one zone. */
export interface ProjectedHours {
  /** What one order is expected to take, milliseconds. */
  readonly needMs: number;
  /** The next opening at or after a time. */
  readonly next: (at: EpochMs) => Opening;
}

export interface ProjectedEndpoint {
  readonly id: string;
  readonly wave: number;
  /** Index into the hours. */
  readonly hours: number;
  /** Of its hold; null: none. */
  readonly notBefore: EpochMs | null;
  /** Silent for so long that its ring goes on without it. */
  readonly offline: boolean;
  /** Ids of quorum groups it belongs to. */
  readonly quorums: readonly string[];
}

export interface ProjectedRing {
  /** First order; null when nobody in it can begin. */
  readonly begins: EpochMs | null;
  /** Last order's end. */
  readonly finishes: EpochMs | null;
  /** After the soak: when the next ring may open. */
  readonly passed: EpochMs;
  readonly inRing: number;
  /** Most failures the ring can come to before it halts. */
  readonly worstCaseFailures: number;
}

/** An endpoint that its ring goes on without. */
export interface LeftBehind {
  readonly endpointId: string;
  readonly ring: number;
  /** When it may be caught up; null: not before the change's deadline, or not known. */
  readonly caughtUp: EpochMs | null;
  /** False: it can't make the deadline. */
  readonly inTime: boolean;
  readonly reason: string;
}

export interface Projection {
  readonly rings: readonly ProjectedRing[];
  readonly leftBehind: readonly LeftBehind[];
  /** When the last of what can be foreseen ends. */
  readonly finishes: EpochMs;
}

export interface ProjectionInput {
  readonly now: EpochMs;
  readonly deadline: EpochMs;
  readonly rings: readonly { readonly spec: RingSpec; readonly endpoints: readonly ProjectedEndpoint[] }[];
  readonly hours: readonly ProjectedHours[];
  /** How many members of a quorum group may be unavailable at once, by its id. */
  readonly quorums: ReadonlyMap<string, number>;
}

export function projectRings(input: ProjectionInput): Projection {
  const rings: ProjectedRing[] = [];
  const leftBehind: LeftBehind[] = [];
  let opens = input.now;
  let finishes = input.now;
  for (const [ordinal, { spec, endpoints }] of input.rings.entries()) {
    const ring = projectRing({ input, spec, endpoints, ordinal, opens });
    rings.push(ring.projected);
    leftBehind.push(...ring.leftBehind);
    opens = ring.projected.passed;
    finishes = Math.max(finishes, ring.projected.passed);
  }
  for (const { caughtUp } of leftBehind) finishes = Math.max(finishes, caughtUp ?? 0);
  return { rings, leftBehind, finishes };
}

/**
 * Most failures a ring can come to: the budget may be spent while as many as may be under way still are, and no ring can
 * fail more often than it has endpoints. Terms that can't be read let nothing out.
 */
export function worstCaseFailures(spec: RingSpec, planned: number): number {
  const read = readTerms(spec, planned);
  if (!read.ok) return 0;
  const { failuresAllowed, maxInFlight, disruptionBudget } = read.terms;
  return Math.min(planned, failuresAllowed + maxInFlight, disruptionBudget ?? Number.POSITIVE_INFINITY);
}

interface RingArgs {
  readonly input: ProjectionInput;
  readonly spec: RingSpec;
  readonly endpoints: readonly ProjectedEndpoint[];
  readonly ordinal: number;
  readonly opens: EpochMs;
}

/** Endpoints of one wave that may begin at the same times. */
interface Queue {
  readonly hours: ProjectedHours;
  readonly notBefore: EpochMs;
  readonly left: ProjectedEndpoint[];
  /** The opening last looked up; good for every time up to its last start. */
  opening: Opening;
}

function projectRing(args: RingArgs): { projected: ProjectedRing; leftBehind: LeftBehind[] } {
  const { input, spec, endpoints, opens } = args;
  const end = Math.min(opens + spec.deadlineMinutes * MINUTE, input.deadline);
  const leftBehind: LeftBehind[] = [];
  const ready: ProjectedEndpoint[] = [];
  for (const endpoint of endpoints) {
    const missed = missesRing(args, endpoint, end);
    if (missed === null) ready.push(endpoint);
    else leftBehind.push(missed);
  }
  const run = {
    at: opens,
    begins: null as EpochMs | null,
    finishes: null as EpochMs | null,
    done: 0,
    pace: SLOW_START,
  };
  const waves = [...new Set(ready.map(({ wave }) => wave))].sort((a, b) => a - b);
  for (const wave of waves) {
    const queues = queuesOf(
      input,
      ready.filter((one) => one.wave === wave),
      opens,
    );
    runWave({ ...args, queues, end, run });
    for (const endpoint of queues.flatMap((queue) => queue.left)) leftBehind.push(later(args, endpoint, end));
  }
  const passed = run.finishes === null ? opens : run.finishes + spec.soakMinutes * MINUTE;
  return {
    projected: {
      begins: run.begins,
      finishes: run.finishes,
      passed,
      inRing: run.done,
      worstCaseFailures: worstCaseFailures(spec, endpoints.length),
    },
    leftBehind,
  };
}

interface Run {
  at: EpochMs;
  begins: EpochMs | null;
  finishes: EpochMs | null;
  done: number;
  pace: typeof SLOW_START;
}

/** Round after round: as many as the pace allows begin together, and the next begin when the slowest of them is done. */
function runWave(args: RingArgs & { queues: Queue[]; end: EpochMs; run: Run }): void {
  const { spec, queues, end, run, input } = args;
  for (;;) {
    const waiting = queues.filter((queue) => queue.left.length > 0);
    if (waiting.length === 0) return;
    for (const queue of waiting) lookUp(queue, run.at);
    const room = Math.min(run.pace.concurrency, spec.maxInFlight, spec.disruptionBudget ?? Number.POSITIVE_INFINITY);
    const { picked, takes } = pick(waiting, { at: run.at, end, room, quorums: input.quorums });
    if (picked === 0) {
      const next = Math.min(...waiting.map((queue) => startOf(queue, run.at)));
      if (!(next < end) || next <= run.at) return;
      run.at = next;
      continue;
    }
    run.begins ??= run.at;
    run.done += picked;
    run.at += takes;
    run.finishes = run.at;
    const { maxInFlight } = spec;
    run.pace = nextPace({ pace: run.pace, outcomes: { succeeded: run.done, failed: 0 }, maxInFlight });
  }
}

function pick(
  queues: readonly Queue[],
  args: { at: EpochMs; end: EpochMs; room: number; quorums: ReadonlyMap<string, number> },
): { picked: number; takes: number } {
  const down = new Map<string, number>();
  const hasRoom = (endpoint: ProjectedEndpoint): boolean =>
    endpoint.quorums.every((id) => (down.get(id) ?? 0) < (args.quorums.get(id) ?? Number.POSITIVE_INFINITY));
  let picked = 0;
  let takes = 0;
  if (args.at >= args.end) return { picked, takes };
  for (const queue of queues) {
    const { opening } = queue;
    if ('never' in opening || opening.opens > args.at || queue.notBefore > args.at) continue;
    const blocked: ProjectedEndpoint[] = [];
    while (picked < args.room) {
      const endpoint = queue.left.pop();
      if (endpoint === undefined) break;
      if (!hasRoom(endpoint)) {
        blocked.push(endpoint);
        continue;
      }
      for (const id of endpoint.quorums) down.set(id, (down.get(id) ?? 0) + 1);
      picked += 1;
      takes = Math.max(takes, queue.hours.needMs);
    }
    for (let one = blocked.pop(); one !== undefined; one = blocked.pop()) queue.left.push(one);
  }
  return { picked, takes };
}

function queuesOf(input: ProjectionInput, endpoints: readonly ProjectedEndpoint[], at: EpochMs): Queue[] {
  const queues = new Map<string, Queue>();
  for (const endpoint of endpoints) {
    const notBefore = Math.max(endpoint.notBefore ?? at, at);
    const key = `${endpoint.hours} ${notBefore}`;
    const hours = input.hours[endpoint.hours] as ProjectedHours;
    let queue = queues.get(key);
    if (queue === undefined) {
      queue = { hours, notBefore, left: [], opening: hours.next(notBefore) };
      queues.set(key, queue);
    }
    queue.left.push(endpoint);
  }
  return [...queues.values()];
}

function lookUp(queue: Queue, at: EpochMs): void {
  if ('never' in queue.opening || at <= queue.opening.lastStart) return;
  queue.opening = queue.hours.next(at);
}

const startOf = (queue: Queue, at: EpochMs): EpochMs =>
  'never' in queue.opening ? Number.POSITIVE_INFINITY : Math.max(queue.opening.opens, queue.notBefore, at);

/** What keeps an endpoint out of its ring whatever the others do; null when nothing does. */
function missesRing(args: RingArgs, endpoint: ProjectedEndpoint, end: EpochMs): LeftBehind | null {
  const { input, opens, ordinal } = args;
  const base = { endpointId: endpoint.id, ring: ordinal, caughtUp: null };
  const hours = input.hours[endpoint.hours] as ProjectedHours;
  const start = Math.max(opens, endpoint.notBefore ?? opens);
  const opening = hours.next(start);
  if ('never' in opening) return { ...base, inTime: false, reason: `no window: ${opening.never}` };
  if (opens >= input.deadline)
    return { ...base, inTime: false, reason: 'its ring would open only after the change’s deadline' };
  if (Math.max(opening.opens, start) >= input.deadline)
    return { ...base, inTime: false, reason: 'its next window opens only after the change’s deadline' };
  if (endpoint.offline) return { ...base, inTime: true, reason: 'silent for longer than offlineAfterMinutes' };
  return Math.max(opening.opens, start) >= end ? later(args, endpoint, end) : null;
}

/** For one the ring's deadline passed by: when its next window lets it be caught up. */
function later(args: RingArgs, endpoint: ProjectedEndpoint, end: EpochMs): LeftBehind {
  const { input, ordinal } = args;
  const hours = input.hours[endpoint.hours] as ProjectedHours;
  const start = Math.max(end, endpoint.notBefore ?? end);
  const opening = hours.next(start);
  const base = { endpointId: endpoint.id, ring: ordinal };
  if ('never' in opening)
    return { ...base, caughtUp: null, inTime: false, reason: `no further window: ${opening.never}` };
  const at = Math.max(opening.opens, start);
  if (at >= input.deadline) {
    const reason = 'there is not enough time in its windows before the change’s deadline';
    return { ...base, caughtUp: null, inTime: false, reason };
  }
  return {
    ...base,
    caughtUp: at + hours.needMs,
    inTime: true,
    reason: 'its windows leave no time before the ring’s deadline',
  };
}
