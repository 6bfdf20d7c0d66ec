/** What tickets say, read when it is said. A few set-based reads each. */
import type { Evidence } from '../../domain/approval/evidence.js';
import type { WorkWords } from '../../domain/ticket/words.js';
import type { EpochMs } from '../../domain/time.js';
import { readEvidence } from '../approvals/evidence.js';
import { REQUESTER } from '../approvals/people.js';
import type { Queryable } from '../pool.js';

export interface ChangeFacts {
  readonly id: string;
  readonly kind: string;
  readonly name: string;
  readonly reason: string;
  readonly priority: number;
  readonly requestedBy: string;
  readonly requestedAt: EpochMs;
  readonly deadline: EpochMs;
  readonly stage: string;
  readonly outcome: string | null;
  readonly planDigest: string | null;
  readonly summary: Readonly<Record<string, unknown>> | null;
  readonly rings: readonly Omit<Evidence, 'when' | 'overrides'>[];
}

/** Rings a ticket describes one by one; further ones are counted. */
const DESCRIBED_RINGS = 10;

export async function loadChangeFacts(
  db: Queryable,
  args: { readonly changeId: string; readonly withRings: boolean },
): Promise<ChangeFacts> {
  const { rows } = await db.query<Omit<ChangeFacts, 'rings'> & { ordinals: number[] }>(
    `SELECT c.id, c.kind, c.name, c.spec->>'reason' AS reason, c.priority, coalesce(a.name, c.requested_by) AS "requestedBy",
            (extract(epoch FROM c.requested_at) * 1000)::float8 AS "requestedAt", (extract(epoch FROM c.deadline) * 1000)::float8 AS deadline,
            c.stage, c.outcome, c.plan_digest AS "planDigest", c.summary,
            coalesce((SELECT array_agg(r.ordinal ORDER BY r.ordinal) FROM ring r WHERE r.change_id = c.id AND r.ordinal < 1000), '{}') AS ordinals
       FROM change c LEFT JOIN account a ON a.id::text = ${REQUESTER} WHERE c.id = $1`,
    [args.changeId],
  );
  const row = rows[0];
  if (row === undefined) throw new Error(`there is no change ${args.changeId}`);
  const { ordinals, ...change } = row;
  const rings = [];
  if (args.withRings && change.planDigest !== null)
    for (const ring of ordinals.slice(0, DESCRIBED_RINGS))
      rings.push(await readEvidence(db, { changeId: args.changeId, ring }));
  return { ...change, rings };
}

/** What a work ticket's words are made of, and which work and endpoint it is. */
export interface WorkFacts extends WorkWords {
  readonly id: string;
  readonly endpointId: string;
  readonly changeId: string | null;
}

export async function loadWorkFacts(db: Queryable, id: string): Promise<WorkFacts> {
  const { rows } = await db.query<WorkFacts>(
    `SELECT w.id, w.kind, w.endpoint_id AS "endpointId", e.name AS endpoint, w.reason, w.seen, w.evidence, w.change_id AS "changeId",
            c.name AS "changeName",
            coalesce((SELECT jsonb_agg(jsonb_build_object('name', i->>'name', 'from', i->>'from', 'to', i->>'to'))
                        FROM (SELECT i FROM plan_endpoint p JOIN update_set u ON u.digest = p.update_set_digest
                                CROSS JOIN LATERAL jsonb_array_elements(u.items) i
                               WHERE p.change_id = w.change_id AND p.endpoint_id = w.endpoint_id LIMIT 50) first), '[]') AS updates,
            '[]'::jsonb AS events
       FROM work_item w JOIN endpoint e ON e.id = w.endpoint_id LEFT JOIN change c ON c.id = w.change_id WHERE w.id = $1`,
    [id],
  );
  const work = rows[0];
  if (work === undefined) throw new Error(`there is no work item ${id}`);
  const { orderId } = work.evidence;
  if (typeof orderId !== 'string') return work;
  const { rows: events } = await db.query<WorkFacts['events'][number]>(
    `SELECT at, event, to_state AS "to", detail->>'reason' AS reason
       FROM (SELECT * FROM order_event WHERE order_id = $1::uuid ORDER BY id DESC LIMIT 20) last ORDER BY id`,
    [orderId],
  );
  return { ...work, events };
}

/** The evidence a request was opened with, for its comment. */
export async function loadRequestEvidence(
  db: Queryable,
  requestId: string,
): Promise<{
  readonly evidence: Evidence;
  readonly quorum: number;
  readonly highRisk: boolean;
  readonly expiresAt: EpochMs;
  readonly people: readonly string[];
} | null> {
  const { rows } = await db.query(
    `SELECT r.evidence, (r.rule->>'quorum')::int AS quorum, r.high_risk AS "highRisk", (extract(epoch FROM r.expires_at) * 1000)::float8 AS "expiresAt",
            coalesce((SELECT array_agg(a.name ORDER BY a.name) FROM approval_person p JOIN account a ON a.id = p.account_id
                       WHERE p.request_id = r.id), '{}') AS people
       FROM approval_request r WHERE r.id = $1`,
    [requestId],
  );
  return rows[0] ?? null;
}
