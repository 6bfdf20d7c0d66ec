import type { PoolClient } from 'pg';
import type { EpochMs } from '../../domain/time.js';
import { DEFAULT_EXPEDITE_POLICY, type ExpeditePolicy } from '../../domain/zero-day/expedite-policy.js';
import { expeditePolicySchema } from '../../domain/zero-day/expedite-policy-schema.js';
import type { Queryable } from '../pool.js';

export interface StoredExpeditePolicy {
  /** 0: nobody has stored one yet. */
  readonly version: number;
  readonly document: ExpeditePolicy;
  readonly createdBy: string | null;
  readonly createdAt: Date | null;
}

/** A stored policy that this release can't read: nothing is hurried under a guess. */
export class ExpeditePolicyUnreadable extends Error {
  override readonly name = 'ExpeditePolicyUnreadable';
}

/** The policy in force. @throws ExpeditePolicyUnreadable */
export async function loadExpeditePolicy(db: Queryable): Promise<StoredExpeditePolicy> {
  const { rows } = await db.query<StoredExpeditePolicy>(
    `SELECT version, document, created_by AS "createdBy", created_at AS "createdAt" FROM expedite_policy ORDER BY version DESC LIMIT 1`,
  );
  const row = rows[0];
  if (row === undefined) return { version: 0, document: DEFAULT_EXPEDITE_POLICY, createdBy: null, createdAt: null };
  const read = expeditePolicySchema.safeParse(row.document);
  if (read.success) return { ...row, document: read.data };
  const problems = read.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ');
  throw new ExpeditePolicyUnreadable(`version ${row.version} of the expedite policy can't be read: ${problems}`);
}

/** Stores the next version; earlier ones stay. */
export async function putExpeditePolicy(
  client: PoolClient,
  args: { readonly document: ExpeditePolicy; readonly by: string; readonly now: EpochMs },
): Promise<number> {
  await client.query(`SELECT pg_advisory_xact_lock(hashtextextended('expedite_policy', 0))`);
  const { rows } = await client.query<{ version: number }>(
    `INSERT INTO expedite_policy (version, document, created_by, created_at)
     SELECT coalesce(max(version), 0) + 1, $1, $2, to_timestamp($3 / 1000.0) FROM expedite_policy RETURNING version`,
    [JSON.stringify(args.document), args.by, args.now],
  );
  return rows[0]?.version ?? 0;
}
