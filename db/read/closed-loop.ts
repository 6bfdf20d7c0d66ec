/** The closed loop: of each change, whether it was authorised, done as authorised, how fast, and confirmed by which scans. */
import { OPENSCAP } from '../../domain/baseline/rule-name.js';
import { declinedRules } from '../baseline/declined-rules.js';
import type { Queryable } from '../pool.js';
import { confirmingScan, type ScanOf } from './confirming-scan.js';
import { type Page, pageOf } from './cursor.js';

/** Counted over a change's orders; of a closed change once and for all (`change_loop`). */
export interface LoopFacts {
  /** Orders that were begun. */
  readonly begun: number;
  /** Begun on endpoints that are not in the plan, with other content than planned, or outside of the window they were given. */
  readonly notPlanned: number;
  readonly otherContent: number;
  readonly outsideWindow: number;
  readonly firstStartedAt: string | null;
  readonly lastSettledAt: string | null;
  /** Endpoints whose order says it succeeded and was not rolled back. */
  readonly succeeded: number;
  /** Of these, how many a scan that can confirm it came from afterwards. */
  readonly scanned: number;
  readonly firstScan: LoopScan | null;
  readonly lastScan: LoopScan | null;
}

export interface LoopScan {
  /** Of rules: the id of its scan order. */
  readonly id: string;
  readonly at: string;
  readonly of: ScanOf;
}

/** As one JSON object, for a change `c`. */
const FACTS = `
  WITH last AS (
    SELECT DISTINCT ON (o.endpoint_id) o.*, p.endpoint_id IS NULL OR p.ring IS NULL AS unplanned,
           p.update_set_digest IS DISTINCT FROM o.content_digest AS other, p.provider
      FROM order_state o LEFT JOIN plan_endpoint p ON p.change_id = o.change_id AND p.endpoint_id = o.endpoint_id
     WHERE o.change_id = c.id AND o.kind = 'change' ORDER BY o.endpoint_id, o.attempt DESC),
  begun AS (SELECT * FROM last WHERE started_at IS NOT NULL OR state = 'succeeded'),
  claims AS (
    SELECT l.endpoint_id, s.id, s.received_at, s.scan_of FROM last l LEFT JOIN LATERAL (${confirmingScan('l', 'l.provider')}) s ON true
     WHERE l.state = 'succeeded' AND NOT EXISTS (SELECT FROM order_state r WHERE r.reverts = l.id AND r.state IN ('reverted', 'reverting')))
  SELECT jsonb_build_object('begun', (SELECT count(*) FROM begun), 'notPlanned', (SELECT count(*) FROM begun WHERE unplanned),
    'otherContent', (SELECT count(*) FROM begun WHERE NOT unplanned AND other), 'outsideWindow', (SELECT count(*) FROM begun WHERE window_kept = false),
    'firstStartedAt', (SELECT min(started_at) FROM begun), 'lastSettledAt', (SELECT max(settled_at) FROM begun),
    'succeeded', (SELECT count(*) FROM claims), 'scanned', (SELECT count(id) FROM claims),
    'firstScan', (SELECT jsonb_build_object('id', id, 'at', received_at, 'of', scan_of) FROM claims WHERE id IS NOT NULL ORDER BY received_at LIMIT 1),
    'lastScan', (SELECT jsonb_build_object('id', id, 'at', received_at, 'of', scan_of) FROM claims WHERE id IS NOT NULL ORDER BY received_at DESC LIMIT 1)) AS facts`;

export interface LoopApproval {
  readonly ring: number;
  readonly state: string;
  readonly planDigest: string;
  readonly closedAt: string | null;
  readonly by: readonly { readonly name: string; readonly decision: string; readonly proof: string }[];
}

export interface LoopTicket {
  readonly system: string;
  readonly ref: string | null;
  readonly url: string | null;
  readonly state: string;
  readonly attention: string | null;
}

export interface LoopRow {
  readonly id: string;
  readonly kind: string;
  readonly name: string;
  readonly requestedBy: string;
  readonly requestedAt: Date;
  readonly stage: string;
  readonly outcome: string | null;
  readonly closedAt: Date | null;
  readonly planDigest: string | null;
  /** Rings that have opened, and of these those not under a digest of the change's plan, or without all approvals they ask for. */
  readonly ringsOpened: number;
  readonly ringsNotApproved: number;
  readonly approvals: readonly LoopApproval[];
  readonly facts: LoopFacts;
  /** What the confirming scans showed, as counted when the change closed. */
  readonly confirmed: number | null;
  readonly missing: number | null;
  readonly unconfirmed: number | null;
  readonly declined: number | null;
  /** Endpoints that had not shown it when the change closed, and were proven by a scan since. */
  readonly shownSince: number;
  readonly openWork: number;
  readonly tickets: readonly LoopTicket[];
}

const MICROS = `(extract(epoch FROM c.requested_at) * 1000000)::bigint`;

/** Changes, newest first. */
export async function listLoop(
  db: Queryable,
  args: {
    readonly open: boolean | null;
    readonly changeId: string | null;
    readonly after: readonly [number, string] | null;
    readonly limit: number;
  },
): Promise<Page<LoopRow>> {
  const { rows } = await db.query<LoopRow & { micros: number }>(
    `WITH page AS MATERIALIZED (
       SELECT c.*, ${MICROS} AS micros FROM change c
        WHERE ($1::boolean IS NULL OR (c.closed_at IS NULL) = $1) AND ($2::uuid IS NULL OR c.id = $2)
          AND ($3::bigint IS NULL OR (${MICROS}, c.id) < ($3, $4::uuid))
        ORDER BY ${MICROS} DESC, c.id DESC LIMIT $5)
     SELECT c.id, c.kind, c.name, coalesce(a.name, c.requested_by) AS "requestedBy", c.requested_at AS "requestedAt", c.stage, c.outcome,
            c.closed_at AS "closedAt", c.plan_digest AS "planDigest", r.opened AS "ringsOpened", r.not_approved AS "ringsNotApproved",
            coalesce(q.approvals, '[]') AS approvals, coalesce(l.facts, f.facts) AS facts, (c.summary->>'confirmed')::int AS confirmed,
            (c.summary->>'missing')::int AS missing, (c.summary->>'unconfirmed')::int AS unconfirmed,
            (c.summary->>'declinedOn')::int AS declined, w.open AS "openWork", w.shown AS "shownSince",
            coalesce(t.tickets, '[]') AS tickets, c.micros
       FROM page c LEFT JOIN account a ON a.id::text = c.requested_by LEFT JOIN change_loop l ON l.change_id = c.id
       CROSS JOIN LATERAL (SELECT count(*)::int AS opened, (count(*) FILTER (WHERE
             NOT EXISTS (SELECT FROM plan p WHERE p.change_id = c.id AND p.digest = r.approved_digest)
             OR jsonb_array_length(coalesce(r.spec->'approvals', '[]')) >
                (SELECT count(*) FROM approval_request q WHERE q.id = ANY (r.approvals) AND q.state = 'approved')))::int AS not_approved
                             FROM ring r WHERE r.change_id = c.id AND r.opened_at IS NOT NULL AND r.ordinal < 1000) r
       CROSS JOIN LATERAL (SELECT (count(*) FILTER (WHERE w.closed_at IS NULL))::int AS open,
             (count(DISTINCT w.endpoint_id) FILTER (WHERE w.proven_by IS NOT NULL AND w.evidence ? 'unproven'
               AND NOT EXISTS (SELECT FROM work_item again WHERE again.key = w.key AND again.closed_at IS NULL)))::int AS shown
                             FROM work_item w WHERE w.change_id = c.id) w
       LEFT JOIN LATERAL (
         SELECT jsonb_agg(jsonb_build_object('ring', q.ring, 'state', q.state, 'planDigest', q.plan_digest, 'closedAt', q.closed_at, 'by', coalesce(d.by, '[]'))
                          ORDER BY q.opened_at) AS approvals
           FROM approval_request q
           LEFT JOIN LATERAL (SELECT jsonb_agg(jsonb_build_object('name', p.name, 'decision', d.decision, 'proof', d.proof) ORDER BY d.decided_at) AS by
                                FROM approval_decision d JOIN account p ON p.id = d.account_id WHERE d.request_id = q.id AND d.state = 'counted') d ON true
          WHERE q.change_id = c.id) q ON true
       LEFT JOIN LATERAL (
         SELECT jsonb_agg(jsonb_build_object('system', s.name, 'ref', t.ref, 'url', t.url, 'state', t.state, 'attention', t.attention) ORDER BY s.name) AS tickets
           FROM ticket t JOIN ticket_system s ON s.id = t.system_id WHERE t.change_id = c.id) t ON true
       LEFT JOIN LATERAL (${FACTS}) f ON l.change_id IS NULL
      ORDER BY c.micros DESC, c.id DESC`,
    [args.open, args.changeId, args.after?.[0] ?? null, args.after?.[1] ?? null, args.limit + 1],
  );
  const page = pageOf(rows, args.limit, (row) => [row.micros, row.id]);
  return { next: page.next, items: page.items.map(({ micros: _, ...row }) => row) };
}

/** What was found of a change since is counted anew. */
export async function forgetLoop(client: Queryable, changeId: string): Promise<void> {
  await client.query('DELETE FROM change_loop WHERE change_id = $1', [changeId]);
}

/** Counts closed changes that nobody has counted; what comes in later is in their tickets and work. @returns how many */
export async function countClosedLoops(
  db: Queryable,
  args: { readonly limit: number; readonly now: number },
): Promise<number> {
  const { rowCount } = await db.query(
    `INSERT INTO change_loop (change_id, facts, counted_at)
     SELECT c.id, f.facts, to_timestamp($2 / 1000.0)
       FROM (SELECT c.id FROM change c WHERE c.closed_at IS NOT NULL AND NOT EXISTS (SELECT FROM change_loop l WHERE l.change_id = c.id)
              ORDER BY c.closed_at LIMIT $1) c
       CROSS JOIN LATERAL (${FACTS}) f
     ON CONFLICT (change_id) DO NOTHING`,
    [args.limit, args.now],
  );
  return rowCount ?? 0;
}

export interface ConfirmationRow {
  readonly endpointId: string;
  readonly endpoint: string;
  readonly ring: number;
  readonly orderId: string;
  readonly state: string;
  readonly settledAt: Date | null;
  readonly windowKept: boolean | null;
  /** The first scan that came in after it and can confirm it (of rules: its scan order); null: none has. */
  readonly scanId: string | null;
  readonly scanOf: ScanOf | null;
  readonly scannedAt: Date | null;
  /** Whether that proved every update or rule; null: nothing was to be proven, or nobody has looked. */
  readonly proven: boolean | null;
  /** Rules it left out. */
  readonly declined: readonly { readonly name: string; readonly reason: string }[];
}

/** Endpoint by endpoint: which scan confirmed what a change did there. */
export async function listConfirmations(
  db: Queryable,
  args: { readonly changeId: string; readonly after: string | null; readonly limit: number },
): Promise<Page<ConfirmationRow>> {
  const { rows } = await db.query<ConfirmationRow>(
    `WITH page AS MATERIALIZED (
       SELECT DISTINCT ON (o.endpoint_id) o.*, p.provider
         FROM order_state o LEFT JOIN plan_endpoint p ON p.change_id = o.change_id AND p.endpoint_id = o.endpoint_id
        WHERE o.change_id = $1 AND o.kind = 'change' AND ($2::uuid IS NULL OR o.endpoint_id > $2) ORDER BY o.endpoint_id, o.attempt DESC LIMIT $3)
     SELECT o.endpoint_id AS "endpointId", e.name AS endpoint, o.home_ring AS ring, o.id AS "orderId", o.state, o.settled_at AS "settledAt",
            o.window_kept AS "windowKept", s.id AS "scanId", s.scan_of AS "scanOf", s.received_at AS "scannedAt",
            CASE WHEN o.provider = '${OPENSCAP}' THEN s.proven ELSE
              (SELECT bool_and(f.confirmed_at IS NOT NULL) FROM update_fact f WHERE f.endpoint_id = o.endpoint_id AND f.change_id = o.change_id) END AS proven,
            CASE WHEN o.provider = '${OPENSCAP}' THEN (SELECT coalesce(jsonb_agg(jsonb_build_object('name', d.name, 'reason', d.reason)), '[]') FROM ${declinedRules('o')} d)
                 ELSE '[]' END AS declined
       FROM page o JOIN endpoint e ON e.id = o.endpoint_id LEFT JOIN LATERAL (${confirmingScan('o', 'o.provider')}) s ON true
      ORDER BY o.endpoint_id`,
    [args.changeId, args.after, args.limit + 1],
  );
  return pageOf(rows, args.limit, (row) => [row.endpointId]);
}

export interface UnexplainedRow {
  readonly scanId: string;
  readonly endpointId: string;
  readonly endpoint: string;
  /** It happened between these two scans. */
  readonly since: Date | null;
  readonly at: Date;
  readonly packages: number;
  /** The first twenty. */
  readonly changes: readonly {
    readonly name: string;
    readonly arch: string;
    readonly from: string | null;
    readonly to: string | null;
  }[];
  readonly explanation: string | null;
  readonly explainedBy: string | null;
  readonly explainedAt: Date | null;
}

const FOUND_MICROS = `(extract(epoch FROM p.at) * 1000000)::bigint`;

/** Package changes outside of any change, a row per endpoint and scan, newest first. */
export async function listUnexplained(
  db: Queryable,
  args: {
    readonly endpointId: string | null;
    /** Whether a person has said what it was; null: both. */
    readonly explained: boolean | null;
    readonly after: readonly [number, string] | null;
    readonly limit: number;
  },
): Promise<Page<UnexplainedRow>> {
  const { rows } = await db.query<UnexplainedRow & { micros: number }>(
    `WITH page AS MATERIALIZED (
       SELECT DISTINCT p.at, p.scan_id, p.endpoint_id, ${FOUND_MICROS} AS micros FROM package_change p
        WHERE p.at IS NOT NULL AND ($1::uuid IS NULL OR p.endpoint_id = $1) AND ($2::boolean IS NULL OR (p.explained_at IS NOT NULL) = $2)
          AND ($3::bigint IS NULL OR (p.at, p.scan_id) < ('epoch'::timestamptz + $3::bigint * interval '1 microsecond', $4::uuid))
        ORDER BY p.at DESC, p.scan_id DESC LIMIT $5)
     SELECT g.scan_id AS "scanId", g.endpoint_id AS "endpointId", e.name AS endpoint, g.at, d.*, g.micros
       FROM page g JOIN endpoint e ON e.id = g.endpoint_id
       CROSS JOIN LATERAL (
         SELECT min(p.since) AS since, count(*)::int AS packages, min(p.explanation) AS explanation, min(p.explained_by) AS "explainedBy",
                min(p.explained_at) AS "explainedAt",
                (jsonb_agg(jsonb_build_object('name', p.name, 'arch', p.arch, 'from', p.from_version, 'to', p.to_version) ORDER BY p.name, p.arch)) AS changes
           FROM package_change p WHERE p.scan_id = g.scan_id AND p.at IS NOT NULL) d
      ORDER BY g.at DESC, g.scan_id DESC`,
    [args.endpointId, args.explained, args.after?.[0] ?? null, args.after?.[1] ?? null, args.limit + 1],
  );
  const page = pageOf(rows, args.limit, (row) => [row.micros, row.scanId]);
  return {
    next: page.next,
    items: page.items.map(({ micros: _, ...row }) => ({ ...row, changes: row.changes.slice(0, 20) })),
  };
}
