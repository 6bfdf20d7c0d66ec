import type { Pool, PoolClient } from 'pg';
import { admit } from '../../domain/change/admit.js';
import { judgeBudget, readTerms, roomFor } from '../../domain/change/budget.js';
import type { RingCounts } from '../../domain/change/counts.js';
import { nextPace, samePace } from '../../domain/change/pace.js';
import { DAY, type EpochMs } from '../../domain/time.js';
import type { OrderDocument } from '../../protocol/messages.js';
import { appendAudit } from '../audit/append.js';
import { inTransaction } from '../pool.js';
import { setHalted } from './budget-halt.js';
import { countLane, type LaneCounts } from './counts.js';
import { shutGates } from './gates.js';
import { type Lane, lockLane, type RingLock } from './lane.js';
import { moveOrders } from './move-set.js';
import { permitReboots, refreshPermits, writePermits } from './permits.js';
import { approvedRings, hostOrderGates, pickCandidates } from './pick.js';
import { queueReverts } from './rollback.js';
import { toEpoch, wakeEndpoints } from './rows.js';
import { tidyLane } from './stragglers.js';
import { applyTimeouts } from './timeouts.js';
import type { DocumentsFor, OrderSigner, OrderTarget, TickResult } from './types.js';

/** Orders released in one transaction at most: the ring's lock is held while they are signed. */
export const RELEASE_BATCH = 200;
/** Staging changes nothing, so no budget bounds it; this many endpoints fetch at once. */
const STAGING_AT_ONCE = 500;
/** An undoing may come long after the change's deadline. */
const REVERT_VALID_MS = 30 * DAY;

export interface ReleaseDeps {
  readonly pool: Pool;
  readonly signer: OrderSigner;
  readonly documentsFor: DocumentsFor;
}

interface Tick {
  readonly changeId: string;
  readonly ring: number;
  readonly target: OrderTarget;
  readonly epoch: number;
  readonly now: EpochMs;
}

/**
 * One step of the pump: looks at what time and reports have done, halts the ring when its budget is spent, and lets out what
 * pace, budgets, windows, host order, quorum groups and other changes leave room for. Each part is a transaction under the
 * ring's lock, which a stop waits for: so they are short.
 *
 * @param args.tidy whether to look for endpoints that went away or came back; costs a pass over the lane. Default true.
 * @throws PumpFenced when a newer attempt of the pump has begun; NoSuchRow.
 */
export async function releaseTick(deps: ReleaseDeps, args: Tick & { readonly tidy?: boolean }): Promise<TickResult> {
  const underLock = <T>(lock: RingLock, work: (client: PoolClient, lane: Lane) => Promise<T>): Promise<T> =>
    inTransaction(deps.pool, async (client) => work(client, await lockLane(client, { ...args, lock })));
  const late = args.tidy === false ? 0 : await underLock('letOut', (client, lane) => tidy(client, lane, args.now));
  // What has just stalled may have spent the budget: then nothing comes between.
  const halted = late === 0 ? null : await underLock('exclusive', (client, lane) => haltSpent(client, lane, args.now));
  if (halted?.halted === true) return halted;
  const tick = await underLock('letOut', (client, lane) => letOutWhatMay(deps, client, { lane, now: args.now }));
  // A halt shuts out those who hand out, so it is judged under the stronger lock.
  return tick ?? underLock('exclusive', (client, lane) => haltSpent(client, lane, args.now));
}

/** @returns how many orders turned out to have failed by it */
async function tidy(client: PoolClient, lane: Lane, now: EpochMs): Promise<number> {
  if (lane.target === 'revert') await queueReverts(client, { changeId: lane.changeId, ring: lane.ring, now });
  const late = await applyTimeouts(client, lane, { now, deadline: lane.changeDeadline });
  await tidyLane(client, lane, now);
  return late;
}

/** @returns null when the ring must be halted instead. */
async function letOutWhatMay(
  deps: ReleaseDeps,
  client: PoolClient,
  args: { readonly lane: Lane; readonly now: EpochMs },
): Promise<TickResult | null> {
  const { lane, now } = args;
  const counted = await count(client, lane, now);
  if (lane.halted) return result({ lane, counted, now, released: 0, halt: haltOf(lane) });
  if (reasonToHalt(lane, counted) !== null) return null;
  const room = (await roomNow(client, lane, counted.counts)) - (await notBackYet(client, lane));
  const released = room > 0 && counted.active > 0 ? await letOut(deps, client, lane, { now, room, counted }) : 0;
  await refreshPermits(client, lane, { ...deps, now });
  await permitReboots(client, lane, { ...deps, now });
  return result({ lane, counted, now, released, halt: null });
}

async function haltSpent(client: PoolClient, lane: Lane, now: EpochMs): Promise<TickResult> {
  const { changeId, ring } = lane;
  const counted = await count(client, lane, now);
  if (lane.halted) return result({ lane, counted, now, released: 0, halt: haltOf(lane) });
  const halt = reasonToHalt(lane, counted);
  if (halt !== null) await setHalted(client, { halts: [{ changeId, ring, reason: halt.reason }], by: halt.by, now });
  return result({ lane, counted, now, released: 0, halt });
}

function count(client: PoolClient, lane: Lane, now: EpochMs): Promise<LaneCounts> {
  return countLane(client, { ...lane, planned: lane.target === 'change' ? lane.planned : null, now });
}

interface Halt {
  readonly reason: string;
  readonly by: string | null;
}

function haltOf(lane: Lane): Halt {
  return { reason: lane.haltReason ?? 'halted', by: lane.haltedBy };
}

/** Why the ring may not go on: its plan is not the approved one, or its error budget is spent or unreadable. */
function reasonToHalt(lane: Lane, counted: LaneCounts): { readonly reason: string; readonly by: string } | null {
  if (lane.target === 'revert') {
    // Undoing goes on whatever failed: stopping halfway would leave more hosts on what is being taken back.
    const read = readTerms(lane.spec, lane.planned);
    return read.ok ? null : { reason: read.reason, by: 'budget' };
  }
  if (lane.target === 'stage') return null;
  const approved = lane.isStragglers || (lane.planDigest !== null && lane.approvedDigest === lane.planDigest);
  if (!approved) return { reason: 'the plan is not the one that was approved for this ring', by: 'plan' };
  const { failed } = counted.counts;
  const verdict = judgeBudget({ spec: lane.spec, planned: lane.planned, failed, forgiven: lane.forgivenFailures });
  return verdict.kind === 'within' ? null : { reason: verdict.reason, by: 'budget' };
}

/** How many orders may be let out now; moves the ring's pace along. */
async function roomNow(client: PoolClient, lane: Lane, counts: RingCounts): Promise<number> {
  if (lane.target === 'stage') return Math.min(RELEASE_BATCH, STAGING_AT_ONCE - counts.inFlight);
  const read = readTerms(lane.spec, lane.planned);
  if (!read.ok) return 0;
  const { terms } = read;
  if (lane.target === 'revert') {
    // What fails to be undone was away already, so only what is under way is bounded.
    const room = roomFor({ terms, concurrency: terms.maxInFlight, failed: 0, inFlight: counts.inFlight });
    return Math.min(RELEASE_BATCH, room);
  }
  const pace = nextPace({ pace: lane.pace, outcomes: counts, maxInFlight: terms.maxInFlight });
  if (!samePace(pace, lane.pace)) {
    await client.query(
      'UPDATE ring SET concurrency = $3, paced_successes = $4, paced_failures = $5 WHERE change_id = $1 AND ordinal = $2',
      [lane.changeId, lane.ring, pace.concurrency, pace.pacedSuccesses, pace.pacedFailures],
    );
  }
  return Math.min(RELEASE_BATCH, roomFor({ terms, concurrency: pace.concurrency, ...counts }));
}

/** Orders that have ended, and whose endpoints hooks on the server still have to bring back: they take up room until then. */
async function notBackYet(client: PoolClient, lane: Lane): Promise<number> {
  if (lane.target === 'stage') return 0;
  const { rows } = await client.query(
    `SELECT count(*)::int AS n FROM order_gate g JOIN order_state o ON o.id = g.order_id
      WHERE g.state <> 'done' AND g.begun_at IS NOT NULL AND o.phase = 'done' AND o.change_id = $1 AND o.ring = $2`,
    [lane.changeId, lane.ring],
  );
  return rows[0].n;
}

async function letOut(
  deps: ReleaseDeps,
  client: PoolClient,
  lane: Lane,
  args: { readonly now: EpochMs; readonly room: number; readonly counted: LaneCounts },
): Promise<number> {
  const { now, room } = args;
  const picked = await pickCandidates(client, lane, {
    now,
    // A few more than fit: some may be locked, or belong to a group that fills up on the way.
    limit: room + 50,
    homeRings: lane.target === 'change' ? await approvedRings(client, lane) : null,
    gates: args.counted.hasWaves && lane.target !== 'stage' ? await hostOrderGates(client, lane) : {},
  });
  const admitted = admit({ quota: room, candidates: picked.candidates, room: picked.room });
  const free = await makeRoom(client, { admitted, givingWay: picked.givingWay, lane, now });
  const documents = await deps.documentsFor(client, free, now);
  await setAside(client, { orderIds: free.filter((id) => !documents.has(id)), lane, now });
  const ready = free.filter((id) => documents.has(id));
  if (ready.length === 0) return 0;

  const moved = await moveOrders(client, { event: 'release', where: 'o.id = ANY ($1::uuid[])', values: [ready], now });
  const { rows } = await client.query(
    'SELECT id, endpoint_id, next_close, window_closes FROM order_state WHERE id = ANY ($1::uuid[])',
    [moved.map((m) => m.id)],
  );
  const orders = rows.map((row) => ({
    orderId: row.id,
    endpointId: row.endpoint_id,
    lastStart: toEpoch(row.next_close) ?? 0,
    windowCloses: toEpoch(row.window_closes) ?? toEpoch(row.next_close) ?? 0,
  }));
  await writeEnvelopes(client, {
    signer: deps.signer,
    documents: orders.map((o) => documents.get(o.orderId) as OrderDocument),
    now,
  });
  if (lane.target !== 'stage') {
    const gated = await shutGates(client, ready, now);
    const permitted = orders.filter((order) => !gated.has(order.orderId));
    await writePermits(client, lane, { signer: deps.signer, now, orders: permitted });
  }
  await appendAudit(client, [
    {
      actor: 'worker',
      action: 'orders.released',
      subject: `change/${lane.changeId}`,
      detail: { ring: lane.ring, kind: lane.target, orders: moved.map((m) => m.id) },
    },
  ]);
  await wakeEndpoints(
    client,
    moved.map((m) => m.endpointId),
  );
  return moved.length;
}

/** Makes orders of lower priority give way; a candidate whose endpoint could not be freed now waits. */
async function makeRoom(
  client: PoolClient,
  args: {
    readonly admitted: readonly string[];
    readonly givingWay: ReadonlyMap<string, string>;
    readonly lane: Lane;
    readonly now: EpochMs;
  },
): Promise<readonly string[]> {
  const { admitted, givingWay, lane, now } = args;
  const holders = admitted.map((id) => givingWay.get(id)).filter((id) => id !== undefined);
  if (holders.length === 0) return admitted;
  const gone = await moveOrders(client, {
    event: 'supersede',
    where: 'o.id = ANY ($1::uuid[])',
    values: [holders],
    now,
    reason: `change ${lane.changeId} has a higher priority`,
    lock: 'skip',
  });
  await appendAudit(
    client,
    gone.map((m) => ({
      actor: 'worker',
      action: 'order.superseded',
      subject: `change/${m.changeId}`,
      detail: { order: m.id, endpointId: m.endpointId, by: lane.changeId },
    })),
  );
  await client.query(`SELECT pg_notify('rm_orders', id) FROM unnest($1::text[]) AS id`, [
    [...new Set(gone.map((m) => m.changeId))],
  ]);
  const freed = new Set(gone.map((m) => m.id));
  return admitted.filter((id) => {
    const holder = givingWay.get(id);
    return holder === undefined || freed.has(holder);
  });
}

/** Orders nobody can say the content of are never let out; they wait, visibly, for a person. */
async function setAside(
  client: PoolClient,
  args: { readonly orderIds: readonly string[]; readonly lane: Lane; readonly now: EpochMs },
): Promise<void> {
  if (args.orderIds.length === 0) return;
  await client.query(
    `UPDATE order_state SET straggler_reason = 'content: its plan or update set is missing' WHERE id = ANY ($1::uuid[])`,
    [args.orderIds],
  );
  await appendAudit(client, [
    {
      actor: 'worker',
      action: 'orders.withoutContent',
      subject: `change/${args.lane.changeId}`,
      detail: { ring: args.lane.ring, orders: args.orderIds },
    },
  ]);
}

/** Signs these orders and keeps what is handed out of them. */
export async function writeEnvelopes(
  client: PoolClient,
  args: {
    readonly signer: OrderSigner;
    readonly documents: readonly OrderDocument[];
    readonly now: EpochMs;
  },
): Promise<void> {
  const { signer, now } = args;
  const documents = args.documents.map((document) =>
    document.kind === 'revert'
      ? { ...document, expiresAt: Math.max(document.expiresAt, now + REVERT_VALID_MS) }
      : document,
  );
  await client.query(
    `INSERT INTO order_envelope (order_id, envelope, signed_at)
     SELECT e.id, e.envelope, to_timestamp($3 / 1000.0) FROM unnest($1::uuid[], $2::jsonb[]) AS e (id, envelope)
     ON CONFLICT (order_id) DO UPDATE SET envelope = excluded.envelope, signed_at = excluded.signed_at`,
    [documents.map((d) => d.orderId), documents.map((d) => JSON.stringify(signer.signOrder(d))), now],
  );
}

function result(args: {
  readonly lane: Lane;
  readonly counted: LaneCounts;
  readonly now: EpochMs;
  readonly released: number;
  readonly halt: Halt | null;
}): TickResult {
  const { lane, counted, released, halt, now } = args;
  const { counts } = counted;
  const deadline = lane.isStragglers ? lane.changeDeadline : (lane.deadline ?? lane.changeDeadline);
  return {
    released,
    counts: {
      ...counts,
      pending: counts.pending - released,
      inFlight: counts.inFlight + released,
      byState: {
        ...counts.byState,
        ...(released > 0 && {
          pending: counts.pending - released,
          released: (counts.byState.released ?? 0) + released,
        }),
      },
    },
    halted: halt !== null,
    haltReason: halt?.reason ?? null,
    haltedBy: halt?.by ?? null,
    drained: counted.waitedFor === 0,
    active: counted.active > 0,
    more: released >= RELEASE_BATCH,
    nextOpen: counted.nextOpen,
    staleWindows: counted.staleWindows,
    deadlineMissed: now >= deadline && counted.missed > 0,
  };
}
