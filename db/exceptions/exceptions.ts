/** Exceptions as rows. Revoked and expired ones stay: they explain what was left out, and until when. */
import { randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import type { Exception, ExceptionState } from '../../domain/exception/exception.js';
import type { Selector } from '../../domain/fleet/selector.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';
import { type Page, pageOf } from '../read/cursor.js';

export interface ExceptionRow {
  readonly id: string;
  readonly selector: Selector;
  readonly package: string | null;
  readonly cve: string | null;
  readonly rule: string | null;
  readonly reason: string;
  readonly owner: string;
  readonly ownerName: string;
  readonly approvedBy: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
  readonly revokedAt: Date | null;
  readonly revokedBy: string | null;
}

const COLUMNS = `x.id, x.selector, x.package, x.cve, x.rule, x.reason, x.owner, a.name AS "ownerName", x.approved_by AS "approvedBy",
  x.created_at AS "createdAt", x.expires_at AS "expiresAt", x.revoked_at AS "revokedAt", x.revoked_by AS "revokedBy"`;
const FROM = 'exception x JOIN account a ON a.id = x.owner';
const STATE = `CASE WHEN x.revoked_at IS NOT NULL THEN 'revoked' WHEN x.expires_at > to_timestamp($1 / 1000.0) THEN 'inForce'
  ELSE 'expired' END`;

/** Exceptions, newest first. */
export async function listExceptions(
  db: Queryable,
  args: {
    readonly now: EpochMs;
    readonly state: ExceptionState | null;
    readonly cve: string | null;
    readonly package: string | null;
    readonly rule: string | null;
    /** Only those that name such a thing. */
    readonly of: 'package' | 'cve' | 'rule' | null;
    readonly after: readonly [number, string] | null;
    readonly limit: number;
  },
): Promise<Page<ExceptionRow>> {
  const { rows } = await db.query<ExceptionRow & { micros: number }>(
    `SELECT ${COLUMNS}, (extract(epoch FROM x.created_at) * 1000000)::bigint AS micros FROM ${FROM}
      WHERE ($2::text IS NULL OR ${STATE} = $2) AND ($3::text IS NULL OR x.cve = $3) AND ($4::text IS NULL OR x.package = $4)
        AND ($5::bigint IS NULL OR ((extract(epoch FROM x.created_at) * 1000000)::bigint, x.id) < ($5, $6::uuid))
        AND ($8::text IS NULL OR x.rule = $8)
        AND ($9::text IS NULL OR CASE $9 WHEN 'rule' THEN x.rule WHEN 'cve' THEN x.cve ELSE x.package END IS NOT NULL)
      ORDER BY (extract(epoch FROM x.created_at) * 1000000)::bigint DESC, x.id DESC LIMIT $7`,
    [
      ...[args.now, args.state, args.cve, args.package, args.after?.[0] ?? null, args.after?.[1] ?? null],
      ...[args.limit + 1, args.rule, args.of],
    ],
  );
  const page = pageOf(rows, args.limit, (row) => [row.micros, row.id]);
  return { next: page.next, items: page.items.map(({ micros: _, ...row }) => row) };
}

/** SQL: whether a rule `r` of a checklist is one that exception `x` names: by its id, its short name or the id's end, `*` and `?` standing for any. */
const NAMES_RULE = `EXISTS (SELECT FROM (VALUES (r.rule_id), (r.name), (regexp_replace(r.rule_id, '^xccdf_.*?_rule_', ''))) AS n (name)
  WHERE n.name LIKE translate(replace(replace(replace(x.rule, '\\', '\\\\'), '_', '\\_'), '%', '\\%'), '*?', '%_'))`;

/**
 * Exceptions in force that name a rule of a checklist, the one that ends first before the others.
 * @param args.position of the rule; null: any
 * @returns as many as asked for, and how many there are
 */
export async function listRuleExceptions(
  db: Queryable,
  args: {
    readonly checklistId: number;
    readonly position: number | null;
    readonly now: EpochMs;
    readonly limit: number;
  },
): Promise<{ readonly items: readonly ExceptionRow[]; readonly total: number }> {
  const { rows } = await db.query<ExceptionRow & { total: number }>(
    `SELECT ${COLUMNS}, (count(*) OVER ())::int AS total FROM ${FROM} WHERE x.rule IS NOT NULL AND ${STATE} = 'inForce'
        AND EXISTS (SELECT FROM checklist_rule r WHERE r.checklist_id = $2 AND ($3::int IS NULL OR r.position = $3) AND ${NAMES_RULE})
      ORDER BY x.expires_at, x.id LIMIT $4`,
    [args.now, args.checklistId, args.position, args.limit],
  );
  return { items: rows.map(({ total: _, ...row }) => row), total: rows[0]?.total ?? 0 };
}

/** Of these rules of a checklist those that an exception in force names. */
export async function exceptedPositions(
  db: Queryable,
  args: { readonly checklistId: number; readonly positions: readonly number[]; readonly now: EpochMs },
): Promise<ReadonlySet<number>> {
  const { rows } = await db.query<{ position: number }>(
    `SELECT r.position FROM checklist_rule r WHERE r.checklist_id = $2 AND r.position = ANY ($3::smallint[])
        AND EXISTS (SELECT FROM ${FROM} WHERE x.rule IS NOT NULL AND ${STATE} = 'inForce' AND ${NAMES_RULE})`,
    [args.now, args.checklistId, args.positions],
  );
  return new Set(rows.map((row) => row.position));
}

/** @param args.lock take the row's lock until the transaction ends */
export async function readException(
  db: Queryable,
  args: { readonly id: string; readonly lock?: boolean },
): Promise<ExceptionRow | null> {
  const { rows } = await db.query<ExceptionRow>(
    `SELECT ${COLUMNS} FROM ${FROM} WHERE x.id = $1 ${args.lock === true ? 'FOR UPDATE OF x' : ''}`,
    [args.id],
  );
  return rows[0] ?? null;
}

export interface NewException {
  readonly selector: Selector;
  readonly package: string | null;
  readonly cve: string | null;
  readonly rule: string | null;
  readonly reason: string;
  readonly owner: string;
  readonly approvedBy: string;
  readonly expiresAt: EpochMs;
  readonly now: EpochMs;
}

/** @returns its id */
export async function insertException(client: PoolClient, exception: NewException): Promise<string> {
  const id = randomUUID();
  await client.query(
    `INSERT INTO exception (id, selector, package, cve, reason, owner, approved_by, created_at, expires_at, rule)
     VALUES ($1, $2, $3, $4, $5, $6, $7, to_timestamp($8 / 1000.0), to_timestamp($9 / 1000.0), $10)`,
    [
      id,
      JSON.stringify(exception.selector),
      exception.package,
      exception.cve,
      exception.reason,
      exception.owner,
      exception.approvedBy,
      exception.now,
      exception.expiresAt,
      exception.rule,
    ],
  );
  return id;
}

/** What is not given stays; who edits has approved it as it is then. */
export async function editException(
  client: PoolClient,
  args: {
    readonly id: string;
    readonly reason?: string | undefined;
    readonly owner?: string | undefined;
    readonly expiresAt?: EpochMs | undefined;
    readonly approvedBy: string;
  },
): Promise<void> {
  await client.query(
    `UPDATE exception SET reason = coalesce($2, reason), owner = coalesce($3, owner), approved_by = $5,
            expires_at = coalesce(to_timestamp($4::float8 / 1000.0), expires_at) WHERE id = $1`,
    [args.id, args.reason ?? null, args.owner ?? null, args.expiresAt ?? null, args.approvedBy],
  );
}

export async function revokeException(
  client: PoolClient,
  args: { readonly id: string; readonly by: string; readonly now: EpochMs },
): Promise<void> {
  await client.query(
    `UPDATE exception SET revoked_at = to_timestamp($3 / 1000.0), revoked_by = $2 WHERE id = $1 AND revoked_at IS NULL`,
    [args.id, args.by, args.now],
  );
}

/** Every exception in force, oldest first. */
export async function loadExceptions(db: Queryable, now: EpochMs): Promise<Exception[]> {
  const { rows } = await db.query<ExceptionRow>(
    `SELECT ${COLUMNS} FROM ${FROM} WHERE ${STATE} = 'inForce' ORDER BY x.created_at, x.id`,
    [now],
  );
  return rows.map((row) => ({
    id: row.id,
    selector: row.selector,
    target: targetOf(row),
    reason: row.reason,
    ownerName: row.ownerName,
    createdAt: row.createdAt.getTime(),
    expiresAt: row.expiresAt.getTime(),
    revokedAt: row.revokedAt?.getTime() ?? null,
  }));
}

function targetOf({ cve, rule, package: name }: ExceptionRow): Exception['target'] {
  if (cve !== null) return { cve };
  return rule !== null ? { rule } : { package: name ?? '' };
}
