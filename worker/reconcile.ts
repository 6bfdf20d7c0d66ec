/**
 * Compares both sides: a change that is open here must have a workflow that runs there. Where it has not (ended by hand in
 * Temporal, or Temporal's data lost), nothing more may be let out, and people must see why it stands still.
 */
import type { Client } from '@temporalio/client';
import { WorkflowNotFoundError } from '@temporalio/client';
import type { Pool, PoolClient } from 'pg';
import { changeWorkflowId } from '../workflows/ids.js';

export interface ReconcileDeps {
  readonly pool: Pool;
  readonly client: Client;
  readonly haltChange: (args: { changeId: string; by: string; reason: string }) => Promise<void>;
  readonly appendAudit: (
    db: Pool | PoolClient,
    records: readonly { actor: string; action: string; subject: string; detail?: Record<string, unknown> }[],
  ) => Promise<void>;
}

/** Returns the changes found without a running workflow. */
export async function reconcile(deps: ReconcileDeps): Promise<readonly string[]> {
  const { rows } = await deps.pool.query<{ id: string; waiting_for: string | null }>(
    `SELECT c.id, c.waiting_for FROM change c
     WHERE c.closed_at IS NULL AND EXISTS (
       SELECT 1 FROM outbox o WHERE o.topic = 'startChange' AND o.workflow_id = 'change/' || c.id AND o.done_at < now() - interval '1 minute')`,
  );
  const orphans: string[] = [];
  for (const { id, waiting_for } of rows) {
    const state = await stateOf(deps.client, changeWorkflowId(id));
    if (state === 'RUNNING') continue;
    orphans.push(id);
    const reason = `its workflow ${state === null ? 'is unknown to Temporal' : `ended there as ${state}`}: nothing more is let out`;
    if (waiting_for === reason) continue;
    await deps.haltChange({ changeId: id, by: 'reconciler', reason });
    await deps.pool.query('UPDATE change SET waiting_for = $2 WHERE id = $1 AND closed_at IS NULL', [id, reason]);
    await deps.appendAudit(deps.pool, [
      { actor: 'reconciler', action: 'change.orphaned', subject: `change/${id}`, detail: { state } },
    ]);
  }
  return orphans;
}

async function stateOf(client: Client, workflowId: string): Promise<string | null> {
  try {
    return (await client.workflow.getHandle(workflowId).describe()).status.name;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}
