/** What orders say: built from frozen rows, many at once, inside the release's transaction. */

import { OPENSCAP } from '../../domain/baseline/rule-name.js';
import type { PackageUpdate } from '../../domain/content/index.js';
import type { OrderKind } from '../../domain/order/index.js';
import { endpointHooks } from '../../domain/policy/hooks.js';
import type { PolicyDocument } from '../../domain/policy/policy-set.js';
import type { EpochMs } from '../../domain/time.js';
import { DAY } from '../../domain/time.js';
import type { OrderDocument } from '../../protocol/messages.js';
import { type ChecklistScope, loadScopes } from '../baseline/scopes.js';
import type { Queryable } from '../pool.js';

/** A file to go back to. */
export type OldPackage = OrderDocument['previous'][number];

interface OrderRow {
  readonly id: string;
  readonly change_id: string | null;
  readonly endpoint_id: string;
  readonly kind: OrderKind;
  readonly reverts: string | null;
  readonly content: string | null;
  readonly deadline: Date | null;
  readonly plan_digest: string | null;
  readonly provider: string | null;
  readonly policy: PolicyDocument | null;
  readonly approvals: string[];
}

interface SetContent {
  readonly items: readonly PackageUpdate[];
  readonly previous: readonly OldPackage[];
}

/** Of an endpoint that has never been scanned, only a scan order can be released; all agents of today have this one. */
const DEFAULT_PROVIDER = 'apt';
const NOTHING: SetContent = { items: [], previous: [] };

/**
 * The documents of these orders, by order id; two queries however many they are. An order whose plan row, policy version
 * or update set is gone is left out, and so is not released.
 *
 * A revert order carries what the change order it undoes carried: `from` is what to go back to, `to` what must still be
 * installed for that. An order of a change is good until the change's deadline, any other for a day.
 */
export async function documentsFor(
  db: Queryable,
  orderIds: readonly string[],
  now: EpochMs,
): Promise<Map<string, OrderDocument>> {
  const { rows } = await db.query<OrderRow>(
    `SELECT o.id, o.change_id, o.endpoint_id, o.kind, o.reverts, coalesce(undone.content_digest, o.content_digest) AS content,
            c.deadline, c.plan_digest, coalesce(pe.provider, seen.provider) AS provider, ps.document AS policy,
            ARRAY(SELECT a.id::text FROM approval_request a WHERE a.change_id = o.change_id AND a.ring = o.home_ring
                     AND a.state = 'approved' ORDER BY a.id) AS approvals
       FROM order_state o
       LEFT JOIN change c ON c.id = o.change_id
       LEFT JOIN order_state undone ON undone.id = o.reverts
       LEFT JOIN plan_endpoint pe ON pe.change_id = o.change_id AND pe.endpoint_id = o.endpoint_id
       LEFT JOIN policy_set ps ON ps.id = pe.policy_set_id AND ps.version = pe.policy_version
       LEFT JOIN LATERAL (SELECT s.provider FROM scan s WHERE s.endpoint_id = o.endpoint_id AND s.complete
                           ORDER BY s.received_at DESC LIMIT 1) seen ON pe.provider IS NULL
      WHERE o.id = ANY ($1)`,
    [orderIds],
  );
  const sets = await loadSets(db, [...new Set(rows.flatMap((row) => row.content ?? []))]);
  const scopes = await scopesOf(db, rows, sets);
  const documents = new Map<string, OrderDocument>();
  for (const row of rows) {
    const found = row.content === null ? undefined : sets.get(row.content);
    const document = documentOf({ row, found, scopes, now });
    if (document !== null) documents.set(row.id, document);
  }
  return documents;
}

/** Of orders that put rules right: the checklists they are of. */
async function scopesOf(
  db: Queryable,
  rows: readonly OrderRow[],
  sets: ReadonlyMap<string, SetContent>,
): Promise<ReadonlyMap<string, ChecklistScope>> {
  const names = rows.flatMap((row) => {
    const source =
      row.provider === OPENSCAP && row.content !== null ? sets.get(row.content)?.items[0]?.source : undefined;
    return source ?? [];
  });
  return names.length === 0 ? new Map() : loadScopes(db, { names: [...new Set(names)] });
}

/** Null: its checklist is gone, or its bytes are not stored. */
function baselineOf(set: SetContent, scopes: ReadonlyMap<string, ChecklistScope>): OrderDocument['baseline'] | null {
  const found = scopes.get(set.items[0]?.source ?? '');
  if (found === undefined) return null;
  const rules = set.items.flatMap(({ name }) => {
    const id = found.ruleIds.get(name);
    return id === undefined ? [] : [{ name, id }];
  });
  return rules.length === set.items.length ? { ...found.scope, rules, critical: [], handOver: false } : null;
}

async function loadSets(db: Queryable, digests: readonly string[]): Promise<Map<string, SetContent>> {
  const { rows } = await db.query<{ digest: string } & SetContent>(
    'SELECT digest, items, previous FROM update_set WHERE digest = ANY ($1)',
    [digests],
  );
  return new Map(rows.map(({ digest, items, previous }) => [digest, { items, previous }]));
}

function documentOf(args: {
  readonly row: OrderRow;
  readonly found: SetContent | undefined;
  readonly scopes: ReadonlyMap<string, ChecklistScope>;
  readonly now: EpochMs;
}): OrderDocument | null {
  const { row, now } = args;
  const { policy } = row;
  const scan = row.kind === 'scan';
  const set = scan ? NOTHING : args.found;
  if (set === undefined || (!scan && policy === null)) return null;
  const baseline = row.provider === OPENSCAP && !scan ? baselineOf(set, args.scopes) : undefined;
  if (baseline === null) return null;
  const mutates = row.kind === 'change' || row.kind === 'revert';
  return {
    v: 1,
    orderId: row.id,
    endpointId: row.endpoint_id,
    changeId: row.change_id,
    kind: row.kind,
    planDigest: row.plan_digest,
    approvals: row.approvals,
    issuedAt: now,
    expiresAt: row.deadline?.getTime() ?? now + DAY,
    provider: row.provider ?? DEFAULT_PROVIDER,
    updates: [...set.items],
    previous: [...set.previous],
    reverts: row.reverts,
    reboot: mutates && policy !== null ? policy.reboot : 'never',
    healthChecks: mutates && policy !== null ? (policy.healthChecks as OrderDocument['healthChecks']) : [],
    hooks: mutates && policy !== null ? [...endpointHooks(policy)] : [],
    rateLimit: policy?.stageRateLimit ?? null,
    ...(baseline === undefined ? {} : { baseline }),
  };
}
