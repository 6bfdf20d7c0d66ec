/** One row per endpoint and update ever seen missing (design §12), from the first scan on. */
import type { PoolClient } from 'pg';
import { compareDebVersionTexts } from '../../domain/content/deb-version.js';
import type { EpochMs } from '../../domain/time.js';
import type { InventoryRequest } from '../../protocol/messages.js';

interface ScanOf {
  readonly endpointId: string;
  readonly scan: InventoryRequest;
}

/** Updates these scans found missing: seen first now, or again. One that had been confirmed and is missing again is open again. */
export async function recordMissing(client: PoolClient, scans: readonly ScanOf[], now: EpochMs): Promise<void> {
  const rows = scans.flatMap(({ endpointId, scan }) => {
    const sources = new Map(scan.packages.map((p) => [`${p.name} ${p.arch}`, p.source]));
    return scan.updates.map((u) => ({ ...u, endpointId, source: sources.get(`${u.name} ${u.arch}`) ?? null }));
  });
  if (rows.length === 0) return;
  await client.query(
    `INSERT INTO update_fact AS f (endpoint_id, name, arch, version, installed_before, source, first_missing_at, last_missing_at)
     SELECT endpoint_id, name, arch, version, before, source, to_timestamp($1 / 1000.0), to_timestamp($1 / 1000.0)
       FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
              AS t(endpoint_id, name, arch, version, before, source)
     ON CONFLICT (endpoint_id, name, arch, version) DO UPDATE
       SET last_missing_at = excluded.last_missing_at, confirmed_at = NULL,
           outcome = CASE WHEN f.confirmed_at IS NULL THEN f.outcome ELSE 'missingAgain' END,
           source = coalesce(f.source, excluded.source)`,
    [
      now,
      rows.map((u) => u.endpointId),
      rows.map((u) => u.name),
      rows.map((u) => u.arch),
      rows.map((u) => u.candidate),
      rows.map((u) => u.installed),
      rows.map((u) => u.source),
    ],
  );
}

export type Settled = 'installed' | 'newer' | 'removed';

/** What a scan says about an update that was missing: null while it still is. */
export function settledBy(args: {
  readonly provider: string;
  readonly wanted: string;
  readonly installed: string | undefined;
  readonly wasInstalled: boolean;
}): Settled | null {
  const { provider, wanted, installed, wasInstalled } = args;
  if (installed === undefined) return wasInstalled ? 'removed' : null;
  if (installed === wanted) return 'installed';
  // Only for providers whose order of versions is known here; elsewhere equality alone proves something.
  if (provider !== 'apt') return null;
  const compared = compareDebVersionTexts(installed, wanted);
  if (!compared.ok || compared.order < 0) return null;
  return compared.order === 0 ? 'installed' : 'newer';
}

/** Closes facts whose update these scans found installed (or overtaken, or its package gone). */
export async function settleConfirmed(client: PoolClient, scans: readonly ScanOf[], now: EpochMs): Promise<void> {
  const { rows: open } = await client.query<{
    endpoint_id: string;
    name: string;
    arch: string;
    version: string;
    before: string | null;
  }>(
    `SELECT endpoint_id, name, arch, version, installed_before AS before FROM update_fact
      WHERE endpoint_id = ANY ($1::uuid[]) AND confirmed_at IS NULL`,
    [scans.map(({ endpointId }) => endpointId)],
  );
  const found = new Map(
    scans.map(({ endpointId, scan }) => [
      endpointId,
      {
        provider: scan.provider,
        installed: new Map(scan.packages.map((p) => [`${p.name} ${p.arch}`, p.version])),
        missing: new Set(scan.updates.map((u) => `${u.name} ${u.arch} ${u.candidate}`)),
      },
    ]),
  );
  const settled = open.flatMap((fact) => {
    const scan = found.get(fact.endpoint_id);
    if (scan === undefined || scan.missing.has(`${fact.name} ${fact.arch} ${fact.version}`)) return [];
    const outcome = settledBy({
      provider: scan.provider,
      wanted: fact.version,
      installed: scan.installed.get(`${fact.name} ${fact.arch}`),
      wasInstalled: fact.before !== null,
    });
    return outcome === null ? [] : [{ ...fact, outcome }];
  });
  if (settled.length === 0) return;
  await client.query(
    `UPDATE update_fact f SET confirmed_at = to_timestamp($1 / 1000.0), outcome = s.outcome
       FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[]) AS s(endpoint_id, name, arch, version, outcome)
      WHERE f.endpoint_id = s.endpoint_id AND f.name = s.name AND f.arch = s.arch AND f.version = s.version`,
    [
      now,
      settled.map((s) => s.endpoint_id),
      settled.map((s) => s.name),
      settled.map((s) => s.arch),
      settled.map((s) => s.version),
      settled.map((s) => s.outcome),
    ],
  );
}
