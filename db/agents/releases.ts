/** Releases of the agent, and which endpoints run which. */
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

export interface AgentRelease {
  readonly version: string;
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

/** Makes a release known, with its file in the content store. A version stays what it was when first published. @returns false when the version is another file already */
export async function publishAgentRelease(
  db: Queryable,
  release: AgentRelease & { readonly now: EpochMs },
): Promise<boolean> {
  const { version, sha256, size, now } = release;
  await db.query(
    `WITH stored AS (INSERT INTO content (sha256, size, stored_at) VALUES ($2, $3, to_timestamp($4 / 1000.0)) ON CONFLICT DO NOTHING)
     INSERT INTO agent_release (version, sha256, size, published_at) VALUES ($1, $2, $3, to_timestamp($4 / 1000.0)) ON CONFLICT DO NOTHING`,
    [version, sha256, size, now],
  );
  const { rows } = await db.query<{ sha256: string }>('SELECT sha256 FROM agent_release WHERE version = $1', [version]);
  return rows[0]?.sha256 === sha256;
}

export async function loadAgentReleases(db: Queryable): Promise<readonly AgentRelease[]> {
  const { rows } = await db.query<AgentRelease>('SELECT version, sha256, size::float8 AS size FROM agent_release');
  return rows;
}

/** Endpoints by what their agents are. `version` null: it never said, or can't update itself. */
export async function loadAgentGroups(
  db: Queryable,
  endpointIds: readonly string[],
): Promise<readonly { readonly version: string | null; readonly endpointIds: readonly string[] }[]> {
  const { rows } = await db.query<{ version: string | null; endpointIds: string[] }>(
    `SELECT CASE WHEN agent -> 'providers' ? 'self' THEN agent ->> 'version' END AS version,
            array_agg(id ORDER BY id) AS "endpointIds"
       FROM endpoint WHERE id = ANY ($1) GROUP BY 1 ORDER BY 1`,
    [endpointIds],
  );
  return rows;
}
