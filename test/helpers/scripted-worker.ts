/** A worker on a real dev server with a scripted world; its changes are started by the relay, from rows. */
import { randomUUID } from 'node:crypto';
import { expect } from '@jest/globals';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import type { Pool } from 'pg';
import type { Activities } from '../../activities/contract.js';
import { enqueueStart } from '../../db/outbox/enqueue.js';
import { inTransaction } from '../../db/pool.js';
import type { ChangeSpec } from '../../domain/change/spec.js';
import { MINUTE } from '../../domain/time.js';
import { relayOutbox } from '../../worker/relay.js';
import { changeWorkflowId, TASK_QUEUE } from '../../workflows/ids.js';
import { recordHistories } from './histories.js';

export interface ScriptedWorker {
  readonly client: Client;
  /** Writes a change down and has the relay start it. Returns its id. */
  start(spec: ChangeSpec): Promise<string>;
  /** What the relay complained of. */
  readonly warnings: readonly string[];
  stop(): Promise<void>;
}

export async function startScriptedWorker(args: {
  readonly pool: Pool;
  readonly address: string;
  readonly bundle: { code: string };
  readonly activities: Activities;
}): Promise<ScriptedWorker> {
  const { pool, address } = args;
  const connection = await Connection.connect({ address });
  const native = await NativeConnection.connect({ address });
  const client = new Client({ connection });
  const worker = await Worker.create({
    connection: native,
    taskQueue: TASK_QUEUE,
    workflowBundle: args.bundle,
    activities: { ...args.activities },
  });
  const working = worker.run();
  const started = new Map<string, string>();
  const warnings: string[] = [];
  const log = { warn: (_: object, message: string) => void warnings.push(message) };
  return {
    client,
    warnings,
    async start(spec) {
      const changeId = randomUUID();
      const now = Date.now();
      await inTransaction(pool, async (db) => {
        await db.query(
          `INSERT INTO change (id, kind, name, spec, requested_by, requested_at, deadline)
           VALUES ($1, 'patch', $2, $3, 'test', to_timestamp($4 / 1000.0), to_timestamp($5 / 1000.0))`,
          [changeId, spec.name, JSON.stringify(spec), now, now + spec.deadlineMinutes * MINUTE],
        );
        await enqueueStart(db, { id: randomUUID(), workflowId: changeWorkflowId(changeId), changeId });
      });
      started.set(changeWorkflowId(changeId), expect.getState().currentTestName ?? 'unnamed');
      await relayOutbox({ pool, client, clock: Date.now, log });
      return changeId;
    },
    async stop() {
      const folder = process.env.RINGMASTER_RECORD_HISTORIES;
      for (const [workflowId, name] of folder === undefined ? [] : started) {
        await recordHistories({ client, workflowId, folder: folder as string, name });
      }
      worker.shutdown();
      await working;
      await native.close();
      await connection.close();
    },
  };
}
