import type { ChildWorkflowHandle } from '@temporalio/workflow';
import {
  ApplicationFailure,
  condition,
  ParentClosePolicy,
  startChild,
  WorkflowIdReusePolicy,
} from '@temporalio/workflow';
import type { RingSpec } from '../domain/change/spec.js';
import { STRAGGLERS } from '../domain/change/spec.js';
import { ringWorkflowId } from './ids.js';
import { childAttributes } from './lists.js';
import type { ChangeInput, RingInput, RingMode, RingResult, RingWord, RollbackOrder } from './messages.js';
import { RING_WORD_SIGNAL } from './messages.js';
import { quick } from './proxies.js';
import type { ring } from './ring.js';

interface Run {
  readonly ordinal: number;
  readonly handle: ChildWorkflowHandle<typeof ring>;
  readonly result: Promise<RingResult>;
  ended: boolean;
}

/** The rings of one change as child workflows: which ran, which runs, and what each is told. */
export class RingChildren {
  private readonly runs: Run[] = [];
  private readonly attempts = new Map<number, number>();
  private readonly states = new Map<number, string>();
  private approvedDigest = '';
  private approvals: readonly string[] = [];
  private starting = 0;

  constructor(private readonly input: ChangeInput) {}

  async rollOut(args: {
    readonly ordinal: number;
    readonly approvedDigest: string;
    readonly approvals: readonly string[];
  }): Promise<RingResult> {
    this.approvedDigest = args.approvedDigest;
    this.approvals = args.approvals;
    return this.outcomeOf(await this.start({ ordinal: args.ordinal, mode: 'rollout' }));
  }

  /** Opens the lane once; told again that there is more, it looks again. */
  async openStragglersLane(approvedDigest: string): Promise<void> {
    this.approvedDigest = approvedDigest;
    if (this.running(STRAGGLERS) === undefined) await this.start({ ordinal: STRAGGLERS, mode: 'rollout' });
    else await this.say(STRAGGLERS, { word: 'poke' });
  }

  async closeStragglersLane(): Promise<RingResult | null> {
    const lane = this.running(STRAGGLERS);
    if (lane === undefined) return null;
    await this.say(STRAGGLERS, { word: 'lastCall' });
    return this.outcomeOf(lane);
  }

  async rollBack(args: { readonly ordinal: number; readonly order: RollbackOrder }): Promise<RingResult> {
    return this.outcomeOf(await this.start({ ordinal: args.ordinal, mode: 'rollback', rollback: args.order }));
  }

  /** Rolls back one ring: the running one by word, an earlier one by a run of its own beside whatever runs. */
  async rollBackOne(args: { readonly ordinal: number; readonly order: RollbackOrder }): Promise<string> {
    if (this.running(args.ordinal) !== undefined) {
      await this.say(args.ordinal, { word: 'rollback', order: args.order });
      return `ring ${args.ordinal} is being rolled back`;
    }
    if (!this.attempts.has(args.ordinal))
      throw ApplicationFailure.nonRetryable(`ring ${args.ordinal} has not been opened`);
    await quick.clearHalt({ changeId: this.input.changeId, ring: args.ordinal, by: args.order.by });
    await this.start({ ordinal: args.ordinal, mode: 'rollback', rollback: args.order });
    return `ring ${args.ordinal} is being rolled back`;
  }

  /** Lets a ring take up orders added to it: a running one looks again, a finished one gets a run of its own. */
  async goOnWith(args: { readonly ordinal: number; readonly approvedDigest: string }): Promise<void> {
    this.approvedDigest = args.approvedDigest;
    if (this.running(args.ordinal) !== undefined) await this.say(args.ordinal, { word: 'poke' });
    else await this.start({ ordinal: args.ordinal, mode: 'retry' });
  }

  async say(ordinal: number, word: RingWord): Promise<void> {
    const run = this.running(ordinal);
    if (run === undefined) return;
    // A ring may end between our look and our word; then there is nobody left to tell.
    await run.handle.signal(RING_WORD_SIGNAL, word).catch((error: unknown) => {
      if (!run.ended) throw error;
    });
  }

  async sayAll(word: RingWord): Promise<void> {
    await Promise.all(this.runs.filter((r) => !r.ended).map((r) => this.say(r.ordinal, word)));
  }

  async sayRunning(word: RingWord): Promise<void> {
    await Promise.all(
      this.runs.filter((r) => !r.ended && r.ordinal !== STRAGGLERS).map((r) => this.say(r.ordinal, word)),
    );
  }

  async allEnded(): Promise<void> {
    await condition(() => this.runs.every((r) => r.ended));
  }

  anyRunning(): boolean {
    return this.starting > 0 || this.runs.some((r) => !r.ended);
  }

  anyRunningButStragglers(): boolean {
    return this.starting > 0 || this.runs.some((r) => !r.ended && r.ordinal !== STRAGGLERS);
  }

  openedLastFirst(): readonly number[] {
    const undone = [...this.states].filter(([, state]) => state === 'rolledBack').map(([ordinal]) => ordinal);
    return [...this.attempts.keys()].filter((o) => o !== STRAGGLERS && !undone.includes(o)).sort((a, b) => b - a);
  }

  stateOf(ordinal: number): string {
    return this.states.get(ordinal) ?? 'waiting';
  }

  private running(ordinal: number): Run | undefined {
    return this.runs.find((r) => r.ordinal === ordinal && !r.ended);
  }

  private async start(args: {
    readonly ordinal: number;
    readonly mode: RingMode;
    readonly rollback?: RollbackOrder;
  }): Promise<Run> {
    const attempt = (this.attempts.get(args.ordinal) ?? 0) + 1;
    this.attempts.set(args.ordinal, attempt);
    const spec = this.specOf(args.ordinal);
    const message: RingInput = {
      changeId: this.input.changeId,
      ordinal: args.ordinal,
      of: this.input.spec.rings.length,
      spec,
      mode: args.mode,
      approvedDigest: this.approvedDigest,
      approvals: this.approvals,
      deadline: this.input.deadline,
      ...(this.input.expedited === true ? { expedited: true } : {}),
      ...(args.rollback === undefined ? {} : { rollback: args.rollback }),
    };
    this.starting += 1;
    const handle = await startChild<typeof ring>('ring', {
      workflowId: ringWorkflowId({ changeId: this.input.changeId, ring: args.ordinal, attempt }),
      workflowIdReusePolicy: WorkflowIdReusePolicy.REJECT_DUPLICATE,
      parentClosePolicy: ParentClosePolicy.ABANDON,
      staticSummary: args.ordinal === STRAGGLERS ? 'Stragglers' : `Ring ${args.ordinal} (${spec.name}): ${args.mode}`,
      ...childAttributes(args.mode === 'rollback' ? 'rollback' : 'worker'),
      args: [message],
    }).finally(() => {
      this.starting -= 1;
    });
    this.states.set(args.ordinal, args.mode === 'rollback' ? 'rollingBack' : 'open');
    const run: Run = { ordinal: args.ordinal, handle, result: handle.result(), ended: false };
    this.runs.push(run);
    // Marked here, so that nobody speaks to a ring that has ended even while its result waits to be read.
    run.result.then(
      (result) => this.ended(run, result.kind),
      () => this.ended(run, 'failed'),
    );
    return run;
  }

  private ended(run: Run, state: string): void {
    run.ended = true;
    this.states.set(run.ordinal, state);
  }

  private outcomeOf(run: Run): Promise<RingResult> {
    return run.result;
  }

  private specOf(ordinal: number): RingSpec {
    const spec = this.input.spec.rings[ordinal];
    if (spec !== undefined) return spec;
    return {
      name: 'stragglers',
      select: { sharePercent: 100 },
      maxInFlight: Math.max(...this.input.spec.rings.map((r) => r.maxInFlight)),
      errorBudget: { percent: 100 },
      successThresholdPercent: 0,
      minSample: 0,
      soakMinutes: 0,
      approvals: [],
      deadlineMinutes: this.input.spec.deadlineMinutes,
      haltAction: 'pause',
    };
  }
}
