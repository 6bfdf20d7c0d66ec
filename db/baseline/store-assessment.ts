/** Takes in what an endpoint found: compact, in one transaction, and only what changed. */
import type { Pool, PoolClient } from 'pg';
import { codeOf, countResults, isDrift, resultOf, whyNoAnswer } from '../../domain/baseline/results.js';
import { explainingChange } from '../../domain/baseline/rule-change-explained.js';
import type { EpochMs } from '../../domain/time.js';
import type { AssessmentRequest } from '../../protocol/messages.js';
import { inTransaction } from '../pool.js';
import { loadMovedRules, loadOrdersAtWork } from './at-work.js';
import { noteAnswered } from './targets.js';

export type Stored =
  | { readonly kind: 'stored'; readonly revision: number | null }
  /** The differences are to something we do not have. */
  | { readonly kind: 'sendAll' }
  | { readonly kind: 'refused'; readonly field: string; readonly reason: string };

interface Known {
  readonly id: number;
  readonly positions: ReadonlyMap<string, number>;
}

/** Checklists never change, so what was read once stays true. */
const known = new Map<string, Known>();
const MOST_KNOWN = 200;
const UNTESTED = codeOf('unknown');

export async function storeAssessment(
  pool: Pool,
  args: { readonly endpointId: string; readonly request: AssessmentRequest; readonly now: EpochMs },
): Promise<Stored> {
  const { request } = args;
  const checklist = await loadKnown(pool, request.checklist);
  if (checklist === null) return { kind: 'refused', field: 'checklist', reason: 'no such checklist' };
  const unknown = Object.keys(request.results).find((rule) => !checklist.positions.has(rule));
  if (unknown !== undefined)
    return { kind: 'refused', field: `results.${unknown}`, reason: 'the checklist has no such rule' };
  return inTransaction(pool, async (client) => {
    const { rows } = await client.query(
      `SELECT 1 FROM order_state WHERE id = $1 AND endpoint_id = $2 AND kind = 'scan'`,
      [request.orderId, args.endpointId],
    );
    if (rows.length === 0) return { kind: 'refused', field: 'orderId', reason: 'no such scan order of this endpoint' };
    return request.partial ? storeProof(client, args) : store(client, { ...args, checklist });
  });
}

async function storeProof(
  client: PoolClient,
  args: { readonly endpointId: string; readonly request: AssessmentRequest; readonly now: EpochMs },
): Promise<Stored> {
  const { request, now } = args;
  await client.query(
    `UPDATE rule_proof SET results = $3, answered_at = to_timestamp($4 / 1000.0) WHERE order_id = $1 AND endpoint_id = $2`,
    [
      request.orderId,
      args.endpointId,
      JSON.stringify(request.problem === null ? request.results : { '': request.problem }),
      now,
    ],
  );
  return { kind: 'stored', revision: null };
}

async function store(
  client: PoolClient,
  args: {
    readonly endpointId: string;
    readonly request: AssessmentRequest;
    readonly checklist: Known;
    readonly now: EpochMs;
  },
): Promise<Stored> {
  const { endpointId, request, checklist, now } = args;
  // The row is there from here on and locked: two answers of one endpoint take turns.
  await client.query(
    `INSERT INTO assessment (endpoint_id, checklist_id, results, revision, passed, failed, errors, not_applicable, not_checked, first_at)
     VALUES ($1, $2, '', 0, 0, 0, 0, 0, 0, to_timestamp($3 / 1000.0)) ON CONFLICT DO NOTHING`,
    [endpointId, checklist.id, now],
  );
  const { rows } = await client.query(
    'SELECT results, revision, assessed_at FROM assessment WHERE endpoint_id = $1 AND checklist_id = $2 FOR UPDATE',
    [endpointId, checklist.id],
  );
  const before = rows[0] as { results: string; revision: number; assessed_at: Date | null };
  if (request.problem === null && request.base !== null && request.base !== before.revision) return { kind: 'sendAll' };
  const codes = request.base === null ? Array<string>(checklist.positions.size).fill(UNTESTED) : [...before.results];
  for (const [rule, result] of Object.entries(request.results))
    codes[checklist.positions.get(rule) as number] = codeOf(result);
  const results = codes.join('');
  const counts = countResults(results);
  const problem = request.problem ?? whyNoAnswer(counts);
  await noteAnswered(client, { endpointId, checklistId: checklist.id, orderId: request.orderId, now });
  if (problem !== null) {
    await client.query(
      `UPDATE assessment SET problem = $3, problem_at = to_timestamp($4 / 1000.0) WHERE endpoint_id = $1 AND checklist_id = $2`,
      [endpointId, checklist.id, problem, now],
    );
    return { kind: 'stored', revision: null };
  }
  const changes = before.results === '' ? [] : changesBetween(before.results, results);
  const revision = before.results === results ? before.revision : before.revision + 1;
  await client.query(
    `UPDATE assessment SET results = $3, revision = $4, passed = $5, failed = $6, errors = $7, not_applicable = $8, not_checked = $9,
            assessed_at = to_timestamp($10 / 1000.0), arf_sha256 = $11, arf_size = $12, problem = NULL, problem_at = NULL, order_id = $13,
            first_at = CASE WHEN results = '' THEN to_timestamp($10 / 1000.0) ELSE first_at END
      WHERE endpoint_id = $1 AND checklist_id = $2`,
    [
      endpointId,
      checklist.id,
      results,
      revision,
      counts.pass,
      counts.fail,
      counts.error,
      counts.notApplicable,
      counts.notChecked,
      now,
      request.arf?.sha256 ?? null,
      request.arf?.size ?? null,
      request.orderId,
    ],
  );
  if (changes.length > 0) await recordChanges(client, { ...args, since: before.assessed_at, changes });
  return { kind: 'stored', revision };
}

interface RuleChange {
  readonly position: number;
  readonly before: string;
  readonly after: string;
}

function changesBetween(before: string, after: string): RuleChange[] {
  const changes: RuleChange[] = [];
  for (let position = 0; position < after.length; position++) {
    const was = before[position] ?? UNTESTED;
    const is = after[position] as string;
    if (was !== is) changes.push({ position, before: was, after: is });
  }
  return changes;
}

/**
 * Each with the change that explains it, if one does. Drift of a critical rule is noticed by this as well, unless the agent has told it
 * since then: not every drift leaves a trace where it looks. Told while an order was at work, which now turns out to explain nothing, it is
 * told again.
 */
async function recordChanges(
  client: PoolClient,
  args: {
    readonly endpointId: string;
    readonly request: AssessmentRequest;
    readonly checklist: Known;
    readonly since: Date | null;
    readonly changes: readonly RuleChange[];
    readonly now: EpochMs;
  },
): Promise<void> {
  const { endpointId, checklist, since } = args;
  const orders = await loadOrdersAtWork(client, { endpointId, since });
  // Mostly nothing was at work, and nothing need be known of the rules.
  const known =
    orders.length === 0
      ? null
      : await loadMovedRules(client, {
          endpointId,
          checklistId: checklist.id,
          positions: args.changes.map((one) => one.position),
        });
  const changes = args.changes.map((one) => {
    const [was, is] = [resultOf(one.before), resultOf(one.after)];
    const rule = known?.get(one.position);
    const by = rule === undefined ? null : explainingChange(orders, { ...rule, was, is });
    return { ...one, was, is, drift: isDrift(is), by };
  });
  await client.query(
    `WITH c AS MATERIALIZED (
       SELECT * FROM jsonb_to_recordset($3::jsonb) AS c (position smallint, before text, after text, was text, "is" text, drift boolean, "by" uuid)),
     recorded AS (
       INSERT INTO rule_change (endpoint_id, checklist_id, position, before, after, at, change_id)
       SELECT $1, $2, c.position, c.before, c.after, to_timestamp($4 / 1000.0), c."by" FROM c)
     INSERT INTO noticed (endpoint_id, key, kind, action, name, detail, noticed_at, received_at, change_id)
     SELECT $1, 'assessment/' || $6::text || '/' || c.position, 'rule', 'changed', r.rule_id, jsonb_build_object('before', c.was, 'after', c."is"),
            to_timestamp($4 / 1000.0), to_timestamp($4 / 1000.0), c."by"
       FROM c JOIN checklist_rule r ON r.checklist_id = $2 AND r.position = c.position
       JOIN assessment_target t ON t.endpoint_id = $1 AND t.checklist_id = $2
       JOIN baseline_assignment a ON a.id = t.assignment_id AND r.rule_id = ANY (a.critical)
      WHERE c.drift AND NOT EXISTS (SELECT FROM noticed n WHERE n.endpoint_id = $1 AND n.kind = 'rule' AND n.name = r.rule_id
                                       AND n.detail ->> 'after' = c."is" AND n.received_at > coalesce($5::timestamptz, '-infinity')
                                       AND (n.change_id IS NULL OR c."by" IS NOT NULL))
     ON CONFLICT (endpoint_id, key) DO NOTHING`,
    [endpointId, checklist.id, JSON.stringify(changes), args.now, since, args.request.orderId],
  );
}

async function loadKnown(pool: Pool, digest: string): Promise<Known | null> {
  const found = known.get(digest);
  if (found !== undefined) return found;
  const { rows } = await pool.query(
    'SELECT c.id, r.rule_id, r.position FROM checklist c JOIN checklist_rule r ON r.checklist_id = c.id WHERE c.digest = $1',
    [digest],
  );
  if (rows.length === 0) return null;
  const made = { id: rows[0].id as number, positions: new Map(rows.map((row) => [row.rule_id, row.position])) };
  if (known.size >= MOST_KNOWN) known.clear();
  known.set(digest, made);
  return made;
}
