/** What a worker does about baselines beside changes: bytes into the content store, who is measured by what, scan orders in time. */
import { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import type { Pool } from 'pg';
import type { ContentStore } from '../adapters/content/store.js';
import { listAssignments } from '../db/baseline/assignments.js';
import { takeDueEnforcements } from '../db/baseline/enforcement.js';
import { markStored, nextPendingFile } from '../db/baseline/pending-content.js';
import { expireScans, orderDueScans, orderHandOvers, orderProofs } from '../db/baseline/scan-orders.js';
import { isAnyWanted, replaceTargets } from '../db/baseline/targets.js';
import { recordStored } from '../db/catalogue/content.js';
import { createChange } from '../db/change/create.js';
import { loadSelectables } from '../db/endpoints/selectable.js';
import type { OrderSigner } from '../db/orders/types.js';
import { loadGroups, loadPolicies } from '../db/policy/load.js';
import { inTransaction } from '../db/pool.js';
import { resolveAssignments } from '../domain/baseline/assignment.js';
import { enforcementSpec } from '../domain/baseline/enforcement.js';
import { DEFAULT_REVISIT_MINUTES, revisitMinutes } from '../domain/baseline/revisit.js';
import { type EpochMs, SECOND } from '../domain/time.js';
import { changeWorkflowId } from '../workflows/ids.js';
import type { Duty } from './loops.js';

/** A data stream has at most 128 MB (api/baselines/import.ts); one that claims to unpack to more is not one of ours. */
const LARGEST = 128 * 1024 * 1024;
const RESOLVE_EVERY_MS = 20 * SECOND;
/** Who is due by the calendar or after a change; who was asked for waits no longer than a second. */
const LOOK_EVERY_MS = 5 * SECOND;

export function baselineDuties(deps: {
  readonly pool: Pool;
  readonly store: ContentStore;
  readonly signer: OrderSigner;
  readonly clock: () => EpochMs;
}): readonly Duty[] {
  const { pool, clock } = deps;
  let resolved = 0;
  let looked = 0;
  let seen = '';
  return [
    {
      name: 'baseline-content',
      everyMs: 2 * SECOND,
      run: async () => {
        const file = await nextPendingFile(pool);
        if (file === null) return false;
        const bytes = file.packed ? gunzipSync(file.bytes, { maxOutputLength: LARGEST }) : file.bytes;
        const { sha256, size, what } = file;
        await deps.store.put({ sha256, size, what, stream: Readable.from([bytes]) });
        await inTransaction(pool, async (client) => {
          await recordStored(client, { sha256, size, now: clock() });
          await markStored(client, file, clock());
        });
        return true;
      },
    },
    {
      name: 'enforcement',
      everyMs: 10 * SECOND,
      run: () =>
        inTransaction(pool, async (client) => {
          const now = clock();
          for (const due of await takeDueEnforcements(client, now)) {
            await createChange(client, {
              spec: enforcementSpec(due),
              requestedBy: `baseline-assignment/${due.assignment}`,
              now,
              workflowId: changeWorkflowId,
            });
          }
          return false;
        }),
    },
    {
      name: 'assessments',
      everyMs: SECOND,
      run: async () => {
        const now = clock();
        // Resolved again when an assignment was edited, and in between because endpoints come, go and change labels.
        const edited = await newestEdit(pool);
        if (edited !== seen || now - resolved >= RESOLVE_EVERY_MS) {
          await resolveTargets(pool);
          seen = edited;
          resolved = now;
        }
        return inTransaction(pool, async (client) => {
          if (now - resolved < SECOND) await expireScans(client, now);
          const proofs = await orderProofs(client, { signer: deps.signer, now });
          const look = now - looked >= LOOK_EVERY_MS || (await isAnyWanted(client));
          const scans = look && (await orderDueScans(client, { signer: deps.signer, now }));
          if (look && !scans) looked = now;
          const handOvers = await orderHandOvers(client, { signer: deps.signer, now });
          return proofs || scans || handOvers;
        });
      },
    },
  ];
}

async function newestEdit(pool: Pool): Promise<string> {
  const { rows } = await pool.query(
    'SELECT count(*) || coalesce(max(edited_at)::text, $1) AS edit FROM baseline_assignment',
    [''],
  );
  return rows[0].edit;
}

async function resolveTargets(pool: Pool): Promise<void> {
  const assignments = await listAssignments(pool);
  const [endpoints, groups, policies] =
    assignments.length === 0
      ? [[], new Map(), []]
      : await Promise.all([loadSelectables(pool, {}), loadGroups(pool), loadPolicies(pool)]);
  const held = resolveAssignments({ assignments, endpoints, groups });
  const minutes = revisitMinutes({ endpoints, groups, policies });
  await inTransaction(pool, async (client) => {
    // One worker at a time: two would undo each other's rows.
    const { rows } = await client.query(`SELECT pg_try_advisory_xact_lock(hashtext('baseline targets')) AS mine`);
    if (rows[0].mine !== true) return;
    await replaceTargets(
      client,
      held.map((one) => ({ ...one, everyMinutes: minutes.get(one.endpointId) ?? DEFAULT_REVISIT_MINUTES })),
    );
  });
}
