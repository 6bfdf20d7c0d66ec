import type { Client } from '@temporalio/client';
import type { Pool } from 'pg';
import type { EpochMs } from '../domain/time.js';
import type { DiskWatch } from './disks.js';
import type { DutyState } from './loops.js';

/** A server that does not answer must not keep the heartbeat from being written. */
const TEMPORAL_PATIENCE_MS = 3_000;

/** Tells, through the database, that a worker lives, whether it reaches Temporal, how its duties go and how full the disks are; the web tier shows it. */
export async function writeHeartbeat(args: {
  readonly pool: Pool;
  readonly client: Client;
  readonly now: EpochMs;
  readonly duties: readonly DutyState[];
  readonly disks: DiskWatch;
  readonly diskReserveBytes: number;
}): Promise<void> {
  const { connection } = args.client;
  const temporal = await connection
    .withDeadline(Date.now() + TEMPORAL_PATIENCE_MS, () => connection.workflowService.getSystemInfo({}))
    .then(() => ({ reachable: true, detail: null as string | null }))
    .catch((error: Error) => ({ reachable: false, detail: error.message }));
  await args.pool.query(
    `INSERT INTO setting (key, value) VALUES ('workerHeartbeat', $1) ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
    [
      JSON.stringify({
        at: args.now,
        temporal,
        duties: args.duties,
        disks: await args.disks.look(),
        diskReserveBytes: args.diskReserveBytes,
      }),
    ],
  );
}
