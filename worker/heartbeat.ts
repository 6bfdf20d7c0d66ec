import type { Client } from '@temporalio/client';
import type { Pool } from 'pg';
import type { EpochMs } from '../domain/time.js';
import type { DutyState } from './loops.js';

/** Tells, through the database, that a worker lives, whether it reaches Temporal and how its duties go; the web tier shows it. */
export async function writeHeartbeat(args: {
  readonly pool: Pool;
  readonly client: Client;
  readonly now: EpochMs;
  readonly duties: readonly DutyState[];
}): Promise<void> {
  const temporal = await args.client.connection.workflowService
    .getSystemInfo({})
    .then(() => ({ reachable: true, detail: null as string | null }))
    .catch((error: Error) => ({ reachable: false, detail: error.message }));
  await args.pool.query(
    `INSERT INTO setting (key, value) VALUES ('workerHeartbeat', $1) ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
    [JSON.stringify({ at: args.now, temporal, duties: args.duties })],
  );
}
