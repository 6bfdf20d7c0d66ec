/** What a fleet needs before its first change: content with true digests, catalogue rows that name it, a policy. */
import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';

export interface SeededPackage {
  readonly name: string;
  readonly version: string;
}

/** Stores a small file for each package version and lets a repository name it, as a verified index would have. */
export async function seedCatalogue(args: {
  readonly pool: pg.Pool;
  readonly contentDir: string;
  readonly packages: readonly SeededPackage[];
}): Promise<void> {
  const { pool, contentDir, packages } = args;
  const files = packages.map(({ name, version }) => {
    const bytes = Buffer.from(`simulated package ${name} ${version}\n`);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const folder = join(contentDir, sha256.slice(0, 2), sha256.slice(2, 4));
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    writeFileSync(join(folder, sha256), bytes);
    return { name, version, sha256, size: bytes.length, filename: `pool/${name}_${version}_amd64.deb` };
  });
  const repository = randomUUID();
  await pool.query(
    `INSERT INTO repository (id, name, kind, config, last_synced_at) VALUES ($1, 'simulated', 'apt', '{}', now() + interval '1 day')`,
    [repository],
  );
  await pool.query(
    `INSERT INTO catalogue_package (repository_id, name, arch, version, suite, source, source_version, sha256, size, filename)
     SELECT $1, f.name, 'amd64', f.version, 'stable', f.name, f.version, f.sha256, f.size, f.filename
       FROM jsonb_to_recordset($2::jsonb) AS f (name text, version text, sha256 text, size bigint, filename text)`,
    [repository, JSON.stringify(files)],
  );
  await pool.query(
    `INSERT INTO content (sha256, size) SELECT f.sha256, f.size FROM jsonb_to_recordset($1::jsonb) AS f (sha256 text, size bigint)`,
    [JSON.stringify(files)],
  );
}

/** Hours that are always open, and one check that a simulated host can fail. */
export const openPolicy = (over: Record<string, unknown> = {}) => ({
  appliesTo: { all: true },
  hours: { communicate: { always: true }, stage: { always: true }, apply: { always: true } },
  freezeCalendars: [],
  reboot: 'ifNeeded',
  expectedMinutes: 1,
  healthChecks: [{ type: 'port', port: 8088 }],
  hooks: [],
  stageRateLimit: null,
  ...over,
});
