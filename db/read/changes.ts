import { budgetClass, type OrderKind, type OrderState } from '../../domain/order/index.js';
import type { Queryable } from '../pool.js';
import { type Page, pageOf } from './cursor.js';

export interface ChangeSummary {
  readonly id: string;
  readonly kind: string;
  readonly name: string;
  readonly priority: number;
  readonly requestedBy: string;
  readonly requestedAt: Date;
  readonly deadline: Date;
  readonly stage: string;
  readonly outcome: string | null;
  readonly waitingFor: string | null;
  readonly halted: boolean;
  readonly haltVerb: string | null;
  readonly haltedBy: string | null;
  readonly closedAt: Date | null;
}

const COLUMNS = `id, kind, name, priority, requested_by AS "requestedBy", requested_at AS "requestedAt", deadline, stage, outcome,
  waiting_for AS "waitingFor", halted, halt_verb AS "haltVerb", halted_by AS "haltedBy", closed_at AS "closedAt"`;

/** Changes, newest first. */
export async function listChanges(
  db: Queryable,
  args: { open: boolean | null; after: readonly [number, string] | null; limit: number },
): Promise<Page<ChangeSummary>> {
  const { rows } = await db.query<ChangeSummary & { micros: number }>(
    `SELECT ${COLUMNS}, (extract(epoch FROM requested_at) * 1000000)::bigint AS micros FROM change
      WHERE ($1::boolean IS NULL OR (closed_at IS NULL) = $1)
        AND ($2::bigint IS NULL OR ((extract(epoch FROM requested_at) * 1000000)::bigint, id) < ($2, $3::uuid))
      ORDER BY (extract(epoch FROM requested_at) * 1000000)::bigint DESC, id DESC LIMIT $4`,
    [args.open, args.after?.[0] ?? null, args.after?.[1] ?? null, args.limit + 1],
  );
  const page = pageOf(rows, args.limit, (row) => [row.micros, row.id]);
  return { next: page.next, items: page.items.map(({ micros: _, ...row }) => row) };
}

/** One ring's orders of one kind, counted by state. */
interface StateCount {
  readonly ring: number;
  readonly kind: OrderKind;
  readonly state: OrderState;
  readonly count: number;
}

export interface Counts {
  readonly total: number;
  readonly pending: number;
  readonly inFlight: number;
  readonly succeeded: number;
  readonly failed: number;
  /** Skipped, withdrawn, superseded, expired. */
  readonly none: number;
  readonly byState: Readonly<Record<string, number>>;
}

/** Counts as the budgets count (docs/order-protocol.md); each order once. */
export function countsOf(rows: readonly StateCount[]): Counts {
  const counts = { total: 0, pending: 0, inFlight: 0, succeeded: 0, failed: 0, none: 0 };
  const byState: Record<string, number> = {};
  for (const { kind, state, count } of rows) {
    counts.total += count;
    counts[state === 'pending' ? 'pending' : budgetClass(kind, state)] += count;
    byState[state] = (byState[state] ?? 0) + count;
  }
  return { ...counts, byState };
}

/** One change with its rings, what they count, its plan's header and its open approval requests; null when there is none. */
export async function readChange(db: Queryable, id: string): Promise<object | null> {
  const [change, rings, orders, plan, approvals] = await Promise.all([
    db.query(
      `SELECT ${COLUMNS}, spec, summary, plan_digest AS "planDigest", plan_revision AS "planRevision" FROM change WHERE id = $1`,
      [id],
    ),
    db.query<{ ordinal: number }>(
      `SELECT ordinal, name, state, halted, halt_reason AS "haltReason", halted_by AS "haltedBy", halted_at AS "haltedAt",
              concurrency, target_kind AS "targetKind", opened_at AS "openedAt", drained_at AS "drainedAt", deadline,
              (SELECT count(*) FROM plan_endpoint p WHERE p.change_id = r.change_id AND p.ring = r.ordinal) AS endpoints
         FROM ring r WHERE change_id = $1 ORDER BY ordinal`,
      [id],
    ),
    db.query<StateCount>(
      'SELECT ring, kind, state, count(*) AS count FROM order_state WHERE change_id = $1 GROUP BY ring, kind, state',
      [id],
    ),
    db.query(
      'SELECT revision, digest, header, frozen_at AS "frozenAt" FROM plan WHERE change_id = $1 ORDER BY revision DESC LIMIT 1',
      [id],
    ),
    db.query(
      `SELECT id, ring, state, plan_digest AS "planDigest", high_risk AS "highRisk", opened_at AS "openedAt", expires_at AS "expiresAt"
         FROM approval_request WHERE change_id = $1 ORDER BY opened_at, id`,
      [id],
    ),
  ]);
  const row = change.rows[0] as object | undefined;
  if (row === undefined) return null;
  const kinds: OrderKind[] = ['stage', 'change', 'revert'];
  return {
    ...row,
    plan: plan.rows[0] ?? null,
    approvals: approvals.rows,
    rings: rings.rows.map((ring) => ({
      ...ring,
      counts: Object.fromEntries(
        kinds.map((kind) => [kind, countsOf(orders.rows.filter((o) => o.ring === ring.ordinal && o.kind === kind))]),
      ),
    })),
  };
}
