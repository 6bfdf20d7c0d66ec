/** One scan's findings, replaced as a whole, in one transaction and a fixed number of statements however much there is. */
import type { Pool, PoolClient } from 'pg';
import type { EpochMs } from '../../domain/time.js';
import type { InventoryRequest } from '../../protocol/messages.js';
import { selectableFacts } from '../endpoints/selectable.js';
import { refreshQuorumMembers } from '../groups/groups.js';
import { inTransaction } from '../pool.js';
import { recordMissing, settleConfirmed } from './update-facts.js';

export interface ScanResult {
  /** False when this scan was stored before: a repeated request changes nothing. */
  readonly stored: boolean;
}

/**
 * Stores a scan. An incomplete one leaves a record that it was tried, and what earlier scans found stays.
 * Rows name the scan that last *changed* them, so that a scan without news writes next to nothing.
 */
export function storeScan(
  pool: Pool,
  args: { readonly endpointId: string; readonly scan: InventoryRequest; readonly now: EpochMs },
): Promise<ScanResult> {
  return inTransaction(pool, async (client) => {
    const { endpointId, scan, now } = args;
    // Two scans of one endpoint take turns.
    const { rows } = await client.query<{ moved: boolean }>(
      'SELECT NOT facts @> $2::jsonb AS moved FROM endpoint WHERE id = $1 FOR NO KEY UPDATE',
      [endpointId, JSON.stringify(selectableFacts(scan.facts))],
    );
    const inserted = await insertScan(client, args);
    if (!inserted) return { stored: false };
    // Also after a scan that failed: asking again at every poll would only load a host that can't answer.
    await client.query('UPDATE endpoint SET facts = facts || $2::jsonb, wants_scan = false WHERE id = $1', [
      endpointId,
      JSON.stringify(scan.facts),
    ]);
    if (rows[0]?.moved === true) await refreshQuorumMembers(client, endpointId);
    if (!scan.complete) return { stored: true };
    await replacePackages(client, endpointId, scan);
    await replaceUpdates(client, endpointId, scan);
    await replaceServices(client, endpointId, scan);
    await recordMissing(client, { endpointId, scan, now });
    await settleConfirmed(client, { endpointId, scan, now });
    return { stored: true };
  });
}

async function insertScan(
  client: PoolClient,
  { endpointId, scan, now }: { endpointId: string; scan: InventoryRequest; now: EpochMs },
): Promise<boolean> {
  const { rowCount } = await client.query(
    `INSERT INTO scan (id, endpoint_id, started_at, received_at, complete, incomplete_reason, provider, index_age_seconds,
                       reboot_required, audit_clean)
     VALUES ($1, $2, to_timestamp($3 / 1000.0), to_timestamp($4 / 1000.0), $5, $6, $7, $8, $9, $10)
     ON CONFLICT (id) DO NOTHING`,
    [
      scan.scanId,
      endpointId,
      scan.startedAt,
      now,
      scan.complete,
      scan.incompleteReason,
      scan.provider,
      scan.indexAgeSeconds,
      scan.rebootRequired,
      scan.auditClean,
    ],
  );
  return rowCount === 1;
}

async function replacePackages(client: PoolClient, endpointId: string, scan: InventoryRequest): Promise<void> {
  const { packages } = scan;
  await client.query(
    `WITH incoming AS (SELECT * FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
                         AS t(name, arch, version, source, source_version)),
     gone AS (DELETE FROM installed_package p WHERE p.endpoint_id = $1
                AND NOT EXISTS (SELECT FROM incoming i WHERE i.name = p.name AND i.arch = p.arch))
     INSERT INTO installed_package AS p (endpoint_id, name, arch, version, source, source_version, scan_id)
     SELECT $1, name, arch, version, source, source_version, $2 FROM incoming
     ON CONFLICT (endpoint_id, name, arch) DO UPDATE
       SET version = excluded.version, source = excluded.source, source_version = excluded.source_version,
           scan_id = excluded.scan_id
       WHERE (p.version, p.source, p.source_version) <> (excluded.version, excluded.source, excluded.source_version)`,
    [
      endpointId,
      scan.scanId,
      packages.map((p) => p.name),
      packages.map((p) => p.arch),
      packages.map((p) => p.version),
      packages.map((p) => p.source),
      packages.map((p) => p.sourceVersion),
    ],
  );
}

async function replaceUpdates(client: PoolClient, endpointId: string, scan: InventoryRequest): Promise<void> {
  const { updates } = scan;
  await client.query(
    `WITH incoming AS (SELECT * FROM unnest($3::text[], $4::text[], $5::text[], $6::text[])
                         AS t(name, arch, installed, candidate)),
     gone AS (DELETE FROM available_update u WHERE u.endpoint_id = $1
                AND NOT EXISTS (SELECT FROM incoming i WHERE i.name = u.name AND i.arch = u.arch))
     INSERT INTO available_update AS u (endpoint_id, name, arch, installed, candidate, scan_id)
     SELECT $1, name, arch, installed, candidate, $2 FROM incoming
     ON CONFLICT (endpoint_id, name, arch) DO UPDATE
       SET installed = excluded.installed, candidate = excluded.candidate, scan_id = excluded.scan_id
       WHERE (u.installed, u.candidate) IS DISTINCT FROM (excluded.installed, excluded.candidate)`,
    [
      endpointId,
      scan.scanId,
      updates.map((u) => u.name),
      updates.map((u) => u.arch),
      updates.map((u) => u.installed),
      updates.map((u) => u.candidate),
    ],
  );
}

async function replaceServices(client: PoolClient, endpointId: string, scan: InventoryRequest): Promise<void> {
  // A process may listen twice under one name (a socket per family): the last one told stands for it.
  const rows = new Map<string, { kind: string; name: string; detail: object }>();
  for (const { name, active } of scan.services) rows.set(`unit ${name}`, { kind: 'unit', name, detail: { active } });
  for (const { protocol, address, port, process } of scan.listeners) {
    const name = `${protocol} ${address}:${port}`;
    rows.set(`listener ${name}`, { kind: 'listener', name, detail: { protocol, address, port, process } });
  }
  const services = [...rows.values()];
  await client.query(
    `WITH incoming AS (SELECT * FROM unnest($3::text[], $4::text[], $5::jsonb[]) AS t(kind, name, detail)),
     gone AS (DELETE FROM endpoint_service s WHERE s.endpoint_id = $1
                AND NOT EXISTS (SELECT FROM incoming i WHERE i.kind = s.kind AND i.name = s.name))
     INSERT INTO endpoint_service AS s (endpoint_id, kind, name, detail, scan_id)
     SELECT $1, kind, name, detail, $2 FROM incoming
     ON CONFLICT (endpoint_id, kind, name) DO UPDATE SET detail = excluded.detail, scan_id = excluded.scan_id
       WHERE s.detail <> excluded.detail`,
    [
      endpointId,
      scan.scanId,
      services.map((s) => s.kind),
      services.map((s) => s.name),
      services.map((s) => JSON.stringify(s.detail)),
    ],
  );
}
