/** Which enforced baselines are due a change of their own. */
import type { PoolClient } from 'pg';
import { type Enforcement, enforcementActor, enforcementSchema } from '../../domain/baseline/enforcement.js';
import { namesOfRule } from '../../domain/baseline/rule-name.js';
import { exceptionForRule, exceptionsByEndpoint } from '../../domain/exception/exception.js';
import type { Selector } from '../../domain/fleet/selector.js';
import type { EpochMs } from '../../domain/time.js';
import { loadSelectables } from '../endpoints/selectable.js';
import { loadExceptions } from '../exceptions/exceptions.js';
import { loadGroups } from '../policy/load.js';
import { failingRules } from './failing-rules.js';

export interface DueEnforcement {
  readonly assignment: string;
  readonly scope: Selector;
  readonly enforcement: Enforcement;
}

/**
 * Assignments with a failing rule on an endpoint where they are enforced that a change would put right: it has a fix, is not excepted,
 * not marked as wrong and not decided by an assignment that comes first. And no change of theirs open, and none begun within their pause. Their rows stay locked, so that two workers make one change.
 */
export async function takeDueEnforcements(client: PoolClient, now: EpochMs): Promise<DueEnforcement[]> {
  const { rows } = await client.query<{ id: string; name: string; applies_to: Selector; enforcement: unknown }>(
    'SELECT id, name, applies_to, enforcement FROM baseline_assignment WHERE enforcement IS NOT NULL ORDER BY name FOR UPDATE SKIP LOCKED',
  );
  const due: DueEnforcement[] = [];
  for (const row of rows) {
    const read = enforcementSchema.safeParse(row.enforcement);
    if (!read.success) continue;
    const { rowCount } = await client.query(
      `SELECT FROM change WHERE requested_by = $1
          AND (closed_at IS NULL OR requested_at > to_timestamp(($2::float8 - $3::float8 * 60000) / 1000.0)) LIMIT 1`,
      [enforcementActor(row.name), now, read.data.everyMinutes],
    );
    if (rowCount === 0 && (await hasWork(client, row.id, now)))
      due.push({ assignment: row.name, scope: row.applies_to, enforcement: read.data });
  }
  return due;
}

/** Whether something fails there that can be put right. */
const FAILING = failingRules(`t.assignment_id = $1 AND t.mode = 'enforce'`);

async function hasWork(client: PoolClient, assignmentId: string, now: EpochMs): Promise<boolean> {
  if (!(await mayHaveWork(client, assignmentId))) return false;
  const exceptions = (await loadExceptions(client, now)).filter(({ target }) => 'rule' in target);
  if (exceptions.length === 0) return (await client.query(`SELECT ${FAILING} LIMIT 1`, [assignmentId])).rowCount === 1;
  const { rows } = await client.query<{ endpointId: string; rules: { ruleId: string; name: string }[] }>(
    `SELECT t.endpoint_id AS "endpointId", jsonb_agg(jsonb_build_object('ruleId', r.rule_id, 'name', r.name)) AS rules ${FAILING} GROUP BY 1`,
    [assignmentId],
  );
  const [endpoints, groups] = await Promise.all([
    loadSelectables(client, { endpointIds: rows.map((row) => row.endpointId) }),
    loadGroups(client),
  ]);
  const byEndpoint = exceptionsByEndpoint({ exceptions, endpoints, groups, now });
  return rows.some(({ endpointId, rules }) =>
    rules.some((rule) => exceptionForRule(namesOfRule(rule), byEndpoint.get(endpointId) ?? []) === null),
  );
}

/** A cheap look first, for most rules that go on failing are ones without a fix: texts of results that are alike are read once. */
async function mayHaveWork(client: PoolClient, assignmentId: string): Promise<boolean> {
  const { rows } = await client.query<{ results: string }>(
    `SELECT DISTINCT m.results FROM assessment_target t JOIN assessment m USING (endpoint_id, checklist_id)
      WHERE t.assignment_id = $1 AND t.mode = 'enforce' AND m.failed > 0 AND t.checklist_id = (SELECT checklist_id FROM baseline_assignment WHERE id = $1)`,
    [assignmentId],
  );
  if (rows.length === 0) return false;
  const fixable = await client.query<{ position: number }>(
    'SELECT r.position FROM baseline_assignment a JOIN checklist_rule r USING (checklist_id) WHERE a.id = $1 AND r.fix_sha256 IS NOT NULL',
    [assignmentId],
  );
  return rows.some(({ results }) => fixable.rows.some(({ position }) => results[position] === 'f'));
}
