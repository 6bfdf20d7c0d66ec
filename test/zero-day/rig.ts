/** What tests of zero-days share: an expedite policy that asks nobody, and a look at what became of a change. */
import { Client, Connection, WorkflowNotFoundError } from '@temporalio/client';
import type { ExpeditePolicy } from '../../domain/zero-day/expedite-policy.js';
import { eventually } from '../helpers/api-process.js';
import { ringOf, type Stack } from '../helpers/stack.js';

export const expeditePolicy = (over: Partial<ExpeditePolicy> = {}): ExpeditePolicy => ({
  rings: [ringOf({ name: 'everyone', maxInFlight: 50 })],
  deadlineMinutes: 600,
  offlineAfterMinutes: 60,
  dueMinutes: 120,
  override: null,
  ...over,
});

export async function putPolicy(stack: Stack, over: Partial<ExpeditePolicy> = {}): Promise<void> {
  const reply = await stack.api('PUT', '/v1/expedite-policy', expeditePolicy(over));
  if (reply.status !== 200) throw new Error(JSON.stringify(reply.body));
}

/** Of a workflow, as Temporal has it; waits for the relay to have started it, which it does after the reply. */
export async function describeWorkflow(stack: Stack, id: string) {
  const connection = await Connection.connect({ address: stack.temporalAddress });
  try {
    const handle = new Client({ connection }).workflow.getHandle(id);
    const described = await eventually(
      () =>
        handle.describe().catch((error: unknown) => {
          if (error instanceof WorkflowNotFoundError) return null;
          throw error;
        }),
      (answer) => answer !== null,
    );
    if (described === null) throw new Error(`no workflow ${id}`);
    return described;
  } finally {
    await connection.close();
  }
}
