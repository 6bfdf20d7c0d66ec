/** Scan orders of baselines: outside any ring, so the worker lets them out by itself; signed like every other. */
import { randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import { OPENSCAP } from '../../domain/baseline/rule-name.js';
import { DAY, type EpochMs } from '../../domain/time.js';
import type { OrderDocument } from '../../protocol/messages.js';
import { wakeWithinHours } from '../orders/rows.js';
import type { OrderSigner } from '../orders/types.js';
import type { Queryable } from '../pool.js';
import { loadScopes } from './scopes.js';
import { type DueTarget, noteOrdered, takeDueTargets, takeNews, targetsDue } from './targets.js';

/** Endpoints scanned at once are bounded by how fast orders are let out: so many at a time. */
const AT_ONCE = 200;
const NEWS_AT_ONCE = 1_000;
const VALID_MS = DAY;

interface Wanted {
  readonly endpointId: string;
  readonly checklistId: number;
  /** Names; empty: all. */
  readonly rules: readonly string[];
  readonly changeId: string | null;
}

/** SQL: there are scans, proofs or full results to order. @param now milliseconds */
export const scansWait = (now: string): string =>
  `(EXISTS (SELECT FROM rule_proof WHERE order_id IS NULL) OR EXISTS (SELECT FROM arf_copy WHERE order_id IS NULL) OR ${targetsDue(now)})`;

/** Lets out what is due, by news of now. @returns whether there may be more */
export async function orderDueScans(
  client: PoolClient,
  args: { readonly signer: OrderSigner; readonly now: EpochMs },
): Promise<boolean> {
  const more = await takeNews(client, { now: args.now, limit: NEWS_AT_ONCE });
  const due = await takeDueTargets(client, { now: args.now, limit: AT_ONCE });
  const made = await letOut(client, { ...args, wanted: due.map((one) => ({ ...one, rules: [], changeId: null })) });
  await noteOrdered(client, { orders: made, now: args.now });
  return more || made.length === AT_ONCE;
}

/** Lets out the scans of single rules that changes ask for as proof. @returns whether there may be more */
export async function orderProofs(
  client: PoolClient,
  args: { readonly signer: OrderSigner; readonly now: EpochMs },
): Promise<boolean> {
  const { rows } = await client.query<Wanted>(
    `SELECT endpoint_id AS "endpointId", checklist_id AS "checklistId", rules, change_id AS "changeId" FROM rule_proof
      WHERE order_id IS NULL ORDER BY asked_at LIMIT $1 FOR UPDATE SKIP LOCKED`,
    [AT_ONCE],
  );
  const made = await letOut(client, { ...args, wanted: rows });
  await client.query(
    `UPDATE rule_proof p SET order_id = i.order_id FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS i (change_id, endpoint_id, order_id)
      WHERE p.change_id = i.change_id AND p.endpoint_id = i.endpoint_id`,
    [made.map((one) => one.changeId), made.map((one) => one.endpointId), made.map((one) => one.orderId)],
  );
  return made.length === AT_ONCE;
}

/** Lets out the orders that hand over full results somebody asked for. @returns whether there may be more */
export async function orderHandOvers(
  client: PoolClient,
  args: { readonly signer: OrderSigner; readonly now: EpochMs },
): Promise<boolean> {
  const { rows } = await client.query<Pick<Wanted, 'endpointId' | 'checklistId'>>(
    `SELECT endpoint_id AS "endpointId", checklist_id AS "checklistId" FROM arf_copy
      WHERE order_id IS NULL ORDER BY requested_at LIMIT $1 FOR UPDATE SKIP LOCKED`,
    [AT_ONCE],
  );
  const made = await letOut(client, { ...args, wanted: rows, handOver: true });
  await client.query(
    `UPDATE arf_copy a SET order_id = i.order_id FROM unnest($1::uuid[], $2::int[], $3::uuid[]) AS i (endpoint_id, checklist_id, order_id)
      WHERE a.endpoint_id = i.endpoint_id AND a.checklist_id = i.checklist_id`,
    [made.map((one) => one.endpointId), made.map((one) => one.checklistId), made.map((one) => one.orderId)],
  );
  return made.length === AT_ONCE;
}

/** Ends scan orders that nobody fetched in time; what they were for is due again. */
export async function expireScans(db: Queryable, now: EpochMs): Promise<void> {
  await db.query(
    `WITH old AS (
       UPDATE order_state SET state = 'expired', phase = 'done', settled_at = to_timestamp($1 / 1000.0), updated_at = to_timestamp($1 / 1000.0)
        WHERE change_id IS NULL AND kind = 'scan' AND phase = 'holding' AND released_at < to_timestamp(($1::float8 - $2::float8) / 1000.0) RETURNING id)
     INSERT INTO order_event (order_id, at, actor, event, from_state, to_state)
     SELECT id, to_timestamp($1 / 1000.0), 'server', 'expire', 'released', 'expired' FROM old`,
    [now, VALID_MS],
  );
}

async function letOut(
  client: PoolClient,
  args: {
    readonly signer: OrderSigner;
    readonly now: EpochMs;
    readonly handOver?: boolean;
    readonly wanted: readonly (Pick<Wanted, 'endpointId' | 'checklistId'> & Partial<Wanted & DueTarget>)[];
  },
): Promise<(Wanted & { readonly orderId: string })[]> {
  const { now, signer } = args;
  if (args.wanted.length === 0) return [];
  const scopes = await loadScopes(client, { ids: [...new Set(args.wanted.map((one) => one.checklistId))] });
  const byId = new Map([...scopes.values()].map((found) => [found.id, found]));
  const made = args.wanted.flatMap(({ endpointId, checklistId, critical = [], rules = [], changeId = null }) => {
    const found = byId.get(checklistId);
    // Its bytes are not in the content store yet.
    if (found === undefined) return [];
    const named = rules.map((name) => ({ name, id: found.ruleIds.get(name) ?? '' }));
    const document: OrderDocument = {
      v: 1,
      orderId: randomUUID(),
      endpointId,
      changeId,
      kind: 'scan',
      planDigest: null,
      approvals: [],
      issuedAt: now,
      expiresAt: now + VALID_MS,
      provider: OPENSCAP,
      updates: [],
      previous: [],
      reverts: null,
      reboot: 'never',
      healthChecks: [],
      hooks: [],
      rateLimit: null,
      baseline: { ...found.scope, rules: named, critical: [...critical], handOver: args.handOver === true },
    };
    return [{ endpointId, checklistId, rules, changeId, orderId: document.orderId, document }];
  });
  await client.query(
    `WITH made AS (
       INSERT INTO order_state (id, ring, home_ring, endpoint_id, kind, phase, state, released_at, updated_at)
       SELECT i.id, 0, 0, i.endpoint_id, 'scan', 'holding', 'released', to_timestamp($4 / 1000.0), to_timestamp($4 / 1000.0)
         FROM unnest($1::uuid[], $2::uuid[]) AS i (id, endpoint_id) RETURNING id),
     said AS (
       INSERT INTO order_event (order_id, at, actor, event, from_state, to_state)
       SELECT id, to_timestamp($4 / 1000.0), 'server', 'release', 'pending', 'released' FROM made)
     INSERT INTO order_envelope (order_id, envelope, signed_at)
     SELECT e.id, e.envelope, to_timestamp($4 / 1000.0) FROM unnest($1::uuid[], $3::jsonb[]) AS e (id, envelope)`,
    [
      made.map((one) => one.orderId),
      made.map((one) => one.endpointId),
      made.map((one) => JSON.stringify(signer.signOrder(one.document))),
      now,
    ],
  );
  await wakeWithinHours(client, [...new Set(made.map((one) => one.endpointId))]);
  return made.map(({ document: _, ...one }) => one);
}
