import type { ChildWorkflowHandle } from '@temporalio/workflow';
import { condition, startChild, uuid4, WorkflowIdReusePolicy } from '@temporalio/workflow';
import type { approval } from './approval.js';
import type { ChangeRun } from './change-run.js';
import { approvalWorkflowId } from './ids.js';
import { childAttributes } from './lists.js';
import type { ApprovalResult } from './messages.js';
import { VOID_SIGNAL } from './messages.js';

interface Asked {
  readonly requestId: string;
  readonly ring: number;
  /** As in {@link Passed}. */
  readonly widenings: number;
  readonly handle: ChildWorkflowHandle<typeof approval>;
  readonly result: Promise<ApprovalResult>;
  ended: boolean;
}

export interface Passed {
  readonly requestIds: readonly string[];
  /** How often the plan had become wider when these were asked: should it have again since, they approve nothing. */
  readonly widenings: number;
}

/** What stands before a ring: the approvals its policy asks for, on exactly the plan that will be carried out. */
export class ApprovalGate {
  private open: Asked[] = [];

  constructor(private readonly change: ChangeRun) {}

  /**
   * Returns the requests that were approved; none when the ring's policy asks for none. Null: nobody was asked, because it is not
   * this ring's turn any more. Rejected or expired requests leave
   * the ring shut until a person asks again (`resume`), makes another plan, or stops the change.
   */
  async pass(ordinal: number): Promise<Passed | null> {
    const { change } = this;
    const rules = change.input.spec.rings[ordinal]?.approvals ?? [];
    if (rules.length === 0) return { requestIds: [], widenings: change.replans.widenings };
    for (;;) {
      await change.go();
      const seen = { resumes: change.resumes, replans: change.replans.made };
      await change.tell(`Ring ${ordinal} waits for approval`, 'approval');
      const { widenings } = change.replans;
      // A new plan may have left this ring empty, or given one before it something to do: then that ring's turn comes first.
      if (change.leftWithNothing(ordinal) || change.passedOverBefore(ordinal) !== undefined) return null;
      this.open = await Promise.all(rules.map((_, index) => this.ask(ordinal, index)));
      // A plan that was made while these were being started could not void them.
      if (change.replans.tookTurns) this.voidWhatNoLongerStands();
      const asked = this.open;
      const results = await Promise.all(asked.map((a) => this.resultOf(a)));
      this.open = [];
      if (results.every((r) => r.kind === 'approved')) return { requestIds: asked.map((a) => a.requestId), widenings };
      await change.go();
      const no = results.find((r) => r.kind === 'rejected' || r.kind === 'expired');
      if (no === undefined) continue;
      await change.tell(
        `Ring ${ordinal} stays shut: approval ${no.kind} (${no.reason}). Resume to ask again, replan, or abort`,
        'person',
      );
      await condition(() => change.resumes > seen.resumes || change.replans.made > seen.replans || change.isStopping());
    }
  }

  /** Ends what is being asked; the gate asks again on the plan as it then is. */
  void(reason: string): void {
    for (const asked of this.open) this.end(asked, reason);
  }

  /** Ends what is being asked about a plan that a wider one has replaced, or that leaves the ring nothing to do. */
  voidWhatNoLongerStands(): void {
    for (const asked of this.open) {
      if (this.change.replans.widenings > asked.widenings) this.end(asked, 'the plan has become wider');
      else if (!this.change.hasWork(asked.ring)) this.end(asked, 'the plan leaves this ring nothing to do');
    }
  }

  private end(asked: Asked, reason: string): void {
    if (!asked.ended) asked.handle.signal(VOID_SIGNAL, reason).catch(() => undefined);
  }

  private async ask(ordinal: number, rule: number): Promise<Asked> {
    const { input } = this.change;
    const requestId = uuid4();
    const { widenings } = this.change.replans;
    const spec = input.spec.rings[ordinal]?.approvals[rule];
    if (spec === undefined) throw new Error(`ring ${ordinal} has no approval rule ${rule}`);
    const handle = await startChild<typeof approval>('approval', {
      workflowId: approvalWorkflowId({ changeId: input.changeId, ring: ordinal, requestId }),
      workflowIdReusePolicy: WorkflowIdReusePolicy.REJECT_DUPLICATE,
      staticSummary: `Approval of ring ${ordinal}`,
      ...childAttributes('approval'),
      args: [
        {
          requestId,
          changeId: input.changeId,
          ring: ordinal,
          rule: spec,
          planDigest: this.change.currentPlan().digest,
        },
      ],
    });
    return { requestId, ring: ordinal, widenings, handle, result: handle.result(), ended: false };
  }

  private async resultOf(asked: Asked): Promise<ApprovalResult> {
    const result = await asked.result;
    asked.ended = true;
    // One no settles the matter: nobody should go on deciding about it.
    if (result.kind !== 'approved') this.void(`another approval of this ring is ${result.kind}`);
    return result;
  }
}
