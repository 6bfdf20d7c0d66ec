/** Baselines and their versions as rows. */
import { randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import type { BaselineRule, Benchmark } from '../../domain/baseline/model.js';
import { ruleNames } from '../../domain/baseline/rule-name.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

export interface VersionRow {
  readonly id: string;
  readonly baselineId: string;
  readonly baseline: string;
  readonly number: number;
  readonly sha256: string;
  readonly size: number;
  readonly benchmarkId: string;
  readonly benchmarkVersion: string;
  readonly title: string;
  readonly platforms: readonly string[];
  readonly rules: number;
  readonly profiles: readonly { readonly id: string; readonly title: string }[];
  readonly importedBy: string;
  readonly importedAt: Date;
  /** Endpoints can have it: the worker has put it into the content store. */
  readonly stored: boolean;
}

const COLUMNS = `v.id, v.baseline_id AS "baselineId", b.name AS baseline, v.number, v.sha256, v.size, v.benchmark_id AS "benchmarkId",
  v.benchmark_version AS "benchmarkVersion", v.title, v.platforms, v.imported_by AS "importedBy", v.imported_at AS "importedAt",
  v.stored_at IS NOT NULL AS stored, (SELECT count(*)::int FROM baseline_rule r WHERE r.version_id = v.id) AS rules,
  (SELECT jsonb_agg(jsonb_build_object('id', p ->> 'id', 'title', p ->> 'title')) FROM jsonb_array_elements(v.profiles) p) AS profiles`;
const FROM = 'baseline_version v JOIN baseline b ON b.id = v.baseline_id';

/** Versions of all baselines or of one, newest first within each. */
export async function listVersions(db: Queryable, args: { readonly baseline?: string }): Promise<VersionRow[]> {
  const { rows } = await db.query<VersionRow>(
    `SELECT ${COLUMNS} FROM ${FROM} WHERE $1::text IS NULL OR b.name = $1 ORDER BY b.name, v.number DESC LIMIT 2000`,
    [args.baseline ?? null],
  );
  return rows.map((row) => ({ ...row, profiles: row.profiles ?? [] }));
}

/** One version by the baseline's name; the newest unless a number is given. */
export async function findVersion(
  db: Queryable,
  args: { readonly baseline: string; readonly number?: number | undefined },
): Promise<VersionRow | null> {
  const { rows } = await db.query<VersionRow>(
    `SELECT ${COLUMNS} FROM ${FROM} WHERE b.name = $1 AND ($2::int IS NULL OR v.number = $2) ORDER BY v.number DESC LIMIT 1`,
    [args.baseline, args.number ?? null],
  );
  const [row] = rows;
  return row === undefined ? null : { ...row, profiles: row.profiles ?? [] };
}

export async function findVersionById(db: Queryable, id: string): Promise<VersionRow | null> {
  const { rows } = await db.query<VersionRow>(`SELECT ${COLUMNS} FROM ${FROM} WHERE v.id = $1`, [id]);
  const [row] = rows;
  return row === undefined ? null : { ...row, profiles: row.profiles ?? [] };
}

/** The whole benchmark of a version. @throws Error when there is no such version */
export async function loadBenchmark(db: Queryable, versionId: string): Promise<Benchmark> {
  const [{ rows }, rules] = await Promise.all([
    db.query(
      'SELECT benchmark_id, benchmark_version, title, platforms, groups, vals, profiles FROM baseline_version WHERE id = $1',
      [versionId],
    ),
    db.query('SELECT id, title, severity, detail FROM baseline_rule WHERE version_id = $1 ORDER BY number', [
      versionId,
    ]),
  ]);
  const [version] = rows;
  if (version === undefined) throw new Error(`there is no baseline version ${versionId}`);
  return {
    id: version.benchmark_id,
    version: version.benchmark_version,
    title: version.title,
    platforms: version.platforms,
    groups: version.groups,
    values: version.vals,
    profiles: version.profiles,
    rules: rules.rows.map(({ detail, ...rest }) => ({ ...rest, ...detail }) as BaselineRule),
  };
}

/**
 * Stores a version, once per baseline and bytes.
 * @param args.document the data stream, compressed by gzip
 * @returns the version's id, and whether it was there already
 */
export async function insertVersion(
  client: PoolClient,
  args: {
    readonly baseline: string;
    readonly benchmark: Benchmark;
    readonly sha256: string;
    readonly size: number;
    readonly document: Buffer;
    readonly by: string;
    readonly now: EpochMs;
  },
): Promise<{ readonly id: string; readonly number: number; readonly existed: boolean }> {
  const { benchmark, now } = args;
  await client.query(
    `INSERT INTO baseline (id, name, created_by, created_at) VALUES ($1, $2, $3, to_timestamp($4 / 1000.0)) ON CONFLICT (name) DO NOTHING`,
    [randomUUID(), args.baseline, args.by, now],
  );
  // Two imports of one baseline take turns here, so that each gets its own number.
  await client.query(`SELECT pg_advisory_xact_lock(hashtext('baseline ' || $1))`, [args.baseline]);
  const { rows } = await client.query(
    `SELECT b.id, v.id AS version_id, v.number, (SELECT coalesce(max(number), 0) FROM baseline_version n WHERE n.baseline_id = b.id) AS newest
       FROM baseline b LEFT JOIN baseline_version v ON v.baseline_id = b.id AND v.sha256 = $2 WHERE b.name = $1`,
    [args.baseline, args.sha256],
  );
  const [known] = rows;
  if (known.version_id !== null) return { id: known.version_id, number: known.number, existed: true };
  const id = randomUUID();
  const number = known.newest + 1;
  await client.query(
    `INSERT INTO baseline_version (id, baseline_id, number, sha256, size, document, benchmark_id, benchmark_version, title, platforms,
                                   groups, vals, profiles, imported_by, imported_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, to_timestamp($15 / 1000.0))`,
    [
      id,
      known.id,
      number,
      args.sha256,
      args.size,
      args.document,
      benchmark.id,
      benchmark.version,
      benchmark.title,
      benchmark.platforms,
      JSON.stringify(benchmark.groups),
      JSON.stringify(benchmark.values),
      JSON.stringify(benchmark.profiles),
      args.by,
      now,
    ],
  );
  const names = ruleNames(benchmark.rules.map((rule) => rule.id));
  await client.query(
    `INSERT INTO baseline_rule (version_id, number, id, name, title, severity, detail)
     SELECT $1, r.number, r.id, r.name, r.title, r.severity, r.detail
       FROM jsonb_to_recordset($2::jsonb) AS r (number smallint, id text, name text, title text, severity text, detail jsonb)`,
    [
      id,
      JSON.stringify(
        benchmark.rules.map(({ id: ruleId, title, severity, ...detail }, index) => ({
          number: index,
          id: ruleId,
          name: names[index],
          title,
          severity,
          detail,
        })),
      ),
    ],
  );
  return { id, number, existed: false };
}
