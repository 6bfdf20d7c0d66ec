/** Scans' findings, replaced as a whole, in one transaction and a fixed number of statements however much there is. */
import type { Pool, PoolClient } from 'pg';
import type { EpochMs } from '../../domain/time.js';
import type { InventoryRequest } from '../../protocol/messages.js';
import { selectableFacts } from '../endpoints/selectable.js';
import { refreshQuorumMembers } from '../groups/groups.js';
import { inTransaction } from '../pool.js';
import { digestsOf, INVENTORY_PARTS, type InventoryDigests } from './digests.js';
import { servicesOf } from './services.js';
import { recordMissing, settleConfirmed } from './update-facts.js';

export interface ScanOf {
  readonly endpointId: string;
  readonly scan: InventoryRequest;
  /** On our clock. */
  readonly begunAt: EpochMs;
}

/**
 * Stores scans, at most one of each endpoint. An incomplete one leaves a record that it was tried, and what earlier scans
 * found stays; one that was stored before (a repeated request) changes nothing. Rows name the scan that last *changed* them,
 * so that a scan without news writes next to nothing: parts whose digest is as before are not even compared, and rows that are
 * as before are left out of what is inserted, because `ON CONFLICT DO UPDATE` locks (and so writes) every row it meets.
 */
export async function storeScans(
  pool: Pool,
  args: { readonly scans: readonly ScanOf[]; readonly now: EpochMs },
): Promise<void> {
  if (args.scans.length === 0) return;
  await inTransaction(pool, async (client) => {
    const { now } = args;
    // Two scans of one endpoint take turns; rows are locked in one order, as everywhere.
    const { rows: locked } = await client.query<{ id: string; moved: boolean }>(
      `SELECT e.id, NOT e.facts @> s.facts AS moved
         FROM endpoint e JOIN unnest($1::uuid[], $2::jsonb[]) AS s(id, facts) ON s.id = e.id
        ORDER BY e.id FOR NO KEY UPDATE OF e`,
      [
        args.scans.map(({ endpointId }) => endpointId),
        args.scans.map(({ scan }) => JSON.stringify(selectableFacts(scan.facts))),
      ],
    );
    const kept = await keptDigests(client, endpointsOf(args.scans));
    const scans = await insertScans(client, args.scans, now);
    if (scans.length === 0) return;
    // Also after a scan that failed: asking again at every poll would only load a host that can't answer. Not after one that
    // had begun when it was asked for: by age, because askers have the database's time.
    await client.query(
      `UPDATE endpoint e SET facts = e.facts || s.facts, wants_scan = e.wants_scan AND (e.scan_wanted_at > s.begun) IS TRUE
         FROM (SELECT id, facts, now() - age * interval '1 millisecond' AS begun
                 FROM unnest($1::uuid[], $2::jsonb[], $3::float8[]) AS t(id, facts, age)) s
        WHERE e.id = s.id AND (e.wants_scan AND (e.scan_wanted_at > s.begun) IS NOT TRUE OR NOT e.facts @> s.facts)`,
      [
        scans.map(({ endpointId }) => endpointId),
        scans.map(({ scan }) => JSON.stringify(scan.facts)),
        scans.map(({ begunAt }) => now - begunAt),
      ],
    );
    const moved = new Set(locked.flatMap((row) => (row.moved ? [row.id] : [])));
    for (const { endpointId } of scans) if (moved.has(endpointId)) await refreshQuorumMembers(client, endpointId);
    const complete = scans.filter(({ scan }) => scan.complete);
    if (complete.length === 0) return;
    await replaceParts(client, complete, kept);
    await recordMissing(client, complete, now);
    await settleConfirmed(client, complete, now);
  });
}

/** @returns those that are new. */
async function insertScans(client: PoolClient, scans: readonly ScanOf[], now: EpochMs): Promise<readonly ScanOf[]> {
  const { rows } = await client.query<{ id: string }>(
    `INSERT INTO scan (id, endpoint_id, started_at, received_at, complete, incomplete_reason, provider, index_age_seconds,
                       reboot_required, audit_clean)
     SELECT s.id, s.endpoint_id, to_timestamp(s.started_at / 1000.0), to_timestamp($2 / 1000.0), s.complete, s.incomplete_reason,
            s.provider, s.index_age_seconds, s.reboot_required, s.audit_clean
       FROM jsonb_to_recordset($1::jsonb) AS s (id uuid, endpoint_id uuid, started_at float8, complete boolean, incomplete_reason text,
              provider text, index_age_seconds int, reboot_required boolean, audit_clean boolean)
     ON CONFLICT (id) DO NOTHING RETURNING id`,
    [
      JSON.stringify(
        scans.map(({ endpointId, scan, begunAt }) => ({
          id: scan.scanId,
          endpoint_id: endpointId,
          started_at: begunAt,
          complete: scan.complete,
          incomplete_reason: scan.incompleteReason,
          provider: scan.provider,
          index_age_seconds: scan.indexAgeSeconds,
          reboot_required: scan.rebootRequired,
          audit_clean: scan.auditClean,
        })),
      ),
      now,
    ],
  );
  const stored = new Set(rows.map((row) => row.id));
  return scans.filter(({ scan }) => stored.has(scan.scanId));
}

/** Read in a statement of its own after the endpoints' locks: one that had to wait for them would still see what was before. */
async function keptDigests(
  client: PoolClient,
  endpointIds: readonly string[],
): Promise<ReadonlyMap<string, InventoryDigests>> {
  const { rows } = await client.query<InventoryDigests & { endpointId: string }>(
    `SELECT d.endpoint_id AS "endpointId", d.packages, d.updates, d.services FROM inventory_digest d
      WHERE d.endpoint_id = ANY ($1::uuid[])
        AND d.scan_id = (SELECT s.id FROM scan s WHERE s.endpoint_id = d.endpoint_id AND s.complete ORDER BY s.received_at DESC LIMIT 1)`,
    [endpointIds],
  );
  return new Map(rows.map((row) => [row.endpointId, row]));
}

/** Replaces what differs from what is kept, part by part. */
async function replaceParts(
  client: PoolClient,
  scans: readonly ScanOf[],
  kept: ReadonlyMap<string, InventoryDigests>,
): Promise<void> {
  const found = scans.map((one) => ({ ...one, digests: digestsOf(one.scan) }));
  const replace = { packages: replacePackages, updates: replaceUpdates, services: replaceServices };
  for (const part of INVENTORY_PARTS) {
    const differing = found.filter(({ endpointId, digests }) => !kept.get(endpointId)?.[part]?.equals(digests[part]));
    if (differing.length > 0) await replace[part](client, differing);
  }
  await client.query(
    `INSERT INTO inventory_digest (endpoint_id, scan_id, packages, updates, services)
     SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::bytea[], $5::bytea[])
     ON CONFLICT (endpoint_id) DO UPDATE SET scan_id = excluded.scan_id, packages = excluded.packages,
       updates = excluded.updates, services = excluded.services`,
    [
      endpointsOf(found),
      found.map(({ scan }) => scan.scanId),
      ...INVENTORY_PARTS.map((part) => found.map(({ digests }) => digests[part])),
    ],
  );
}

const endpointsOf = (scans: readonly ScanOf[]) => scans.map(({ endpointId }) => endpointId);

async function replacePackages(client: PoolClient, scans: readonly ScanOf[]): Promise<void> {
  const rows = scans.flatMap(({ endpointId, scan }) =>
    scan.packages.map((one) => ({ ...one, endpointId, scanId: scan.scanId })),
  );
  await client.query(
    `WITH incoming AS (SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
                         AS t(endpoint_id, scan_id, name, arch, version, source, source_version)),
     gone AS (DELETE FROM installed_package p WHERE p.endpoint_id = ANY ($1::uuid[])
                AND NOT EXISTS (SELECT FROM incoming i WHERE i.endpoint_id = p.endpoint_id AND i.name = p.name AND i.arch = p.arch))
     INSERT INTO installed_package (endpoint_id, name, arch, version, source, source_version, scan_id)
     SELECT i.endpoint_id, i.name, i.arch, i.version, i.source, i.source_version, i.scan_id
       FROM incoming i LEFT JOIN installed_package p
         ON p.endpoint_id = ANY ($1::uuid[]) AND p.endpoint_id = i.endpoint_id AND p.name = i.name AND p.arch = i.arch
      WHERE (p.version, p.source, p.source_version) IS DISTINCT FROM (i.version, i.source, i.source_version)
     ON CONFLICT (endpoint_id, name, arch) DO UPDATE
       SET version = excluded.version, source = excluded.source, source_version = excluded.source_version,
           scan_id = excluded.scan_id`,
    [
      endpointsOf(scans),
      rows.map((p) => p.endpointId),
      rows.map((p) => p.scanId),
      rows.map((p) => p.name),
      rows.map((p) => p.arch),
      rows.map((p) => p.version),
      rows.map((p) => p.source),
      rows.map((p) => p.sourceVersion),
    ],
  );
}

async function replaceUpdates(client: PoolClient, scans: readonly ScanOf[]): Promise<void> {
  const rows = scans.flatMap(({ endpointId, scan }) =>
    scan.updates.map((one) => ({ ...one, endpointId, scanId: scan.scanId })),
  );
  await client.query(
    `WITH incoming AS (SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[])
                         AS t(endpoint_id, scan_id, name, arch, installed, candidate)),
     gone AS (DELETE FROM available_update u WHERE u.endpoint_id = ANY ($1::uuid[])
                AND NOT EXISTS (SELECT FROM incoming i WHERE i.endpoint_id = u.endpoint_id AND i.name = u.name AND i.arch = u.arch))
     INSERT INTO available_update (endpoint_id, name, arch, installed, candidate, scan_id)
     SELECT i.endpoint_id, i.name, i.arch, i.installed, i.candidate, i.scan_id
       FROM incoming i LEFT JOIN available_update u
         ON u.endpoint_id = ANY ($1::uuid[]) AND u.endpoint_id = i.endpoint_id AND u.name = i.name AND u.arch = i.arch
      WHERE u.endpoint_id IS NULL OR (u.installed, u.candidate) IS DISTINCT FROM (i.installed, i.candidate)
     ON CONFLICT (endpoint_id, name, arch) DO UPDATE
       SET installed = excluded.installed, candidate = excluded.candidate, scan_id = excluded.scan_id`,
    [
      endpointsOf(scans),
      rows.map((u) => u.endpointId),
      rows.map((u) => u.scanId),
      rows.map((u) => u.name),
      rows.map((u) => u.arch),
      rows.map((u) => u.installed),
      rows.map((u) => u.candidate),
    ],
  );
}

async function replaceServices(client: PoolClient, scans: readonly ScanOf[]): Promise<void> {
  const rows = scans.flatMap(({ endpointId, scan }) =>
    servicesOf(scan).map((one) => ({ ...one, endpointId, scanId: scan.scanId })),
  );
  await client.query(
    `WITH incoming AS (SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::jsonb[])
                         AS t(endpoint_id, scan_id, kind, name, detail)),
     gone AS (DELETE FROM endpoint_service s WHERE s.endpoint_id = ANY ($1::uuid[])
                AND NOT EXISTS (SELECT FROM incoming i WHERE i.endpoint_id = s.endpoint_id AND i.kind = s.kind AND i.name = s.name))
     INSERT INTO endpoint_service (endpoint_id, kind, name, detail, scan_id)
     SELECT i.endpoint_id, i.kind, i.name, i.detail, i.scan_id
       FROM incoming i LEFT JOIN endpoint_service s
         ON s.endpoint_id = ANY ($1::uuid[]) AND s.endpoint_id = i.endpoint_id AND s.kind = i.kind AND s.name = i.name
      WHERE s.detail IS DISTINCT FROM i.detail
     ON CONFLICT (endpoint_id, kind, name) DO UPDATE SET detail = excluded.detail, scan_id = excluded.scan_id`,
    [
      endpointsOf(scans),
      rows.map((s) => s.endpointId),
      rows.map((s) => s.scanId),
      rows.map((s) => s.kind),
      rows.map((s) => s.name),
      rows.map((s) => JSON.stringify(s.detail)),
    ],
  );
}
