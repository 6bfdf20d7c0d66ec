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
import { loadFixableRules } from './failing-rules.js';

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
async function hasWork(client: PoolClient, assignmentId: string, now: EpochMs): Promise<boolean> {
  const fixable = await loadFixableRules(client, { assignmentId, side: 'enforced' });
  if (fixable.length === 0) return false;
  const exceptions = (await loadExceptions(client, now)).filter(({ target }) => 'rule' in target);
  if (exceptions.length === 0) return true;
  const [endpoints, groups] = await Promise.all([
    loadSelectables(client, { endpointIds: fixable.flatMap(({ endpointIds }) => endpointIds) }),
    loadGroups(client),
  ]);
  const byEndpoint = exceptionsByEndpoint({ exceptions, endpoints, groups, now });
  return fixable.some(({ endpointIds, rules }) =>
    endpointIds.some((id) =>
      rules.some((rule) => exceptionForRule(namesOfRule(rule), byEndpoint.get(id) ?? []) === null),
    ),
  );
}
