/** What agents noticed, and the incidents made of it. */
import { randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import { type NamedNoticeRule, type NoticeKind, noticeRuleSchema } from '../../domain/baseline/notice-rule.js';
import type { EpochMs } from '../../domain/time.js';
import type { NoticedRequest } from '../../protocol/messages.js';
import type { Queryable } from '../pool.js';
import { type Page, pageOf } from '../read/cursor.js';
import { explainedBy } from './notice-explained.js';

/** Stores what came, once; with the change that explains it, if one does. */
export async function storeNoticed(
  db: Queryable,
  args: { readonly endpointId: string; readonly items: NoticedRequest['items']; readonly now: EpochMs },
): Promise<void> {
  await db.query(
    `WITH news AS MATERIALIZED (
       SELECT i.*, least(to_timestamp(i.at / 1000.0), to_timestamp($3 / 1000.0)) AS seen_at
         FROM jsonb_to_recordset($2::jsonb) AS i (key text, kind text, action text, name text, detail jsonb, at bigint))
     INSERT INTO noticed (endpoint_id, key, kind, action, name, detail, noticed_at, received_at, change_id)
     SELECT $1, i.key, i.kind, i.action, i.name, i.detail, to_timestamp(i.at / 1000.0), to_timestamp($3 / 1000.0),
            ${explainedBy({ of: '$1', news: 'news' })}
       FROM news i
     ON CONFLICT (endpoint_id, key) DO NOTHING`,
    [args.endpointId, JSON.stringify(args.items), args.now],
  );
}

export interface UnjudgedRow {
  readonly id: number;
  readonly endpointId: string;
  readonly kind: NoticeKind;
  readonly action: 'added' | 'removed' | 'changed';
  readonly name: string;
  readonly detail: Readonly<Record<string, unknown>>;
  readonly explained: boolean;
  /** Of a rule: whether it is critical by an assignment that holds there now. True of everything else. */
  readonly watched: boolean;
  /** Of a rule that is open work: what was noticed of it before says the same. An agent and an assessment may both find it. */
  readonly repeated: boolean;
}

const UNJUDGED = 'judged_at IS NULL';
const unanswered = (now: string): string =>
  `escalate_at <= to_timestamp(${now} / 1000.0) AND acknowledged_at IS NULL AND escalated_at IS NULL AND closed_at IS NULL`;

/** SQL: there is something to judge, or somebody to be told. @param now milliseconds */
export const noticesWait = (now: string): string =>
  `(EXISTS (SELECT FROM noticed WHERE ${UNJUDGED}) OR EXISTS (SELECT FROM incident WHERE ${unanswered(now)}))`;

/** Takes what no rule has looked at; done with when the caller's transaction commits. */
export async function takeUnjudged(
  client: PoolClient,
  args: { readonly limit: number; readonly now: EpochMs },
): Promise<UnjudgedRow[]> {
  const { rows } = await client.query(
    `UPDATE noticed SET judged_at = to_timestamp($2 / 1000.0) WHERE id IN (
       SELECT id FROM noticed WHERE ${UNJUDGED} ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
     RETURNING id, endpoint_id AS "endpointId", kind, action, name, detail, change_id IS NOT NULL AS explained,
       kind <> 'rule' OR EXISTS (SELECT FROM assessment_target t JOIN baseline_assignment a ON a.id = t.assignment_id
          JOIN checklist_rule r ON r.checklist_id = t.checklist_id AND r.rule_id = noticed.name
         WHERE t.endpoint_id = noticed.endpoint_id AND noticed.name = ANY (a.critical)) AS watched,
       coalesce(kind = 'rule' AND detail -> 'after' = (SELECT b.detail -> 'after' FROM noticed b
          WHERE b.endpoint_id = noticed.endpoint_id AND b.kind = 'rule' AND b.name = noticed.name AND b.id < noticed.id
          ORDER BY b.id DESC LIMIT 1) AND EXISTS (SELECT FROM work_item w WHERE w.endpoint_id = noticed.endpoint_id AND w.closed_at IS NULL
                                                    AND w.evidence ->> 'rule' = noticed.name), false) AS repeated`,
    [args.limit, args.now],
  );
  return rows;
}

/** Rules that can be read; one that can't, of another release, is left out. */
export async function loadNoticeRules(db: Queryable): Promise<NamedNoticeRule[]> {
  const { rows } = await db.query('SELECT name, document FROM notice_rule ORDER BY name');
  return rows.flatMap(({ name, document }) => {
    const read = noticeRuleSchema.safeParse(document);
    return read.success ? [{ ...read.data, ruleName: name as string }] : [];
  });
}

/** Opens an incident, or counts one more for the open one of the same endpoint and subject. */
export async function openIncident(
  client: PoolClient,
  args: {
    readonly notice: UnjudgedRow;
    readonly rule: NamedNoticeRule;
    readonly summary: string;
    readonly escalateAt: EpochMs | null;
    readonly now: EpochMs;
  },
): Promise<{ readonly id: string; readonly fresh: boolean }> {
  const { notice, rule } = args;
  const id = randomUUID();
  const { rows } = await client.query(
    `INSERT INTO incident AS x (id, noticed_id, endpoint_id, rule, respond, severity, subject, summary, opened_at, escalate_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, to_timestamp($9 / 1000.0), to_timestamp($10 / 1000.0))
     ON CONFLICT (endpoint_id, subject) WHERE closed_at IS NULL DO UPDATE SET times = x.times + 1 RETURNING id`,
    [
      id,
      notice.id,
      notice.endpointId,
      rule.ruleName,
      rule.respond,
      rule.severity,
      `${notice.kind} ${notice.action} ${notice.name}`,
      args.summary,
      args.now,
      args.escalateAt,
    ],
  );
  return { id: rows[0].id, fresh: rows[0].id === id };
}

export async function noteExpedited(
  client: PoolClient,
  args: { readonly id: string; readonly changeId: string },
): Promise<void> {
  await client.query('UPDATE incident SET change_id = $2 WHERE id = $1', [args.id, args.changeId]);
}

export interface IncidentRow {
  readonly id: string;
  readonly endpointId: string;
  readonly endpoint: string;
  readonly rule: string;
  readonly respond: string;
  readonly severity: string;
  readonly subject: string;
  readonly summary: string;
  readonly times: number;
  readonly openedAt: Date;
  readonly acknowledgedBy: string | null;
  readonly acknowledgedAt: Date | null;
  readonly escalateAt: Date | null;
  readonly escalatedAt: Date | null;
  readonly changeId: string | null;
  /** That change is not over. */
  readonly changeUnderWay: boolean;
  /** About a rule of a baseline that fails: it can be put right by a remediation. */
  readonly ofRule: boolean;
  readonly closedAt: Date | null;
}

const COLUMNS = `x.id, x.endpoint_id AS "endpointId", e.name AS endpoint, x.rule, x.respond, x.severity, x.subject, x.summary, x.times,
  x.opened_at AS "openedAt", x.acknowledged_by AS "acknowledgedBy", x.acknowledged_at AS "acknowledgedAt", x.escalate_at AS "escalateAt",
  x.escalated_at AS "escalatedAt", x.change_id AS "changeId", x.closed_at AS "closedAt",
  EXISTS (SELECT FROM change c WHERE c.id = x.change_id AND c.closed_at IS NULL) AS "changeUnderWay",
  EXISTS (SELECT FROM noticed n WHERE n.id = x.noticed_id AND n.kind = 'rule' AND n.action <> 'removed') AS "ofRule"`;

/** Newest first. */
export async function listIncidents(
  db: Queryable,
  args: { readonly open: boolean | null; readonly after: readonly [number, string] | null; readonly limit: number },
): Promise<Page<IncidentRow>> {
  const { rows } = await db.query<IncidentRow & { micros: number }>(
    `SELECT ${COLUMNS}, (extract(epoch FROM x.opened_at) * 1000000)::bigint AS micros FROM incident x JOIN endpoint e ON e.id = x.endpoint_id
      WHERE ($1::boolean IS NULL OR (x.closed_at IS NULL) = $1)
        AND ($2::bigint IS NULL OR ((extract(epoch FROM x.opened_at) * 1000000)::bigint, x.id) < ($2, $3::uuid))
      ORDER BY (extract(epoch FROM x.opened_at) * 1000000)::bigint DESC, x.id DESC LIMIT $4`,
    [args.open, args.after?.[0] ?? null, args.after?.[1] ?? null, args.limit + 1],
  );
  const page = pageOf(rows, args.limit, (row) => [row.micros, row.id]);
  return { next: page.next, items: page.items.map(({ micros: _, ...row }) => row) };
}

export async function readIncident(db: Queryable, id: string): Promise<IncidentRow | null> {
  const { rows } = await db.query<IncidentRow>(
    `SELECT ${COLUMNS} FROM incident x JOIN endpoint e ON e.id = x.endpoint_id WHERE x.id = $1`,
    [id],
  );
  return rows[0] ?? null;
}

/** What an incident is about, locked until the transaction ends; null: there is none. */
export async function lockIncident(
  client: PoolClient,
  id: string,
): Promise<{
  readonly endpointId: string;
  readonly endpoint: string;
  readonly open: boolean;
  readonly kind: NoticeKind;
  readonly name: string;
  readonly action: string;
} | null> {
  const { rows } = await client.query(
    `SELECT x.endpoint_id AS "endpointId", e.name AS endpoint, x.closed_at IS NULL AS open, n.kind, n.name, n.action
       FROM incident x JOIN endpoint e ON e.id = x.endpoint_id JOIN noticed n ON n.id = x.noticed_id WHERE x.id = $1 FOR UPDATE OF x`,
    [id],
  );
  return rows[0] ?? null;
}

/** @returns whether it was open and not acknowledged (closed) yet */
export async function endIncident(
  client: PoolClient,
  args: { readonly id: string; readonly what: 'acknowledge' | 'close'; readonly by: string; readonly now: EpochMs },
): Promise<boolean> {
  const column = args.what === 'close' ? 'closed' : 'acknowledged';
  const { rowCount } = await client.query(
    `UPDATE incident SET ${column}_by = $2, ${column}_at = to_timestamp($3 / 1000.0) WHERE id = $1 AND ${column}_at IS NULL AND closed_at IS NULL`,
    [args.id, args.by, args.now],
  );
  return rowCount === 1;
}

/** Incidents that nobody acknowledged in time, from now on escalated. */
export async function takeUnanswered(
  client: PoolClient,
  now: EpochMs,
): Promise<(IncidentRow & { readonly rule: string })[]> {
  const { rows } = await client.query<IncidentRow>(
    `WITH late AS (
       UPDATE incident SET escalated_at = to_timestamp($1 / 1000.0) WHERE id IN (
         SELECT id FROM incident WHERE ${unanswered('$1')} ORDER BY escalate_at LIMIT 100 FOR UPDATE SKIP LOCKED) RETURNING *)
     SELECT ${COLUMNS} FROM late x JOIN endpoint e ON e.id = x.endpoint_id`,
    [now],
  );
  return rows;
}

/** Mail addresses of people who are not disabled. */
export async function recipientAddresses(
  db: Queryable,
  who: { readonly role?: string | undefined; readonly accounts?: readonly string[] | undefined },
): Promise<string[]> {
  const { rows } = await db.query<{ email: string }>(
    `SELECT DISTINCT a.email FROM account a LEFT JOIN role_grant g ON g.account_id = a.id
      WHERE a.disabled_at IS NULL AND a.email IS NOT NULL AND (g.role = $1 OR a.id = ANY ($2::uuid[])) ORDER BY a.email`,
    [who.role ?? null, who.accounts ?? []],
  );
  return rows.map((row) => row.email);
}
