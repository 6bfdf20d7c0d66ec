import {
  allHandlersFinished,
  condition,
  continueAsNew,
  getExternalWorkflowHandle,
  patched,
  setCurrentDetails,
  workflowInfo,
} from '@temporalio/workflow';
import type { OrderTarget, PumpResult } from '../activities/contract.js';
import type { RingCounts } from '../domain/change/counts.js';
import { STRAGGLERS } from '../domain/change/spec.js';
import { HOUR, MINUTE } from '../domain/time.js';
import { until, workflowNow } from './clock.js';
import { showInLists } from './lists.js';
import type { RingCarried, RingInput, RingResult, RingWaits, RingWord, RollbackOrder, Wait } from './messages.js';
import { RING_WAITS_SIGNAL } from './messages.js';
import { bulk, quick, watched, withinTask } from './proxies.js';
import type { ring } from './ring.js';

/** Windows are resolved again at least this often, so that a changed policy or calendar is seen. */
const LONGEST_WAIT = 12 * HOUR;

type Stop = 'abort' | 'rollback';

/** The steps of a ring and what it has been told. {@link ring} puts them in order. */
export class RingRun {
  private readonly at: { readonly changeId: string; readonly ring: number };
  private opened: boolean;
  private resumes: number;
  private pokes = 0;
  private lastCall: boolean;
  private abortReason: string | null;
  private rollback: RollbackOrder | null;
  private counts: RingCounts | null = null;
  private told: string | null = null;
  private wait: Wait | null = null;

  constructor(private readonly input: RingInput) {
    this.at = { changeId: input.changeId, ring: input.ordinal };
    const carried = input.carried;
    this.opened = carried?.opened ?? false;
    this.resumes = carried?.resumes ?? 0;
    this.lastCall = carried?.lastCall ?? false;
    this.abortReason = carried?.abort ?? null;
    this.rollback = carried?.rollback ?? input.rollback ?? null;
  }

  hear(word: RingWord): void {
    switch (word.word) {
      case 'resume':
        this.resumes += 1;
        return;
      case 'poke':
        this.pokes += 1;
        return;
      case 'lastCall':
        this.lastCall = true;
        return;
      case 'abort':
        this.abortReason ??= word.reason;
        return;
      case 'rollback':
        this.rollback ??= word.order;
    }
  }

  async open(): Promise<void> {
    if (this.opened) return;
    if (this.input.mode === 'rollout') {
      await this.steps().openRing({
        ...this.at,
        approvedDigest: this.input.approvedDigest,
        approvals: this.input.approvals,
      });
    }
    this.opened = true;
  }

  /** Lets orders out, window by window, until none is pending or under way, or until told to stop. */
  async drain(target: OrderTarget): Promise<'drained' | Stop> {
    const ignoreWindows = target === 'revert' && this.rollback?.ignoreWindows === true;
    for (;;) {
      const stop = this.stopFor(target);
      if (stop !== null) return stop;
      await this.continueAsNewIfDue(target);
      const seen = { resumes: this.resumes, pokes: this.pokes };
      const windows = await this.steps().resolveWindows({ ...this.at, target, ignoreWindows });
      const waiting = `${this.label()} waits for hours of operation: ${windows.sentence}`;
      await (windows.openNow > 0 ? this.tell(null) : this.tell(waiting, 'hours'));
      const result = await watched.pump({ ...this.at, target });
      this.counts = result.counts;
      if (result.kind === 'halted') {
        await this.whileHalted({ result, resumesSeen: seen.resumes, target });
        continue;
      }
      if (result.kind !== 'windowsClosed') return 'drained';
      await this.tell(waiting, 'hours');
      const next = result.nextOpen ?? workflowNow() + HOUR;
      await condition(
        () => this.stopFor(target) !== null || this.pokes > seen.pokes,
        Math.min(Math.max(until(next), 1_000), LONGEST_WAIT),
        { summary: `${this.label()} waits for its next window` },
      );
    }
  }

  /** Endpoints that missed the ring go to the stragglers' lane, so that they hold nobody up and nobody forgets them. */
  async handOverStragglers(): Promise<void> {
    if (this.input.ordinal === STRAGGLERS) return;
    const { moved } = await bulk.moveStragglers(this.at);
    if (moved > 0)
      await this.tellChange({ ordinal: this.input.ordinal, waitingFor: this.told, wait: this.wait, stragglers: moved });
  }

  /** For the stragglers' lane: waits until there is more to do (true), or no ring can send more (false). */
  async moreMayCome(): Promise<boolean> {
    const seen = this.pokes;
    if (!this.lastCall) {
      await this.tell(null);
      await condition(
        () => this.lastCall || this.pokes > seen || this.stopFor('change') !== null,
        until(this.input.deadline),
      );
    }
    return this.pokes > seen || this.stopFor('change') !== null;
  }

  /** `again` when new orders (a retry) or a stop came while the ring soaked. */
  async soak(): Promise<'soaked' | 'again'> {
    const ms = this.input.mode === 'rollout' ? this.input.spec.soakMinutes * MINUTE : 0;
    if (ms === 0) return 'soaked';
    const seen = this.pokes;
    await quick.finishRing({ ...this.at, state: 'soaking' });
    await this.tell(`${this.label()} soaks for ${this.input.spec.soakMinutes} min`, 'soak');
    const interrupted = await condition(() => this.pokes > seen || this.stopFor('change') !== null, ms, {
      summary: `${this.label()} soaks`,
    });
    return interrupted ? 'again' : 'soaked';
  }

  /** Promotion by the numbers, or a person's word when the numbers don't carry it. */
  async judge(): Promise<'promote' | 'again' | Stop> {
    const seen = { resumes: this.resumes, pokes: this.pokes };
    const verdict = await quick.evaluateRing(this.at);
    this.counts = verdict.counts;
    if (verdict.kind === 'promote') return 'promote';
    await quick.haltRing({ ...this.at, by: 'gate', reason: verdict.reason });
    if (this.input.spec.haltAction === 'rollback') {
      this.rollback ??= { by: 'ring policy', reason: verdict.reason, ignoreWindows: false };
      return 'rollback';
    }
    await this.tell(
      `${this.label()} is held: ${verdict.reason}. Resume (accept it), retry, roll back or abort`,
      'person',
    );
    await condition(() => this.resumes > seen.resumes || this.pokes > seen.pokes || this.stopFor('change') !== null);
    const stop = this.stopFor('change');
    if (stop !== null) return stop;
    return this.resumes > seen.resumes ? 'promote' : 'again';
  }

  async pass(): Promise<RingResult> {
    await quick.finishRing({ ...this.at, state: 'passed' });
    return this.end('passed', 'every outcome is in and within its budgets');
  }

  /** Takes back what has not begun and waits for what has; nothing interrupts a package manager at work. */
  async abort(): Promise<RingResult> {
    await this.tell(`${this.label()} is aborted: waits for what has begun or may still start`, 'windingUp');
    await watched.settleRing({ ...this.at, reason: this.abortReason ?? 'aborted' });
    await quick.finishRing({ ...this.at, state: 'aborted' });
    return this.end('aborted', this.abortReason ?? 'aborted');
  }

  /** Undoes what this change did in the ring, in windows unless a person said otherwise. */
  async rollBack(): Promise<RingResult> {
    const order = this.rollback ?? { by: 'ring policy', reason: 'rolled back', ignoreWindows: false };
    await this.tell(`${this.label()} is being rolled back: ${order.reason}`, 'rollback');
    await watched.settleRing({ ...this.at, reason: order.reason });
    await bulk.startRollback({ ...this.at, ...order });
    const end = await this.drain('revert');
    if (end === 'abort') return this.abort();
    await quick.finishRing({ ...this.at, state: 'rolledBack' });
    return this.end('rolledBack', order.reason);
  }

  private steps(): Pick<typeof bulk, 'openRing' | 'resolveWindows'> {
    return this.input.expedited === true && patched('ring-steps-within-task') ? withinTask : bulk;
  }

  private stopFor(target: OrderTarget): Stop | null {
    if (this.abortReason !== null) return 'abort';
    return this.rollback !== null && target !== 'revert' ? 'rollback' : null;
  }

  /** A halted ring goes on by a person's word only, unless its policy says to roll back when the budget is spent. */
  private async whileHalted(args: {
    readonly result: PumpResult;
    readonly resumesSeen: number;
    readonly target: OrderTarget;
  }): Promise<void> {
    const reason = args.result.haltReason ?? 'paused';
    if (args.result.haltedBy === 'budget' && this.input.spec.haltAction === 'rollback' && args.target === 'change') {
      this.rollback ??= { by: 'ring policy', reason, ignoreWindows: false };
      return;
    }
    await this.tell(`${this.label()} is halted: ${reason}. Resume, roll back or abort`, 'person');
    await condition(() => this.resumes > args.resumesSeen || this.stopFor(args.target) !== null);
    await this.tell(null);
  }

  /** Only between pumps, with every signal taken in; the handlers are synchronous, so none can be half done. */
  private async continueAsNewIfDue(target: OrderTarget): Promise<void> {
    if (!workflowInfo().continueAsNewSuggested || !allHandlersFinished() || target !== 'change') return;
    const carried: RingCarried = {
      opened: true,
      resumes: this.resumes,
      lastCall: this.lastCall,
      abort: this.abortReason,
      rollback: this.rollback,
    };
    await continueAsNew<typeof ring>({ ...this.input, carried });
  }

  private end(kind: RingResult['kind'], reason: string): RingResult {
    showInLists({ waitingFor: null });
    return { kind, reason, counts: this.counts };
  }

  private label(): string {
    const { ordinal, of, spec } = this.input;
    return ordinal === STRAGGLERS ? 'Stragglers' : `Ring ${ordinal} of ${of - 1} (${spec.name})`;
  }

  /** Makes what the ring waits for readable: in Temporal's own UI and, through the change, everywhere else. */
  private async tell(waitingFor: null): Promise<void>;
  private async tell(waitingFor: string, wait: Wait): Promise<void>;
  private async tell(waitingFor: string | null, wait: Wait | null = null): Promise<void> {
    // Before the comparison: a run that goes on in a new history has told nothing yet, and may wait for nothing.
    showInLists({ waitingFor: wait });
    if (waitingFor === this.told) return;
    this.told = waitingFor;
    setCurrentDetails(waitingFor ?? `${this.label()}: orders under way`);
    this.wait = wait;
    await this.tellChange({ ordinal: this.input.ordinal, waitingFor, wait });
  }

  private async tellChange(message: RingWaits): Promise<void> {
    const { parent } = workflowInfo();
    if (parent !== undefined) await getExternalWorkflowHandle(parent.workflowId).signal(RING_WAITS_SIGNAL, message);
  }
}
