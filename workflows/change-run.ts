import {
  ActivityFailure,
  allHandlersFinished,
  CancellationScope,
  condition,
  patched,
  setCurrentDetails,
} from '@temporalio/workflow';
import type { FrozenPlanResult } from '../activities/contract.js';
import { STRAGGLERS } from '../domain/change/spec.js';
import type { ChangeOutcome, ChangeStage } from '../domain/change/stage.js';
import { ApprovalGate, type Passed } from './approval-gate.js';
import { ChangeCommands } from './change-commands.js';
import { until } from './clock.js';
import { showInLists } from './lists.js';
import type {
  ChangeInput,
  ChangeProgress,
  ChangeResult,
  Command,
  RingResult,
  RingWaits,
  RollbackOrder,
  Wait,
} from './messages.js';
import { bulk, near, quick, watched } from './proxies.js';
import { RingChildren } from './ring-children.js';
import { stageLanes } from './staging.js';
import { Stopped } from './stopped.js';

/** What is waited for, for people and for lists. */
interface Told {
  readonly text: string;
  readonly wait: Wait | null;
}

/** The steps of a change and what it has been told. {@link runChange} puts them in order. */
export class ChangeRun {
  private stage: ChangeStage = 'requested';
  private version = 0;
  private waits = new Map<number, Told>();
  private note: Told | null = null;
  private frozen: FrozenPlanResult | null = null;
  private stop: Stopped | null = null;
  private rollbackAll: RollbackOrder | null = null;
  private closing = false;
  /** What runs now and an abort may cut short: never an order under way, those are rows. */
  private scope: CancellationScope | null = null;
  paused = false;
  resumes = 0;
  replans = 0;
  /** How often a new plan has asked for more than the one before. */
  widenings = 0;
  private replanning = 0;

  readonly rings: RingChildren;
  private readonly gate: ApprovalGate;

  constructor(readonly input: ChangeInput) {
    this.rings = new RingChildren(input);
    this.gate = new ApprovalGate(this);
  }

  // --- what people and the clock say -------------------------------------------------------------------------------

  listen(): void {
    new ChangeCommands(this).listen();
    void this.watchDeadline();
  }

  private async watchDeadline(): Promise<void> {
    const closed = await condition(() => this.closing, Math.max(1, until(this.input.deadline)), {
      summary: 'deadline of the change',
    });
    if (!closed) await this.halt(new Stopped('expired', 'the deadline of the change has passed'));
  }

  /** Ends the runbook at its next step and tells every ring to wind up. */
  async halt(stop: Stopped): Promise<void> {
    this.stop ??= stop;
    this.gate.void(stop.reason);
    this.scope?.cancel();
    await this.rings.sayAll({ word: 'abort', reason: stop.reason });
  }

  /** Rolls back every ring this change has opened, the last one first. */
  async rollBackAll(order: RollbackOrder): Promise<void> {
    this.rollbackAll ??= order;
    this.gate.void(order.reason);
    this.scope?.cancel();
    await this.rings.sayRunning({ word: 'rollback', order });
    await this.rings.say(STRAGGLERS, { word: 'abort', reason: order.reason });
  }

  async hearRing(message: RingWaits): Promise<void> {
    if (message.waitingFor === null) this.waits.delete(message.ordinal);
    else this.waits.set(message.ordinal, { text: message.waitingFor, wait: message.wait ?? null });
    if ((message.stragglers ?? 0) > 0 && !this.isStopping())
      await this.rings.openStragglersLane(this.currentPlan().digest);
    await this.show();
  }

  async resume(command: Command): Promise<void> {
    await quick.clearHalt({ changeId: this.input.changeId, ring: null, by: command.by });
    this.paused = false;
    this.resumes += 1;
    await this.rings.sayAll({ word: 'resume' });
    await this.show();
  }

  /** Between rings only: an open ring's orders are part of the plan that was approved. */
  async replan(command: Command): Promise<string> {
    this.replanning += 1;
    try {
      await this.plan(command.reason ?? `asked for by ${command.by}`);
      if (this.currentPlan().widened) {
        this.widenings += 1;
        this.gate.void('the plan has become wider');
      }
      this.replans += 1;
    } finally {
      this.replanning -= 1;
    }
    return this.currentPlan().widened
      ? 'the plan is wider: approvals are asked for again'
      : 'the plan is not wider: approvals stay';
  }

  // --- steps of the runbook ----------------------------------------------------------------------------------------

  async enter(stage: ChangeStage): Promise<void> {
    await this.go();
    this.stage = stage;
    this.note = null;
    await this.show();
  }

  async discover(): Promise<void> {
    // Who hurries and waits for no scan goes by the inventories there are.
    if (this.input.expedited === true && this.input.spec.parameters.discoverMinutes === 0) return;
    await this.tell('Waits for fresh inventories of the endpoints in scope', 'inventories');
    await this.interruptible(() => watched.discover({ changeId: this.input.changeId }));
  }

  /**
   * Fetches content and freezes the plan, in this order: what could not be had, or says in its changelog what it fixes, is part
   * of the plan. True when there is nothing to do.
   */
  async plan(reason: string): Promise<boolean> {
    const { changeId } = this.input;
    await this.tell('Fetches and verifies content', 'content');
    if (patched('obtain-and-freeze')) {
      this.frozen = await this.interruptible(() => watched.obtainAndFreeze({ changeId, reason }));
    } else {
      await this.interruptible(() => watched.obtainContent({ changeId }));
      this.frozen = await bulk.freezePlan({ changeId, reason });
    }
    return this.frozen.empty;
  }

  ringsAfterTest(): readonly number[] {
    return this.input.spec.rings.map((_, ordinal) => ordinal).slice(1);
  }

  async deployRing(ordinal: number): Promise<void> {
    await this.go();
    if (!this.currentPlan().rings.some((r) => r.ordinal === ordinal && r.endpoints > 0)) return;
    let passed: Passed;
    // Nothing is awaited between the last look and the ring's start: no wider plan can come between.
    do {
      passed = await this.gate.pass(ordinal);
      await this.tell(null);
      await condition(() => this.replanning === 0);
      await this.go();
    } while (this.replanning > 0 || this.widenings > passed.widenings);
    const result = await this.rings.rollOut({
      ordinal,
      approvedDigest: this.currentPlan().digest,
      approvals: passed.requestIds,
    });
    this.waits.delete(ordinal);
    await this.afterRing(result);
  }

  private async afterRing(result: RingResult): Promise<void> {
    if (this.rollbackAll === null && result.kind === 'rolledBack') throw new Stopped('rolledBack', result.reason);
    if (result.kind === 'aborted') throw this.stop ?? new Stopped('aborted', result.reason);
    if (result.kind === 'failed') throw new Stopped('failed', result.reason);
    await this.go();
  }

  /** Sends content ahead in staging hours. It saves time in the windows; a ring does not depend on it. */
  async stageContent(): Promise<void> {
    // It may wait a day for staging hours; who hurries lets each order fetch for itself.
    if (this.input.expedited === true) return;
    const { orders } = await bulk.planStaging({ changeId: this.input.changeId });
    if (orders === 0) return;
    const ordinals = this.currentPlan()
      .rings.map((r) => r.ordinal)
      .filter((o) => o > 0 && o !== STRAGGLERS);
    await this.interruptible(() =>
      stageLanes({
        changeId: this.input.changeId,
        ordinals,
        deadline: this.input.deadline,
        tell: (text, wait) => this.tell(text, wait),
      }),
    );
  }

  async catchUpStragglers(): Promise<void> {
    const result = await this.rings.closeStragglersLane();
    this.waits.delete(STRAGGLERS);
    if (result !== null) await this.afterRing(result);
  }

  async confirm(): Promise<void> {
    await this.tell('Waits for fresh scans that prove what is installed', 'scans');
    await this.interruptible(() => watched.confirm({ changeId: this.input.changeId }));
  }

  async close(end: { readonly outcome: ChangeOutcome; readonly reason: string | null }): Promise<ChangeResult> {
    this.closing = true;
    await condition(allHandlersFinished);
    const { outcome } = await bulk.closeChange({ changeId: this.input.changeId, ...end });
    this.stage = 'closed';
    this.waits.clear();
    this.note = null;
    await this.show();
    await condition(allHandlersFinished);
    return { outcome, reason: end.reason };
  }

  async closeAfterStop(stop: Stopped): Promise<ChangeResult> {
    await this.rings.allEnded();
    const order = this.rollbackAll;
    if (order !== null && stop.outcome === 'rolledBack') {
      for (const ordinal of this.rings.openedLastFirst()) await this.rings.rollBack({ ordinal, order });
    }
    if (stop.outcome === 'expired') await watched.confirm({ changeId: this.input.changeId });
    return this.close(stop);
  }

  /** An activity said it can never succeed. What is out winds up first; the reason is kept for people. */
  async closeAfterFailure(error: unknown): Promise<ChangeResult> {
    if (!(error instanceof ActivityFailure)) throw error;
    const reason = error.cause?.message ?? error.message;
    await this.halt(new Stopped('failed', reason));
    return this.closeAfterStop(new Stopped('failed', reason));
  }

  // --- state people may see ----------------------------------------------------------------------------------------

  progress(): ChangeProgress {
    const waits = this.told().map(({ text }) => text);
    return {
      stage: this.stage,
      waitingFor: this.paused ? ['Paused', ...waits].join('. ') : waits.length > 0 ? waits.join('. ') : null,
      paused: this.paused,
      rings: (this.frozen?.rings ?? []).map((r) => ({
        ordinal: r.ordinal,
        name: r.name,
        state: this.rings.stateOf(r.ordinal),
      })),
    };
  }

  currentPlan(): FrozenPlanResult {
    if (this.frozen === null) throw new Error('no plan yet');
    return this.frozen;
  }

  isStopping(): boolean {
    return this.stop !== null || this.rollbackAll !== null;
  }

  async tell(text: null): Promise<void>;
  async tell(text: string, wait: Wait): Promise<void>;
  async tell(text: string | null, wait: Wait | null = null): Promise<void> {
    this.note = text === null ? null : { text, wait };
    await this.show();
  }

  private told(): readonly Told[] {
    return [...(this.note === null ? [] : [this.note]), ...this.waits.values()];
  }

  /** The one a list shows: what needs a person comes before what time alone brings. */
  private foremostWait(): Wait | null {
    const waits = this.told().map(({ wait }) => wait);
    if (this.paused || waits.includes('person')) return 'person';
    return waits.includes('approval') ? 'approval' : (waits.find((wait) => wait !== null) ?? null);
  }

  async show(): Promise<void> {
    const { stage, waitingFor } = this.progress();
    setCurrentDetails(`${stage}${waitingFor === null ? '' : `: ${waitingFor}`}`);
    showInLists({ stage, waitingFor: this.foremostWait() });
    this.version += 1;
    const row = { changeId: this.input.changeId, version: this.version, stage, waitingFor };
    if (this.input.expedited !== true || stage === 'closed') return quick.project(row);
    // Late or out of order does no harm: the row keeps the newest version. Only the last word is waited for.
    (patched('project-near') ? near : quick).project(row).catch(() => undefined);
  }

  /** The point between steps where a pause is waited out and a stop takes hold. */
  async go(): Promise<void> {
    if (this.paused && !this.isStopping()) {
      await this.show();
      await condition(() => !this.paused || this.isStopping());
    }
    if (this.rollbackAll !== null) throw new Stopped('rolledBack', this.rollbackAll.reason);
    if (this.stop !== null) throw this.stop;
  }

  private async interruptible<T>(step: () => Promise<T>): Promise<T> {
    this.scope = new CancellationScope();
    try {
      return await this.scope.run(step);
    } catch (error) {
      await this.go();
      throw error;
    } finally {
      this.scope = null;
    }
  }
}
