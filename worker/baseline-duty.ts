/** What a worker does about baselines beside changes: bytes into the content store, who is measured by what, scan orders in time. */
import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import type { Pool } from 'pg';
import type { ContentStore } from '../adapters/content/store.js';
import { listAssignments } from '../db/baseline/assignments.js';
import { readFixesAnew } from '../db/baseline/checklists.js';
import { nextWithoutChecks, noteChecks } from '../db/baseline/checks-read.js';
import { takeDueEnforcements } from '../db/baseline/enforcement.js';
import { markStored, nextPendingFile } from '../db/baseline/pending-content.js';
import { expireScans, orderDueScans, orderHandOvers, orderProofs } from '../db/baseline/scan-orders.js';
import { replaceTargets } from '../db/baseline/targets.js';
import { recordStored } from '../db/catalogue/content.js';
import { createChange } from '../db/change/create.js';
import { loadSelectables } from '../db/endpoints/selectable.js';
import type { OrderSigner } from '../db/orders/types.js';
import { loadGroups, loadPolicies } from '../db/policy/load.js';
import { inTransaction } from '../db/pool.js';
import { type Held, resolveAssignments } from '../domain/baseline/assignment.js';
import { enforcementActor, enforcementSpec } from '../domain/baseline/enforcement.js';
import { createDataStreamReader } from '../domain/baseline/read-data-stream.js';
import { DEFAULT_REVISIT_MINUTES, revisitMinutes } from '../domain/baseline/revisit.js';
import { type EpochMs, SECOND } from '../domain/time.js';
import { changeWorkflowId } from '../workflows/ids.js';
import { lookedFor } from './look.js';
import type { Duty } from './loops.js';

/** A data stream has at most 128 MB (api/baselines/import.ts); one that claims to unpack to more is not one of ours. */
const LARGEST = 128 * 1024 * 1024;
/** Bytes parsed before others get their turn. */
const PIECE = 32 * 1024;
const RESOLVE_EVERY_MS = 20 * SECOND;
/** It goes over all endpoints: with so many that it takes long, it is done so much more rarely. */
const RESOLVE_SHARE = 1 / 50;

export function baselineDuties(deps: {
  readonly pool: Pool;
  readonly store: ContentStore;
  readonly signer: OrderSigner;
  readonly clock: () => EpochMs;
}): readonly Duty[] {
  const { pool, clock, store } = deps;
  /** Versions whose tests were read by this process, or could not be. */
  const tried = new Set<string>();
  let resolved = 0;
  let pause = RESOLVE_EVERY_MS;
  let seen = '';
  return [
    {
      ...lookedFor('baseline-content'),
      run: async () => {
        const file = await nextPendingFile(pool);
        if (file === null) return false;
        const bytes = file.packed ? gunzipSync(file.bytes, { maxOutputLength: LARGEST }) : file.bytes;
        const { sha256, size, what } = file;
        await store.put({ sha256, size, what, stream: Readable.from([bytes]) });
        await inTransaction(pool, async (client) => {
          await recordStored(client, { sha256, size, now: clock() });
          await markStored(client, file, clock());
        });
        return true;
      },
    },
    {
      name: 'baseline-fixes',
      everyMs: 60 * SECOND,
      run: async () => {
        if (await readChecksAnew({ pool, store, tried })) return true;
        const { more, problem } = await inTransaction(pool, readFixesAnew);
        // It is on record by now, and the next run goes on with the others.
        if (problem !== null) throw new Error(problem);
        return more;
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
              requestedBy: enforcementActor(due.assignment),
              now,
              workflowId: changeWorkflowId,
            });
          }
          return false;
        }),
    },
    {
      name: 'baseline-targets',
      everyMs: SECOND,
      run: async () => {
        const now = clock();
        // Resolved again when an assignment was edited, and in between because endpoints come, go and change labels.
        const edited = await newestEdit(pool);
        if (edited === seen && now - resolved < pause) return false;
        await resolveTargets(pool, now);
        await expireScans(pool, now);
        seen = edited;
        resolved = now;
        pause = Math.max(RESOLVE_EVERY_MS, (clock() - now) / RESOLVE_SHARE);
        return false;
      },
    },
    {
      ...lookedFor('scans'),
      run: async () => {
        const now = clock();
        return inTransaction(pool, async (client) => {
          const proofs = await orderProofs(client, { signer: deps.signer, now });
          const scans = await orderDueScans(client, { signer: deps.signer, now });
          const handOvers = await orderHandOvers(client, { signer: deps.signer, now });
          return proofs || scans || handOvers;
        });
      },
    },
  ];
}

/**
 * Reads what tests use of one version that an earlier release imported; until then conflicts of its rules go by what their fixes use alone.
 * @returns whether there was one @throws when it can't be read: then it stays as it is until this is started again
 */
async function readChecksAnew(deps: {
  readonly pool: Pool;
  readonly store: Pick<ContentStore, 'open'>;
  readonly tried: Set<string>;
}): Promise<boolean> {
  const { pool, tried } = deps;
  const version = await nextWithoutChecks(pool, [...tried]);
  if (version === null) return false;
  const { id, baseline, number, sha256, document } = version;
  tried.add(id);
  try {
    const stream =
      document === null
        ? (await deps.store.open(sha256)).handle.createReadStream({ highWaterMark: PIECE })
        : Readable.from(piecesOf(gunzipSync(document, { maxOutputLength: LARGEST })));
    const reader = createDataStreamReader();
    for await (const piece of stream) {
      reader.write(piece as Buffer);
      await setImmediate();
    }
    const benchmark = reader.end();
    await inTransaction(pool, (client) => noteChecks(client, { versionId: id, benchmark }));
  } catch (error) {
    throw new Error(`what tests of ${baseline} version ${number} use can't be read: ${(error as Error).message}`);
  }
  return true;
}

function* piecesOf(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += PIECE) yield bytes.subarray(at, at + PIECE);
}

async function newestEdit(pool: Pool): Promise<string> {
  const { rows } = await pool.query(
    'SELECT count(*) || coalesce(max(edited_at)::text, $1) AS edit FROM baseline_assignment',
    [''],
  );
  return rows[0].edit;
}

async function resolveTargets(pool: Pool, now: EpochMs): Promise<void> {
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
    const everyMinutes = ({ endpointId }: Held) => minutes.get(endpointId) ?? DEFAULT_REVISIT_MINUTES;
    await replaceTargets(client, { targets: held.map((one) => ({ ...one, everyMinutes: everyMinutes(one) })), now });
  });
}
