import { CancellationScope, isCancellation } from '@temporalio/workflow';
import { ChangeRun } from './change-run.js';
import type { ChangeInput, ChangeResult } from './messages.js';
import { Stopped } from './stopped.js';

/** Package updates, from discovery to proof. */
export async function patchCycle(input: ChangeInput): Promise<ChangeResult> {
  return runChange(input);
}

/** Rules of a security baseline, through the same runbook. */
export async function remediation(input: ChangeInput): Promise<ChangeResult> {
  return runChange(input);
}

/** The runbook every kind of change follows: discover → obtain → test → prepare → deploy in rings → confirm → close. */
async function runChange(input: ChangeInput): Promise<ChangeResult> {
  const change = new ChangeRun(input);
  change.listen();
  try {
    await change.enter('discover');
    await change.discover();

    await change.enter('obtain');
    if (await change.plan('first plan')) return await change.close({ outcome: 'nothingToDo', reason: null });

    await change.enter('test');
    await change.deployRing(0);

    await change.enter('prepare');
    await change.stageContent();

    await change.enter('deploy');
    for (const ordinal of change.ringsAfterTest()) await change.deployRing(ordinal);
    await change.deployPassedOver();
    await change.catchUpStragglers();

    await change.enter('confirm');
    await change.confirm();
    await change.finishWhatWasAccepted();
    return await change.close({ outcome: 'completed', reason: null });
  } catch (error) {
    if (error instanceof Stopped) return change.closeAfterStop(error);
    if (isCancellation(error)) {
      return CancellationScope.nonCancellable(() =>
        change.closeAfterStop(new Stopped('aborted', 'cancelled in Temporal')),
      );
    }
    return change.closeAfterFailure(error);
  }
}
