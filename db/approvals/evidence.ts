import type { Evidence, EvidenceUpdate, LeftOut, RingEvidence } from '../../domain/approval/evidence.js';
import { EVIDENCE_LIST_LIMIT, endpointsInWords } from '../../domain/approval/evidence.js';
import { type Override, readOverride } from '../../domain/change/override.js';
import type { RingSpec } from '../../domain/change/spec.js';
import type { Queryable } from '../pool.js';

/** Gathers what an approver needs to see about a ring of the current plan. A handful of set-based reads. */
export async function readEvidence(
  db: Queryable,
  args: { readonly changeId: string; readonly ring: number },
): Promise<Omit<Evidence, 'when' | 'overrides'> & { readonly override: Override }> {
  const { changeId, ring } = args;
  const change = await readChange(db, args);
  const { updates, total: updatesTotal, cves } = await readUpdates(db, args);
  const { leftOut, total: leftOutTotal } = await readLeftOut(db, args);
  const endpoints = await readEndpoints(db, args);
  const test = await readTest(db, changeId, ring);
  const reversibility = await readReversibility(db, args);
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
    override: readOverride(change.override),
    totals: { updates: updatesTotal, leftOut: leftOutTotal },
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
  override: unknown;
};

async function readChange(db: Queryable, args: { changeId: string; ring: number }): Promise<ChangeRow> {
  const { rows } = await db.query<ChangeRow>(
    `SELECT c.name, c.spec, c.priority, c.plan_digest, r.name AS ring_name, r.spec AS ring_spec,
            (SELECT p.header #> '{budgets,override}' FROM plan p WHERE p.change_id = c.id AND p.revision = c.plan_revision) AS override,
            coalesce(a.name, 'schedule ' || s.name || coalesce(', made by ' || m.name, ''), c.requested_by) AS requester
     FROM change c JOIN ring r ON r.change_id = c.id AND r.ordinal = $2
       LEFT JOIN account a ON a.id::text = c.requested_by
       LEFT JOIN schedule s ON c.requested_by = 'schedule/' || s.id LEFT JOIN account m ON m.id::text = s.created_by
     WHERE c.id = $1`,
    [args.changeId, args.ring],
  );
  const row = rows[0];
  if (row === undefined) throw new Error(`change ${args.changeId} has no ring ${args.ring}`);
  return row;
}

async function readUpdates(
  db: Queryable,
  args: { changeId: string; ring: number },
): Promise<{ updates: EvidenceUpdate[]; total: number; cves: string[] }> {
  const { rows } = await db.query<EvidenceUpdate & { total: number; all: string[] }>(
    // What one endpoint of a set has on record about an update holds for all of them.
    `WITH sets AS (
       SELECT update_set_digest AS digest, count(*)::int AS endpoints, (array_agg(endpoint_id))[1] AS sample FROM plan_endpoint
       WHERE change_id = $1 AND ring = $2 AND skipped_by IS NULL AND update_set_digest IS NOT NULL GROUP BY 1),
     items AS MATERIALIZED (
       SELECT s.digest, s.endpoints, i->>'source' AS source, i->>'name' AS name, coalesce(i->>'from', 'new') AS "from",
              i->>'to' AS "to", f.cves,
              (i->>'name') || coalesce(' (installs ' || (i#>>'{installs,name}') || ' ' || (i#>>'{installs,version}') ||
                coalesce(' and at most ' || (i#>>'{installs,brings,packages}') || ' packages that it needs', '') || ')', '') AS shown,
              i#>>'{installs,brings,sha256}' AS list
       FROM sets s JOIN update_set u ON u.digest = s.digest CROSS JOIN LATERAL jsonb_array_elements(u.items) i
         LEFT JOIN update_fact f ON f.endpoint_id = s.sample AND f.name = i->>'name' AND f.arch = i->>'arch' AND f.version = i->>'to'),
     names AS (SELECT source, "from", "to", array_agg(DISTINCT shown ORDER BY shown) AS packages,
              coalesce(array_agg(DISTINCT list ORDER BY list) FILTER (WHERE list IS NOT NULL), '{}') AS lists FROM items GROUP BY 1, 2, 3),
     spread AS (
       SELECT source, "from", "to", sum(endpoints)::int AS endpoints
       FROM (SELECT DISTINCT digest, endpoints, source, "from", "to" FROM items) once GROUP BY 1, 2, 3),
     fixes AS (
       SELECT source, "from", "to", array_agg(DISTINCT cve ORDER BY cve) AS cves FROM items, unnest(cves) cve GROUP BY 1, 2, 3)
     SELECT source, "from", "to", packages, lists, endpoints, coalesce(cves, '{}') AS cves, (count(*) OVER ())::int AS total,
            coalesce((SELECT array_agg(DISTINCT cve ORDER BY cve) FROM items, unnest(cves) cve), '{}') AS "all"
     FROM names JOIN spread USING (source, "from", "to") LEFT JOIN fixes USING (source, "from", "to")
     ORDER BY source, "from" LIMIT ${EVIDENCE_LIST_LIMIT}`,
    [args.changeId, args.ring],
  );
  return {
    updates: rows.map(({ total: _, all: __, lists, ...update }) => (lists?.length ? { ...update, lists } : update)),
    total: rows[0]?.total ?? 0,
    cves: rows[0]?.all ?? [],
  };
}

async function readLeftOut(
  db: Queryable,
  args: { changeId: string; ring: number },
): Promise<{ leftOut: LeftOut[]; total: number }> {
  const { rows } = await db.query<LeftOut & { total: number }>(
    `SELECT t->>'name' || coalesce(' ' || (t->>'to'), '') AS what, t->>'outcome' AS outcome, coalesce(t->>'reason', '') AS reason,
            count(*)::int AS endpoints, (count(*) OVER ())::int AS total
     FROM plan_endpoint p, jsonb_array_elements(p.triage) t
     WHERE p.change_id = $1 AND p.ring = $2 AND p.skipped_by IS NULL AND t->>'outcome' IN ('deferred', 'declined')
     GROUP BY 1, 2, 3 ORDER BY 2, 1 LIMIT ${EVIDENCE_LIST_LIMIT}`,
    [args.changeId, args.ring],
  );
  return { leftOut: rows.map(({ total: _, ...one }) => one), total: rows[0]?.total ?? 0 };
}

async function readEndpoints(
  db: Queryable,
  args: { changeId: string; ring: number },
): Promise<{ names: string[]; total: number }> {
  const { rows } = await db.query<{ names: string[]; total: number }>(
    `SELECT coalesce((array_agg(e.name ORDER BY e.name))[1:${EVIDENCE_LIST_LIMIT}], '{}') AS names, count(*)::int AS total
     FROM plan_endpoint p JOIN endpoint e ON e.id = p.endpoint_id WHERE p.change_id = $1 AND p.ring = $2 AND p.skipped_by IS NULL`,
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
     FROM ring r LEFT JOIN order_state o ON o.change_id = r.change_id AND o.home_ring = r.ordinal AND o.kind = 'change' AND NOT o.retried
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
    `SELECT reversibility, count(*)::int AS n FROM plan_endpoint WHERE change_id = $1 AND ring = $2 AND skipped_by IS NULL AND reversibility IS NOT NULL GROUP BY 1`,
    [args.changeId, args.ring],
  );
  return Object.fromEntries(rows.map((r) => [r.reversibility, r.n]));
}

function limitsOf(spec: RingSpec): string[] {
  const budget =
    'count' in spec.errorBudget
      ? endpointsInWords(spec.errorBudget.count)
      : `${spec.errorBudget.percent} % of the ring`;
  return [
    `at most ${spec.maxInFlight} at once, starting with one`,
    `error budget ${budget} (failed); beyond it: ${spec.haltAction}`,
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
  const many = (kind: string) => endpointsInWords(reversibility[kind] ?? 0);
  return [
    ...('irreversible' in reversibility ? [`can't be undone on ${many('irreversible')}`] : []),
    ...('reversibleButData' in reversibility ? [`can be undone but for data on ${many('reversibleButData')}`] : []),
    ...('reversible' in reversibility ? [`can go back to exactly what was on ${many('reversible')}`] : []),
    ...(test.length === 0 ? ['no ring has gone before this one'] : []),
    ...(failed > 0 ? [`${endpointsInWords(failed)} failed in the rings before`] : []),
  ];
}
