/** Work for people as rows: noted once per key while it is open, and ended by a scan, not by a word. Nothing else makes a work ticket. */
import type { PoolClient } from 'pg';
import type { Ended } from '../../domain/ticket/unproven.js';
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

export interface Work {
  readonly kind: 'failedEndpoint' | 'straggler' | 'drift';
  readonly endpointId: string;
  /** Of drift: the rule, or what else was noticed. Left out for others, of which an endpoint has one per change. */
  readonly subject?: string;
  readonly changeId: string | null;
  readonly reason: string;
  readonly evidence?: Readonly<Record<string, unknown>>;
}

/** What a change left undone is its own: the next change that fails there is other work, and proven otherwise. */
const keyOf = ({ kind, endpointId, subject, changeId }: Work): string =>
  [kind, endpointId, subject ?? (kind === 'drift' ? null : changeId)].filter((part) => part !== null).join('/');

/** Notes work in the caller's transaction. What is open already is counted, and told in the ticket there is; of the same work the last counts. */
export async function noteWork(
  client: Queryable,
  args: { readonly works: readonly Work[]; readonly now: EpochMs },
): Promise<void> {
  const works = [...new Map(args.works.map((work) => [keyOf(work), work])).values()];
  if (works.length === 0) return;
  await client.query(
    `INSERT INTO work_item AS w (key, kind, endpoint_id, change_id, reason, evidence, opened_at, last_seen_at)
     SELECT i.*, to_timestamp($7 / 1000.0), to_timestamp($7 / 1000.0)
       FROM unnest($1::text[], $2::text[], $3::uuid[], $4::uuid[], $5::text[], $6::jsonb[]) AS i
     ON CONFLICT (key) WHERE closed_at IS NULL DO UPDATE
       SET seen = w.seen + 1, last_seen_at = excluded.last_seen_at, change_id = excluded.change_id, reason = excluded.reason, evidence = excluded.evidence`,
    [
      works.map(keyOf),
      works.map((w) => w.kind),
      works.map((w) => w.endpointId),
      works.map((w) => w.changeId),
      works.map((w) => w.reason),
      works.map((w) => JSON.stringify(w.evidence ?? {})),
      args.now,
    ],
  );
  await client.query(`SELECT pg_notify('rm_tickets', '')`);
}

export async function anyOpenWork(db: Queryable): Promise<boolean> {
  return (await db.query('SELECT FROM work_item WHERE closed_at IS NULL LIMIT 1')).rows.length > 0;
}

/**
 * Opens tickets for open work that has none, in every active system that wants such tickets, up to its limit per change.
 * @returns how many
 */
export async function openWorkTickets(client: Queryable, limit: number): Promise<number> {
  const { rowCount } = await client.query(
    `WITH wanted AS (
       SELECT s.id AS system_id, w.id AS work_id, w.change_id, w.seen, (s.policy#>>'{work,maxPerChange}')::int AS most,
              row_number() OVER (PARTITION BY s.id, w.change_id ORDER BY w.opened_at, w.id) AS place
         FROM work_item w CROSS JOIN ticket_system s
        WHERE w.closed_at IS NULL AND s.active AND s.retired_at IS NULL AND s.policy->'work'->>w.kind = 'true'
          AND NOT EXISTS (SELECT FROM ticket t WHERE t.system_id = s.id AND t.work_item_id = w.id)),
     made AS (
       INSERT INTO ticket (system_id, key, work_item_id)
       SELECT system_id, 'work/' || work_id, work_id FROM wanted
        WHERE change_id IS NULL OR place <= most - (SELECT count(*) FROM ticket t JOIN work_item o ON o.id = t.work_item_id
                WHERE t.system_id = wanted.system_id AND o.change_id = wanted.change_id AND o.closed_at IS NULL)
        LIMIT $1
       ON CONFLICT (system_id, key) DO NOTHING RETURNING id, key, work_item_id),
     counted AS (UPDATE work_item w SET told = w.seen FROM made WHERE w.id = made.work_item_id RETURNING w.id)
     INSERT INTO ticket_action (ticket_id, key, kind) SELECT id, key || '/' || what, what FROM made, unnest(ARRAY['open', 'link']) what
      ORDER BY key, what DESC`,
    [limit],
  );
  return rowCount ?? 0;
}

/** Tells tickets of work that was seen again since. */
export async function tellSeenAgain(client: Queryable): Promise<void> {
  await client.query(
    `WITH again AS (
       UPDATE work_item w SET told = w.seen WHERE w.closed_at IS NULL AND w.seen > w.told
          AND EXISTS (SELECT FROM ticket t WHERE t.work_item_id = w.id) RETURNING w.id, w.seen, w.reason, w.change_id)
     INSERT INTO ticket_action (ticket_id, key, kind, payload)
     SELECT t.id, t.key || '/seen/' || a.seen, 'comment', jsonb_build_object('what', 'said', 'text', 'Seen again (' || a.seen || ' times now): ' || a.reason)
       FROM again a JOIN ticket t ON t.work_item_id = a.id ON CONFLICT (ticket_id, key) DO NOTHING`,
  );
}

/** Somebody says it is done: a scan must judge it by then. @returns false when it is not open */
export async function claimWork(
  client: PoolClient,
  args: { readonly workItemId: string; readonly by: string; readonly dueAt: EpochMs; readonly now: EpochMs },
): Promise<boolean> {
  const { rowCount } = await client.query(
    `UPDATE work_item SET state = 'claimed', claimed_at = to_timestamp($3 / 1000.0), claimed_by = $2, rescan_due_at = to_timestamp($4 / 1000.0)
      WHERE id = $1 AND state = 'open'`,
    [args.workItemId, args.by, args.now, args.dueAt],
  );
  return rowCount === 1;
}

/** Back to open: whoever said so took it back, or a scan disproved it. */
export async function unclaimWork(client: Queryable, workItemId: string): Promise<boolean> {
  const { rowCount } = await client.query(
    `UPDATE work_item SET state = 'open', claimed_at = NULL, claimed_by = NULL, rescan_due_at = NULL WHERE id = $1 AND state = 'claimed'`,
    [workItemId],
  );
  return rowCount === 1;
}

/** A scan that has not judged an open item yet, and what it is to be judged by. */
export interface Judgeable {
  readonly id: string;
  readonly endpointId: string;
  readonly kind: Work['kind'];
  readonly state: 'open' | 'claimed';
  readonly claimedBy: string | null;
  /** Both null: drift outside of any change. */
  readonly changeId: string | null;
  readonly changeKind: string | null;
  /** Whether what the change did is to be gone again: it was rolled back, or could not be. */
  readonly backwards: boolean;
  /** The scan's id; of an assessment: that of its scan order. */
  readonly scanId: string;
  readonly scannedAt: EpochMs;
  readonly auditClean: boolean;
  readonly items: readonly {
    readonly name: string;
    readonly arch: string;
    readonly from: string | null;
    readonly to: string;
    readonly installed: string | null;
  }[];
}

/**
 * Open work with a complete scan that was begun after it was last seen (when claimed: after that was said), and has not judged it
 * yet, of changes whose kind an inventory of packages proves. When a scan began is known on the server's clock.
 */
export async function loadJudgeable(
  db: Queryable,
  args: { readonly changeKinds: readonly string[]; readonly limit: number },
): Promise<readonly Judgeable[]> {
  const { rows } = await db.query<Judgeable>(
    `SELECT w.id, w.endpoint_id AS "endpointId", w.kind, w.state, w.claimed_by AS "claimedBy", w.change_id AS "changeId", c.kind AS "changeKind",
            w.evidence->>'state' = 'revertFailed' OR c.outcome IS NOT DISTINCT FROM 'rolledBack' AS backwards, s.id AS "scanId",
            (extract(epoch FROM s.received_at) * 1000)::float8 AS "scannedAt", s.audit_clean AS "auditClean",
            coalesce((SELECT jsonb_agg(jsonb_build_object('name', i.name, 'arch', i.arch, 'from', i."from", 'to', i."to", 'installed', p.version))
                        FROM plan_endpoint pe JOIN update_set u ON u.digest = pe.update_set_digest
                       CROSS JOIN LATERAL jsonb_to_recordset(u.items) AS i (name text, arch text, "from" text, "to" text)
                        LEFT JOIN installed_package p ON p.endpoint_id = w.endpoint_id AND p.name = i.name AND p.arch = i.arch
                       WHERE pe.change_id = w.change_id AND pe.endpoint_id = w.endpoint_id), '[]') AS items
       FROM work_item w JOIN change c ON c.id = w.change_id JOIN endpoint e ON e.id = w.endpoint_id
       CROSS JOIN LATERAL (SELECT s.* FROM scan s WHERE s.endpoint_id = w.endpoint_id AND s.complete ORDER BY s.received_at DESC LIMIT 1) s
      WHERE w.closed_at IS NULL AND w.kind IN ('failedEndpoint', 'straggler') AND c.kind = ANY ($2) AND s.id IS DISTINCT FROM w.judged_scan
        AND s.received_at > greatest(w.last_seen_at, w.claimed_at)
        AND (w.claimed_at IS NULL OR s.started_at > w.claimed_at - interval '5 seconds')
      ORDER BY w.opened_at LIMIT $1`,
    [args.limit, args.changeKinds],
  );
  return rows;
}

export async function noteJudged(
  client: Queryable,
  args: { readonly id: string; readonly scanId: string },
): Promise<void> {
  await client.query('UPDATE work_item SET judged_scan = $2 WHERE id = $1', [args.id, args.scanId]);
}

/** Ends work, and with it the incident that is its ticket. @param args.scanId the scan that proves it; null: it ends otherwise. @returns false when it had ended */
export async function closeWork(
  client: Queryable,
  args: { readonly id: string; readonly reason: string; readonly scanId: string | null; readonly now: EpochMs },
): Promise<boolean> {
  const { rows } = await client.query<{ incident: string | null }>(
    `UPDATE work_item SET state = 'closed', closed_at = to_timestamp($4 / 1000.0), closed_reason = $2, judged_scan = coalesce($3, judged_scan),
            proven_by = $3
      WHERE id = $1 AND closed_at IS NULL RETURNING evidence ->> 'incident' AS incident`,
    [args.id, args.reason, args.scanId, args.now],
  );
  if (rows[0] === undefined) return false;
  await client.query(
    `UPDATE incident SET closed_at = to_timestamp($3 / 1000.0), closed_by = 'work/' || $2 WHERE id = $1 AND respond = 'ticket' AND closed_at IS NULL`,
    [rows[0].incident, args.id, args.now],
  );
  return true;
}

/** Claims that no scan has judged in time. */
export async function loadOverdueClaims(
  db: Queryable,
  args: { readonly now: EpochMs; readonly limit: number },
): Promise<
  readonly {
    readonly id: string;
    readonly endpointId: string;
    readonly claimedBy: string;
    readonly lastSeen: Date | null;
    /** Why it could not be measured by a baseline since the claim. */
    readonly problem: string | null;
  }[]
> {
  const { rows } = await db.query(
    `SELECT w.id, w.endpoint_id AS "endpointId", w.claimed_by AS "claimedBy", e.last_seen AS "lastSeen",
            (SELECT m.problem FROM assessment m WHERE m.endpoint_id = w.endpoint_id AND m.problem_at >= w.claimed_at
              ORDER BY m.problem_at DESC LIMIT 1) AS problem
       FROM work_item w JOIN endpoint e ON e.id = w.endpoint_id
      WHERE w.closed_at IS NULL AND w.state = 'claimed' AND w.rescan_due_at <= to_timestamp($1 / 1000.0) ORDER BY w.rescan_due_at LIMIT $2`,
    [args.now, args.limit],
  );
  return rows;
}

/** Open work of endpoints that are no more. */
export async function loadMootWork(db: Queryable): Promise<readonly string[]> {
  const { rows } = await db.query<{ id: string }>(
    `SELECT w.id FROM work_item w JOIN endpoint e ON e.id = w.endpoint_id WHERE w.closed_at IS NULL AND e.state = 'retired' LIMIT 500`,
  );
  return rows.map((row) => row.id);
}

/** Asks for the scans that claims about changes of these kinds wait for; again, when one begun before the claim took its place in the queue. */
export async function askForClaimScans(db: Queryable, changeKinds: readonly string[]): Promise<void> {
  await db.query(
    `UPDATE endpoint e SET wants_scan = true, scan_wanted_at = now() FROM work_item w JOIN change c ON c.id = w.change_id
      WHERE w.endpoint_id = e.id AND w.closed_at IS NULL AND w.state = 'claimed' AND w.kind <> 'drift' AND c.kind = ANY ($1)
        AND NOT e.wants_scan AND e.state = 'active'
        AND NOT EXISTS (SELECT FROM scan s WHERE s.endpoint_id = e.id AND s.complete AND s.received_at > w.claimed_at
                          AND s.started_at > w.claimed_at - interval '5 seconds')`,
    [changeKinds],
  );
}

export interface WorkTicket {
  readonly ticketId: string;
  readonly key: string;
}

export async function ticketsOfWork(db: Queryable, workItemId: string): Promise<readonly WorkTicket[]> {
  const { rows } = await db.query<WorkTicket>('SELECT id AS "ticketId", key FROM ticket WHERE work_item_id = $1', [
    workItemId,
  ]);
  return rows;
}

/** What is wanted of a ticket from now on. */
export async function wantState(
  client: Queryable,
  args: { readonly ticketIds: readonly string[]; readonly wanted: 'open' | 'done' | 'cancelled' },
): Promise<void> {
  await client.query('UPDATE ticket SET wanted = $2 WHERE id = ANY ($1)', [args.ticketIds, args.wanted]);
}

/** A closed change whose ticket stayed open for somebody to look at, and of whose work nothing is open any more. */
export interface Settled extends Ended {
  readonly changeId: string;
  readonly ticketId: string;
  readonly key: string;
}

/** Of an endpoint that was work more than once, the last time counts. A ticket that has been told what scans have not proven is left alone. */
export async function loadSettledChanges(db: Queryable): Promise<readonly Settled[]> {
  const { rows } = await db.query<Settled>(
    `WITH waiting AS MATERIALIZED (
       SELECT t.id, t.key, t.change_id, coalesce((c.summary ->> 'missing')::int, 0) + coalesce((c.summary ->> 'unconfirmed')::int, 0) AS unproven
         FROM ticket t JOIN change c ON c.id = t.change_id
        WHERE t.wanted = 'open' AND c.outcome = 'completedWithFailures'
          AND EXISTS (SELECT FROM work_item w WHERE w.change_id = c.id)
          AND NOT EXISTS (SELECT FROM work_item w WHERE w.change_id = c.id AND w.closed_at IS NULL)
          AND NOT EXISTS (SELECT FROM ticket_action a WHERE a.ticket_id = t.id AND a.key = t.key || '/unsettled')
        LIMIT 100)
     SELECT t.change_id AS "changeId", t.id AS "ticketId", t.key, w.*, greatest(t.unproven - w.claims, 0) AS unseen
       FROM waiting t CROSS JOIN LATERAL (
         SELECT sum(n)::int AS endpoints, coalesce(sum(n) FILTER (WHERE proven), 0)::int AS proven, coalesce(sum(claims), 0)::int AS claims,
                coalesce(jsonb_agg(jsonb_build_object('reason', reason, 'count', n) ORDER BY n DESC, reason) FILTER (WHERE NOT proven), '[]') AS otherwise
           FROM (SELECT l.proven, l.reason, count(*)::int AS n, count(*) FILTER (WHERE l.claim)::int AS claims
                   FROM (SELECT DISTINCT ON (w.key) w.proven_by IS NOT NULL AS proven, w.evidence ? 'unproven' AS claim,
                                CASE WHEN w.proven_by IS NULL THEN coalesce(w.closed_reason, 'nobody said why') END AS reason
                           FROM work_item w WHERE w.change_id = t.change_id ORDER BY w.key, w.opened_at DESC) l
                  GROUP BY l.proven, l.reason) g) w`,
  );
  return rows;
}
