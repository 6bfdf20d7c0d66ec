import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

/** What is known of an update that a plan includes (design §12). */
export interface PlannedFact {
  readonly name: string;
  readonly arch: string;
  readonly version: string;
  readonly source: string;
  readonly vendor: string | null;
  readonly severity: string | null;
  readonly cves: readonly string[];
  readonly publishedAt: EpochMs | null;
}

/**
 * Notes, for every endpoint and update in a ring, which change brings it and by when. Rows the scans have made keep what
 * they say about when it was first missing.
 */
export async function recordPlannedFacts(
  db: Queryable,
  args: { readonly changeId: string; readonly facts: readonly PlannedFact[]; readonly now: EpochMs },
): Promise<void> {
  if (args.facts.length === 0) return;
  await db.query(
    `WITH known AS MATERIALIZED (
       SELECT f.*, ARRAY(SELECT jsonb_array_elements_text(f.cve_list)) AS cves
         FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::jsonb[], $10::float8[])
                AS f (name, arch, version, source, vendor, severity, cve_list, published)),
     sets AS MATERIALIZED (
       SELECT us.digest, i.name, i.arch, i."from" AS installed, i."to" AS version
         FROM update_set us
        CROSS JOIN LATERAL jsonb_to_recordset(us.items) AS i (name text, arch text, "from" text, "to" text)
        WHERE us.digest IN (SELECT update_set_digest FROM plan_endpoint WHERE change_id = $1 AND ring IS NOT NULL))
     INSERT INTO update_fact (endpoint_id, name, arch, version, installed_before, source, vendor, severity, cves,
                              published_at, first_missing_at, last_missing_at, due_at, change_id)
     SELECT pe.endpoint_id, s.name, s.arch, s.version, s.installed, k.source, k.vendor, k.severity, k.cves,
            to_timestamp(k.published / 1000.0), to_timestamp($2 / 1000.0), to_timestamp($2 / 1000.0),
            coalesce((SELECT z.due_at FROM zero_day z WHERE z.id = c.zero_day_id), c.deadline), c.id
       FROM plan_endpoint pe JOIN change c ON c.id = pe.change_id
       JOIN sets s ON s.digest = pe.update_set_digest
       JOIN known k ON k.name = s.name AND k.arch = s.arch AND k.version = s.version
      WHERE pe.change_id = $1 AND pe.ring IS NOT NULL
     ON CONFLICT (endpoint_id, name, arch, version) DO UPDATE
        SET change_id = excluded.change_id, source = excluded.source, vendor = coalesce(excluded.vendor, update_fact.vendor),
            severity = coalesce(excluded.severity, update_fact.severity),
            cves = CASE WHEN cardinality(excluded.cves) > 0 THEN excluded.cves ELSE update_fact.cves END,
            published_at = coalesce(update_fact.published_at, excluded.published_at),
            due_at = coalesce(update_fact.due_at, excluded.due_at)
      WHERE update_fact.confirmed_at IS NULL
        AND (update_fact.change_id, update_fact.source, update_fact.severity, update_fact.published_at, update_fact.due_at)
              IS DISTINCT FROM (excluded.change_id, excluded.source, coalesce(excluded.severity, update_fact.severity),
                                coalesce(update_fact.published_at, excluded.published_at), coalesce(update_fact.due_at, excluded.due_at))
         OR (cardinality(excluded.cves) > 0 AND update_fact.cves <> excluded.cves AND update_fact.confirmed_at IS NULL)`,
    [
      args.changeId,
      args.now,
      args.facts.map((f) => f.name),
      args.facts.map((f) => f.arch),
      args.facts.map((f) => f.version),
      args.facts.map((f) => f.source),
      args.facts.map((f) => f.vendor),
      args.facts.map((f) => f.severity),
      args.facts.map((f) => JSON.stringify(f.cves)),
      args.facts.map((f) => f.publishedAt),
    ],
  );
}
