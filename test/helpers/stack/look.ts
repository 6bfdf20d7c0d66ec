/** What the database says of a change, as kill tests ask it again and again. */
import { Client, Connection } from '@temporalio/client';
import type { Stack } from '../stack.js';

export interface OrderSeen {
  readonly host: string;
  readonly state: string;
  readonly outcome: string | null;
}

export function lookAt(stack: Stack) {
  const orders = (changeId: string, kind = 'change'): Promise<OrderSeen[]> =>
    stack.rows<OrderSeen>(
      `SELECT e.name AS host, o.state, o.outcome FROM order_state o JOIN endpoint e ON e.id = o.endpoint_id
        WHERE o.change_id = $1 AND o.kind = $2 ORDER BY e.name`,
      [changeId, kind],
    );
  const outcome = async (changeId: string): Promise<string | null> =>
    (await stack.rows('SELECT outcome FROM change WHERE id = $1', [changeId]))[0].outcome;
  return {
    orders,
    outcome,
    states: async (changeId: string, kind = 'change'): Promise<Record<string, string>> =>
      Object.fromEntries((await orders(changeId, kind)).map(({ host, state }) => [host, state])),
    /** How often these events happened to orders of the change so far. */
    count: async (changeId: string, events: readonly string[]): Promise<number> =>
      (
        await stack.rows(
          `SELECT count(*)::int AS n FROM order_event e JOIN order_state o ON o.id = e.order_id
            WHERE o.change_id = $1 AND e.event = ANY ($2)`,
          [changeId, events],
        )
      )[0].n,
    closed: (changeId: string, seconds = 60): Promise<void> =>
      stack.waitFor('the change closed', async () => (await outcome(changeId)) !== null, seconds),
    /** Sets slow start aside, which is not what these tests are about. */
    hurry: (changeId: string) => stack.rows('UPDATE ring SET concurrency = 50 WHERE change_id = $1', [changeId]),
  };
}

/** The worker that holds the pump of a change's first ring, by what Temporal knows of its attempt. */
export async function whoPumps(stack: Stack, args: { changeId: string; workers: readonly string[] }): Promise<string> {
  const connection = await Connection.connect({ address: stack.temporalAddress });
  try {
    const { raw } = await new Client({ connection }).workflow.getHandle(`change/${args.changeId}/ring/0`).describe();
    const pid = Number.parseInt(raw.pendingActivities?.[0]?.lastWorkerIdentity ?? '', 10);
    const name = args.workers.find((one) => stack.processes.pid(one) === pid);
    if (name === undefined) throw new Error(`none of ${args.workers.join(', ')} has the pump, but process ${pid}`);
    return name;
  } finally {
    await connection.close();
  }
}

/** How many histories a workflow has gone through. */
export async function runsOf(stack: Stack, workflowId: string): Promise<number> {
  const connection = await Connection.connect({ address: stack.temporalAddress });
  try {
    let runs = 0;
    for await (const _ of new Client({ connection }).workflow.list({ query: `WorkflowId='${workflowId}'` })) runs += 1;
    return runs;
  } finally {
    await connection.close();
  }
}
