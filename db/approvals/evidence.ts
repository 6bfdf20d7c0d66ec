import type { Evidence, EvidenceUpdate, LeftOut, RingEvidence } from '../../domain/approval/evidence.js';
import { EVIDENCE_LIST_LIMIT } from '../../domain/approval/evidence.js';
import type { RingSpec } from '../../domain/change/spec.js';
import type { Queryable } from '../pool.js';

/** Gathers what an approver needs to see about a ring of the current plan. A handful of set-based reads. */
export async function readEvidence(
  db: Queryable,
  args: { readonly changeId: string; readonly ring: number },
): Promise<Omit<Evidence, 'when'>> {
  const { changeId, ring } = args;
  const change = await readChange(db, args);
  const updates = await readUpdates(db, args);
  const leftOut = await readLeftOut(db, args);
  const endpoints = await readEndpoints(db, args);
  const test = await readTest(db, changeId, ring);
  const reversibility = await readReversibility(db, args);
  const cves = [...new Set(updates.flatMap((u) => u.cves))].sort();
  return {
    change: {
      id: changeId,
      name: change.name,
      reason: change.spec.reason,
      requestedBy: change.requester,
      priority: change.priority,
    },
    ring: { ordinal: ring, name: change.ring_name, endpoints: endpoints.total, limits: limitsOf(change.ring_spec) },
    planDigest: change.plan_digest,
    updates,
    leftOut,
    cves,
    endpointNames: endpoints.names,
    risk: riskOf({ reversibility, test }),
    test,
  };
}

type ChangeRow = {
  name: string;
  spec: { reason: string };
  requester: string;
  priority: number;
  plan_digest: string;
  ring_name: string;
  ring_spec: RingSpec;
};

async function readChange(db: Queryable, args: { changeId: string; ring: number }): Promise<ChangeRow> {
  const { rows } = await db.query<ChangeRow>(
    `SELECT c.name, c.spec, coalesce(a.name, c.requested_by) AS requester, c.priority, c.plan_digest, r.name AS ring_name, r.spec AS ring_spec
     FROM change c JOIN ring r ON r.change_id = c.id AND r.ordinal = $2 LEFT JOIN account a ON a.id::text = c.requested_by WHERE c.id = $1`,
    [args.changeId, args.ring],
  );
  const row = rows[0];
  if (row === undefined) throw new Error(`change ${args.changeId} has no ring ${args.ring}`);
  return row;
}

async function readUpdates(db: Queryable, args: { changeId: string; ring: number }): Promise<EvidenceUpdate[]> {
  const { rows } = await db.query<EvidenceUpdate>(
    `WITH sets AS (
       SELECT update_set_digest AS digest, count(*)::int AS endpoints FROM plan_endpoint
       WHERE change_id = $1 AND ring = $2 AND update_set_digest IS NOT NULL GROUP BY 1),
     items AS (
       SELECT i->>'source' AS source, i->>'name' AS name, coalesce(i->>'from', 'new') AS "from", i->>'to' AS "to", s.endpoints
       FROM sets s JOIN update_set u ON u.digest = s.digest, jsonb_array_elements(u.items) i),
     sources AS (
       SELECT source, array_agg(DISTINCT name ORDER BY name) AS packages, "from", "to", max(endpoints)::int AS endpoints
       FROM items GROUP BY source, "from", "to")
     SELECT s.source, s.packages, s."from", s."to", s.endpoints,
            coalesce((SELECT array_agg(DISTINCT cve ORDER BY cve) FROM source_fix f, unnest(f.cves) cve
                      WHERE f.source = s.source AND f.version = s."to"), '{}') AS cves
     FROM sources s ORDER BY s.source, s."from" LIMIT ${EVIDENCE_LIST_LIMIT}`,
    [args.changeId, args.ring],
  );
  return rows;
}

async function readLeftOut(db: Queryable, args: { changeId: string; ring: number }): Promise<LeftOut[]> {
  const { rows } = await db.query<LeftOut>(
    `SELECT t->>'name' || coalesce(' ' || (t->>'to'), '') AS what, t->>'outcome' AS outcome, coalesce(t->>'reason', '') AS reason, count(*)::int AS endpoints
     FROM plan_endpoint p, jsonb_array_elements(p.triage) t
     WHERE p.change_id = $1 AND p.ring = $2 AND t->>'outcome' IN ('deferred', 'declined')
     GROUP BY 1, 2, 3 ORDER BY 2, 1 LIMIT ${EVIDENCE_LIST_LIMIT}`,
    [args.changeId, args.ring],
  );
  return rows;
}

async function readEndpoints(
  db: Queryable,
  args: { changeId: string; ring: number },
): Promise<{ names: string[]; total: number }> {
  const { rows } = await db.query<{ names: string[]; total: number }>(
    `SELECT coalesce((array_agg(e.name ORDER BY e.name))[1:${EVIDENCE_LIST_LIMIT}], '{}') AS names, count(*)::int AS total
     FROM plan_endpoint p JOIN endpoint e ON e.id = p.endpoint_id WHERE p.change_id = $1 AND p.ring = $2`,
    [args.changeId, args.ring],
  );
  return rows[0] ?? { names: [], total: 0 };
}

async function readTest(db: Queryable, changeId: string, ring: number): Promise<RingEvidence[]> {
  const { rows } = await db.query<RingEvidence>(
    `SELECT r.ordinal, r.name, r.state,
       count(*) FILTER (WHERE o.state = 'succeeded')::int AS succeeded,
       count(*) FILTER (WHERE o.state IN ('failed', 'reverting', 'reverted', 'revertFailed', 'stalled'))::int AS failed,
       count(o.id) FILTER (WHERE o.state NOT IN ('succeeded', 'failed', 'reverting', 'reverted', 'revertFailed', 'stalled'))::int AS other,
       coalesce((array_agg(e.name || ': ' || coalesce(o.reason, o.state) ORDER BY e.name)
                 FILTER (WHERE o.state IN ('failed', 'reverting', 'reverted', 'revertFailed', 'stalled')))[1:20], '{}') AS failures
     FROM ring r LEFT JOIN order_state o ON o.change_id = r.change_id AND o.home_ring = r.ordinal AND o.kind = 'change'
       LEFT JOIN endpoint e ON e.id = o.endpoint_id
     WHERE r.change_id = $1 AND r.ordinal < $2 GROUP BY r.ordinal, r.name, r.state ORDER BY r.ordinal`,
    [changeId, ring],
  );
  return rows;
}

async function readReversibility(
  db: Queryable,
  args: { changeId: string; ring: number },
): Promise<Record<string, number>> {
  const { rows } = await db.query<{ reversibility: string; n: number }>(
    `SELECT reversibility, count(*)::int AS n FROM plan_endpoint WHERE change_id = $1 AND ring = $2 AND reversibility IS NOT NULL GROUP BY 1`,
    [args.changeId, args.ring],
  );
  return Object.fromEntries(rows.map((r) => [r.reversibility, r.n]));
}

function limitsOf(spec: RingSpec): string[] {
  const budget =
    'count' in spec.errorBudget ? `${spec.errorBudget.count} endpoints` : `${spec.errorBudget.percent} % of the ring`;
  return [
    `at most ${spec.maxInFlight} at once, starting with one`,
    `halts after more than ${budget} fail; then: ${spec.haltAction}`,
    `passes at ${spec.successThresholdPercent} % success, after ${spec.soakMinutes} min of soak`,
    ...(spec.disruptionBudget === undefined
      ? []
      : [`never more than ${spec.disruptionBudget} failed or in flight together`]),
  ];
}

function riskOf(args: {
  readonly reversibility: Record<string, number>;
  readonly test: readonly RingEvidence[];
}): string[] {
  const { reversibility, test } = args;
  const failed = test.reduce((sum, r) => sum + r.failed, 0);
  const lines: string[] = [];
  if ((reversibility.irreversible ?? 0) > 0)
    lines.push(`${reversibility.irreversible} endpoints get an update that can't be undone`);
  if ((reversibility.reversibleButData ?? 0) > 0)
    lines.push(`${reversibility.reversibleButData} endpoints get an update that can be undone but for its data`);
  if ((reversibility.reversible ?? 0) > 0)
    lines.push(`${reversibility.reversible} endpoints can go back to exactly what they have`);
  if (test.length === 0) lines.push('no ring has gone before this one');
  else if (failed > 0) lines.push(`${failed} endpoints failed in the rings before`);
  return lines;
}
