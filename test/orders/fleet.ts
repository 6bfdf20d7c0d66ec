/** A change with rings, endpoints and quorum groups in a real database, for tests of the order rows. */
import { randomUUID } from 'node:crypto';
import type { Pool } from 'pg';
import * as orders from '../../db/orders/index.js';
import type { ChangeSpec, RingSpec } from '../../domain/change/spec.js';
import type { EpochMs } from '../../domain/time.js';
import { DAY, HOUR } from '../../domain/time.js';
import type { Envelope } from '../../protocol/envelope.js';
import type { OrderDocument, PermitDocument } from '../../protocol/messages.js';

export const PLAN = 'a'.repeat(64);
const SET = 'b'.repeat(64);

/** Signs nothing, so that tests can read what would have been signed. */
const seal = (document: unknown): Envelope => ({
  payloadType: 'test',
  payload: Buffer.from(JSON.stringify(document)).toString('base64'),
  signatures: [{ keyid: 'test', sig: '' }],
});
export function unseal<T>(envelope: Envelope): T {
  return JSON.parse(Buffer.from(envelope.payload, 'base64').toString('utf8'));
}
export const testSigner: orders.OrderSigner = { signOrder: seal, signPermit: seal };
export const readOrder = (envelope: Envelope): OrderDocument => unseal(envelope);
export const readPermit = (envelope: Envelope): PermitDocument => unseal(envelope);

export const documentsFor: orders.DocumentsFor = async (db, orderIds, now) => {
  const { rows } = await db.query(
    'SELECT id, endpoint_id, change_id, kind, reverts FROM order_state WHERE id = ANY ($1::uuid[])',
    [orderIds],
  );
  return new Map(
    rows.map((row): [string, OrderDocument] => [
      row.id,
      {
        v: 1,
        orderId: row.id,
        endpointId: row.endpoint_id,
        changeId: row.change_id,
        kind: row.kind,
        planDigest: PLAN,
        approvals: [],
        issuedAt: now,
        expiresAt: now + DAY,
        provider: 'test',
        updates: [],
        previous: [],
        reverts: row.reverts,
        reboot: 'ifNeeded',
        healthChecks: [],
        hooks: [],
        rateLimit: null,
      },
    ]),
  );
};

export const ringSpec = (some: Partial<RingSpec> = {}): RingSpec => ({
  name: 'ring',
  select: { all: true },
  maxInFlight: 10,
  errorBudget: { count: 1 },
  successThresholdPercent: 90,
  minSample: 1,
  soakMinutes: 0,
  approvals: [],
  deadlineMinutes: 24 * 60,
  haltAction: 'pause',
  ...some,
});

export async function addEndpoints(pool: Pool, n: number, args: { seenAt: EpochMs }): Promise<string[]> {
  const ids = Array.from({ length: n }, () => randomUUID());
  await pool.query(
    `INSERT INTO endpoint (id, name, public_key, last_seen)
     SELECT id, 'host-' || id, 'key-' || id, to_timestamp($2 / 1000.0) FROM unnest($1::uuid[]) AS id`,
    [ids, args.seenAt],
  );
  return ids;
}

/** A change whose rings hold these endpoints, planned and with its rings as rows, none of them open. */
export async function addChange(
  pool: Pool,
  args: {
    readonly now: EpochMs;
    readonly rings: readonly {
      readonly spec?: Partial<RingSpec>;
      readonly endpoints: readonly string[];
      readonly waves?: readonly number[];
    }[];
    readonly priority?: number;
    readonly offlineAfterMinutes?: number;
    readonly deadline?: EpochMs;
  },
): Promise<string> {
  const id = randomUUID();
  const { now, rings } = args;
  await pool.query(`INSERT INTO update_set (digest, items) VALUES ($1, $2) ON CONFLICT DO NOTHING`, [
    SET,
    JSON.stringify([{ name: 'pkg', arch: 'amd64', from: '1', to: '2', source: 'pkg', sha256: SET, size: 1 }]),
  ]);
  const spec: ChangeSpec = {
    kind: 'test',
    name: 'test',
    reason: 'test',
    scope: { all: true },
    rings: rings.map((ring) => ringSpec(ring.spec)),
    priority: args.priority ?? 0,
    deadlineMinutes: 30 * 24 * 60,
    offlineAfterMinutes: args.offlineAfterMinutes ?? 60,
    parameters: {},
  };
  await pool.query(
    `INSERT INTO change (id, kind, name, spec, priority, requested_by, deadline, plan_digest, plan_revision)
     VALUES ($1, 'test', 'test', $2, $3, 'test', to_timestamp($4 / 1000.0), $5, 1)`,
    [id, JSON.stringify(spec), args.priority ?? 0, args.deadline ?? now + 30 * DAY, PLAN],
  );
  const specs = [
    ...rings.map((ring, ordinal) => ({ ordinal, spec: ringSpec(ring.spec) })),
    { ordinal: 1000, spec: ringSpec({ name: 'Stragglers' }) },
  ];
  for (const { ordinal, spec } of specs) {
    await pool.query('INSERT INTO ring (change_id, ordinal, name, spec) VALUES ($1, $2, $3, $4)', [
      id,
      ordinal,
      spec.name,
      JSON.stringify(spec),
    ]);
  }
  for (const [ordinal, ring] of rings.entries()) {
    await pool.query(
      `INSERT INTO plan_endpoint (change_id, endpoint_id, revision, ring, wave, update_set_digest)
       SELECT $1, e.id, 1, $2, coalesce(e.wave, 0), $3 FROM unnest($4::uuid[], $5::smallint[]) AS e (id, wave)`,
      [id, ordinal, SET, ring.endpoints, ring.waves ?? []],
    );
  }
  return id;
}

/** Opens the ring and a window for its orders; `until` is the last start. */
export async function openRing(
  pool: Pool,
  args: { readonly changeId: string; readonly ring?: number; readonly now: EpochMs; readonly until?: EpochMs },
): Promise<void> {
  const ring = args.ring ?? 0;
  await orders.openRing(pool, { ...args, ring, approvedDigest: PLAN, approvals: [] });
  await setWindow(pool, { ...args, ring, from: args.now, until: args.until ?? args.now + 8 * HOUR });
}

export async function setWindow(
  pool: Pool,
  args: { readonly changeId: string; readonly ring: number; readonly from: EpochMs; readonly until: EpochMs },
): Promise<void> {
  await pool.query(
    `UPDATE order_state SET next_open = to_timestamp($3 / 1000.0), next_close = to_timestamp($4 / 1000.0),
            window_closes = to_timestamp($4 / 1000.0) + interval '30 minutes'
      WHERE change_id = $1 AND ring = $2 AND phase <> 'done'`,
    [args.changeId, args.ring, args.from, args.until],
  );
}

export interface OrderView {
  readonly id: string;
  readonly endpoint_id: string;
  readonly state: string;
  readonly kind: string;
  readonly ring: number;
  readonly outcome: string | null;
  readonly permit_until: Date | null;
  readonly started_at: Date | null;
  readonly reason: string | null;
  readonly straggler_reason: string | null;
  readonly attempt: number;
}

export async function ordersOf(pool: Pool, changeId: string, kind = 'change'): Promise<OrderView[]> {
  const { rows } = await pool.query(
    'SELECT * FROM order_state WHERE change_id = $1 AND kind = $2 ORDER BY attempt, endpoint_id',
    [changeId, kind],
  );
  return rows;
}

export async function ringOf(pool: Pool, changeId: string, ordinal = 0) {
  const { rows } = await pool.query('SELECT * FROM ring WHERE change_id = $1 AND ordinal = $2', [changeId, ordinal]);
  return rows[0];
}
