/** Intents for Temporal, written in the transaction that decides them; the worker's relay carries them there. */
import type { PoolClient } from 'pg';
import type { Command } from '../../workflows/messages.js';
import { currentTrace } from '../trace.js';

/** What starts a change's workflow. */
export async function enqueueStart(
  client: PoolClient,
  args: { id: string; workflowId: string; changeId: string },
): Promise<void> {
  await enqueue(client, {
    id: args.id,
    topic: 'startChange',
    workflowId: args.workflowId,
    payload: { changeId: args.changeId },
  });
}

/** A person's word on a running change. The command's id is the row's, and the Update's. */
export async function enqueueCommand(
  client: PoolClient,
  args: { workflowId: string; command: Command },
): Promise<void> {
  const { command, workflowId } = args;
  const topic = command.verb === 'replan' ? 'replan' : 'command';
  await enqueue(client, { id: command.commandId, topic, workflowId, payload: command });
}

async function enqueue(
  client: PoolClient,
  row: { id: string; topic: 'startChange' | 'command' | 'replan'; workflowId: string; payload: object },
): Promise<void> {
  await client.query('INSERT INTO outbox (id, topic, workflow_id, payload, trace) VALUES ($1, $2, $3, $4, $5)', [
    row.id,
    row.topic,
    row.workflowId,
    JSON.stringify(row.payload),
    currentTrace(),
  ]);
  // Sent when the transaction commits; equal notifications of one transaction are sent once.
  await client.query(`SELECT pg_notify('rm_outbox', '')`);
}
