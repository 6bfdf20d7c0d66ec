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
import { ApprovalGate } from './approval-gate.js';
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
import { bulk, quick, watched, withinTask } from './proxies.js';
import { Replans } from './replans.js';
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
  /** Nothing is carried out any more. */
  closing = false;
  /** What runs now and an abort may cut short: never an order under way, those are rows. */
  private readonly steps = new Set<CancellationScope>();
  paused = false;
  /** Every ring has had its turn. */
  pastRings = false;
  resumes = 0;
  readonly replans = new Replans();

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
    this.cutShort();
    await this.rings.sayAll({ word: 'abort', reason: stop.reason });
  }

  /** Rolls back every ring this change has opened, the last one first. */
  async rollBackAll(order: RollbackOrder): Promise<void> {
    this.rollbackAll ??= order;
    this.gate.void(order.reason);
    this.cutShort();
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
    if (!patched('replans-in-turn')) return this.replans.asOnce(() => this.replanAsOnce(command));
    const done = this.replans.inTurn(async () => {
      await this.show();
      // Whoever stopped the change meanwhile could cut short only what had begun.
      if (this.isStopping()) throw this.stop ?? new Stopped('rolledBack', 'rolled back');
      const plan = await this.makePlan(command.reason ?? `asked for by ${command.by}`);
      // All at once: nobody may see the new plan with what was approved before it.
      this.frozen = plan;
      this.replans.note(plan);
      this.gate.voidWhatNoLongerStands();
      return plan.widened
        ? 'the plan is wider: approvals are asked for again'
        : 'the plan is not wider: approvals stay';
    });
    return done.finally(() => this.show());
  }

  /** For histories from before new plans took turns. */
  private async replanAsOnce(command: Command): Promise<string> {
    await this.plan(command.reason ?? `asked for by ${command.by}`);
    const { widened } = this.currentPlan();
    this.replans.note(this.currentPlan());
    if (!widened) return 'the plan is not wider: approvals stay';
    this.gate.void('the plan has become wider');
    return 'the plan is wider: approvals are asked for again';
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

  /** Makes the first plan. True when there is nothing to do. */
  async plan(reason: string): Promise<boolean> {
    await this.tell('Fetches and verifies content', 'content');
    this.frozen = await this.makePlan(reason);
    return this.frozen.empty;
  }

  /** Fetches content, then freezes: what could not be had, or says in its changelog what it fixes, is part of the plan. */
  private async makePlan(reason: string): Promise<FrozenPlanResult> {
    const { changeId } = this.input;
    if (patched('obtain-and-freeze')) {
      return this.interruptible(() => watched.obtainAndFreeze({ changeId, reason }));
    }
    await this.interruptible(() => watched.obtainContent({ changeId }));
    return bulk.freezePlan({ changeId, reason });
  }

  ringsAfterTest(): readonly number[] {
    return this.ringOrdinals().slice(1);
  }

  private ringOrdinals(): readonly number[] {
    return this.input.spec.rings.map((_, ordinal) => ordinal);
  }

  async deployRing(ordinal: number): Promise<void> {
    await this.go();
    if (this.replans.tookTurns) await condition(() => !this.replans.underWay);
    if (!this.hasWork(ordinal)) return;
    let approvals: readonly string[] | null = null;
    while (approvals === null) {
      const passed = await this.gate.pass(ordinal);
      await this.tell(null);
      await condition(() => !this.replans.underWay);
      await this.go();
      // Nothing is awaited between this look and the ring's start: no wider plan can come between.
      const earlier = this.passedOverBefore(ordinal);
      if (earlier !== undefined) await this.deployRing(earlier);
      else if (this.replans.underWay) continue;
      else if (this.leftWithNothing(ordinal)) return;
      else if (passed?.widenings === this.replans.widenings) approvals = passed.requestIds;
    }
    const result = await this.rings.rollOut({
      ordinal,
      approvedDigest: this.currentPlan().digest,
      approvals,
    });
    this.waits.delete(ordinal);
    await this.afterRing(result);
  }

  /**
   * Rings that had nothing to do when their turn came and have something now: a new plan was asked for while the change stood still after
   * a later one. Returns only when no ring is left that a plan could give something to, without another await in between.
   */
  async deployPassedOver(): Promise<void> {
    const due = () => this.replans.underWay || this.passedOverBefore(this.input.spec.rings.length) !== undefined;
    while (due() && patched('passed-over-rings')) {
      await condition(() => !this.replans.underWay);
      await this.go();
      const ordinal = this.passedOverBefore(this.input.spec.rings.length);
      if (ordinal !== undefined) await this.deployRing(ordinal);
    }
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
    this.pastRings = true;
    const result = await this.rings.closeStragglersLane();
    this.waits.delete(STRAGGLERS);
    if (result !== null) await this.afterRing(result);
  }

  async confirm(): Promise<void> {
    await this.tell('Waits for fresh scans that prove what is installed', 'scans');
    await this.interruptible(() => watched.confirm({ changeId: this.input.changeId }));
  }

  /** Endpoints tried again, or rings put back, while the rest was confirmed: that ends, and is proven, before the change closes. */
  async finishWhatWasAccepted(): Promise<void> {
    const atWork = () => !allHandlersFinished() || this.rings.anyRunning();
    while (atWork() && patched('finish-what-was-accepted')) {
      await this.tell('Waits for what was asked for last', 'windingUp');
      await condition(() => this.isStopping() || (allHandlersFinished() && !this.rings.anyRunningButStragglers()));
      await this.go();
      await this.catchUpStragglers();
      await this.confirm();
    }
    // The last scans may have come in together with a person's word.
    if (this.stoppedByAPerson() && patched('finish-what-was-accepted')) await this.go();
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

  /** Whether the plan in force has anything to do in this ring. */
  hasWork(ordinal: number): boolean {
    return this.currentPlan().rings.some((r) => r.ordinal === ordinal && r.endpoints > 0);
  }

  /** Whether a plan made since the ring's turn came has taken all it had to do. */
  leftWithNothing(ordinal: number): boolean {
    return this.replans.tookTurns && !this.hasWork(ordinal);
  }

  /** A ring that had nothing to do when its turn came and has something now: a new plan may ask for more. */
  passedOverBefore(ordinal: number): number | undefined {
    if (!this.replans.tookTurns) return undefined;
    return this.ringOrdinals().find((o) => o < ordinal && this.rings.stateOf(o) === 'waiting' && this.hasWork(o));
  }

  /** Whether a new plan could still give something to a ring that has not opened. */
  anyRingLeft(): boolean {
    return !this.pastRings && this.ringOrdinals().some((ordinal) => this.rings.stateOf(ordinal) === 'waiting');
  }

  isStopping(): boolean {
    return this.stop !== null || this.rollbackAll !== null;
  }

  private stoppedByAPerson(): boolean {
    return this.rollbackAll !== null || this.stop?.outcome === 'aborted';
  }

  async tell(text: null): Promise<void>;
  async tell(text: string, wait: Wait): Promise<void>;
  async tell(text: string | null, wait: Wait | null = null): Promise<void> {
    this.note = text === null ? null : { text, wait };
    await this.show();
  }

  private told(): readonly Told[] {
    const again: Told[] =
      this.replans.tookTurns && this.replans.underWay ? [{ text: 'The plan is being made anew', wait: 'content' }] : [];
    return [...(this.note === null ? [] : [this.note]), ...again, ...this.waits.values()];
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
    (patched('project-within-task') ? withinTask : quick).project(row).catch(() => undefined);
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
    const scope = new CancellationScope();
    this.steps.add(scope);
    try {
      return await scope.run(step);
    } catch (error) {
      await this.go();
      throw error;
    } finally {
      this.steps.delete(scope);
    }
  }

  private cutShort(): void {
    for (const step of this.steps) step.cancel();
  }
}
