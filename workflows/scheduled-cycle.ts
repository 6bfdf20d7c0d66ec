import { workflowInfo } from '@temporalio/workflow';
import type { ScheduledCycleInput } from './messages.js';
import { quick } from './proxies.js';

/** Started by a Temporal Schedule: only writes down that a change is wanted, once per occurrence. */
export async function scheduledCycle(input: ScheduledCycleInput): Promise<string> {
  const { changeId } = await quick.startScheduledChange({
    scheduleId: input.scheduleId,
    occurrence: workflowInfo().workflowId,
  });
  return changeId;
}
