import type { OrderKind, OrderState } from '../../domain/order/index.js';
import type { Queryable } from '../pool.js';
import { type Counts, countsOf } from './changes.js';

export interface RingProgress {
  readonly ordinal: number;
  readonly name: string;
  readonly state: string;
  readonly targetKind: 'stage' | 'change' | 'revert';
  readonly halted: boolean;
  readonly haltReason: string | null;
  readonly haltedBy: string | null;
  readonly haltedAt: Date | null;
  readonly openedAt: Date | null;
  readonly deadline: Date | null;
  /** Endpoints the ring opened with; 0 before it opened. */
  readonly planned: number;
  /** The latest attempt of each order; a retried one counts no more. */
  readonly counts: Readonly<Record<'stage' | 'change' | 'revert', Counts>>;
}

/** Where a change is, small enough to be read a few times a second. */
export interface Progress {
  readonly id: string;
  readonly name: string;
  readonly stage: string;
  readonly outcome: string | null;
  readonly waitingFor: string | null;
  readonly halted: boolean;
  readonly haltVerb: string | null;
  readonly haltedBy: string | null;
  readonly deadline: Date;
  readonly closedAt: Date | null;
  readonly planDigest: string | null;
  readonly planRevision: number;
  readonly approvalsOpen: number;
  readonly rings: readonly RingProgress[];
}

interface CountRow {
  readonly ring: number;
  readonly kind: OrderKind;
  readonly state: OrderState;
  readonly count: number;
}

/** One change with its rings and their counts: three statements, of which one aggregate over its orders. Null: no such change. */
export async function readProgress(db: Queryable, id: string): Promise<Progress | null> {
  const { rows } = await db.query<Omit<Progress, 'rings'>>(
    `SELECT id, name, stage, outcome, waiting_for AS "waitingFor", halted, halt_verb AS "haltVerb",
            coalesce((SELECT a.name FROM account a WHERE a.id::text = c.halted_by), c.halted_by) AS "haltedBy",
            deadline, closed_at AS "closedAt", plan_digest AS "planDigest", plan_revision AS "planRevision",
            (SELECT count(*)::int FROM approval_request r WHERE r.change_id = c.id AND r.state = 'open') AS "approvalsOpen"
       FROM change c WHERE id = $1`,
    [id],
  );
  const change = rows[0];
  if (change === undefined) return null;
  const { rows: rings } = await db.query<Omit<RingProgress, 'counts'>>(
    `SELECT ordinal, name, state, target_kind AS "targetKind", halted, halt_reason AS "haltReason",
            coalesce((SELECT a.name FROM account a WHERE a.id::text = r.halted_by), r.halted_by) AS "haltedBy",
            halted_at AS "haltedAt", opened_at AS "openedAt", deadline, planned
       FROM ring r WHERE change_id = $1 ORDER BY ordinal`,
    [id],
  );
  const { rows: orders } = await db.query<CountRow>(
    `SELECT ring, kind, state, count(*)::int AS count FROM order_state
      WHERE change_id = $1 AND NOT retried AND kind <> 'scan' GROUP BY ring, kind, state`,
    [id],
  );
  const counted = (ring: number, kind: OrderKind) => countsOf(orders.filter((o) => o.ring === ring && o.kind === kind));
  return {
    ...change,
    rings: rings.map((ring) => ({
      ...ring,
      counts: {
        stage: counted(ring.ordinal, 'stage'),
        change: counted(ring.ordinal, 'change'),
        revert: counted(ring.ordinal, 'revert'),
      },
    })),
  };
}
