import type { Pool, PoolClient } from 'pg';
import { isMutating, STATE_TRAITS } from '../../domain/order/index.js';
import type { EpochMs } from '../../domain/time.js';
import { appendAudit } from '../audit/append.js';
import { inTransaction } from '../pool.js';
import { haltSpentRings, lockRings } from './budget-halt.js';
import { judgePolls, type PollReports, type PollTaken, type Row, type Violation } from './judge-polls.js';
import { ENDPOINT_LOCK } from './pick.js';
import { ORDER_COLUMNS, toEpoch, toOrderRow } from './rows.js';
import { type OrderChange, writeReports } from './write-reports.js';

const MOST_TRIES = 10;

const READ = `SELECT ${ORDER_COLUMNS}, o.updated_at, o.restored_at FROM order_state o
  WHERE (o.id = ANY ($1::uuid[]) AND o.endpoint_id = ANY ($2::uuid[]))
     OR (o.endpoint_id = ANY ($2::uuid[]) AND o.phase IN ('waiting', 'holding'))`;
const LOOK = READ;
const LOCK = `${READ} ORDER BY o.id FOR NO KEY UPDATE`;

/** {@link takeReportBatch} for one endpoint. */
export async function takeReports(
  pool: Pool,
  args: PollReports & { readonly now: EpochMs },
): Promise<{ readonly acks: PollTaken['acks']; readonly violations: readonly Violation[] }> {
  const [taken] = await takeReportBatch(pool, { polls: [args], now: args.now });
  return { acks: taken?.acks ?? [], violations: taken?.violations ?? [] };
}

/**
 * Takes in the reports of many endpoints' polls, at most one of each, in one transaction: states, events, facts, violations, and, where a failure
 * spends a ring's budget, the halt. Reports seen before are acknowledged again; a gap is acknowledged up to its edge; late
 * reports win. Polls that bring nothing take no lock.
 *
 * @returns one entry per poll, in order.
 */
export async function takeReportBatch(
  pool: Pool,
  args: {
    readonly polls: readonly PollReports[];
    readonly now: EpochMs;
    /** Their endpoints' open orders, where the caller has just read them; default: they are read here. */
    readonly open?: readonly Row[];
  },
): Promise<readonly PollTaken[]> {
  const { polls, now } = args;
  const silent = polls.filter((poll) => poll.reports.length === 0);
  const rows = await openOrders(pool, silent, args.open);
  const judged = judgePolls(rows, silent, now);
  const changed = new Set(judged.changes.map(({ id }) => rows.get(id)?.endpointId));
  const quiet = new Map(
    judged.taken.flatMap((taken) => (changed.has(taken.endpointId) ? [] : [[taken.endpointId, taken] as const])),
  );
  const telling = polls.filter(({ endpointId }) => !quiet.has(endpointId));
  const told = telling.length === 0 ? [] : await takeUnderLocks(pool, { polls: telling, now });
  const taken = new Map([...quiet, ...told.map((one) => [one.endpointId, one] as const)]);
  return polls.map(({ endpointId }) => taken.get(endpointId) as PollTaken);
}

async function takeUnderLocks(
  pool: Pool,
  args: { readonly polls: readonly PollReports[]; readonly now: EpochMs },
): Promise<readonly PollTaken[]> {
  const { polls, now } = args;
  // The rings to lock are known only once the orders are read, and rings come first: so at worst it begins again, knowing.
  let changeIds: readonly string[] = [];
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const attempt = await inTransaction(pool, (client) => tryBatch(client, { polls, now, changeIds }));
    if (attempt.kind === 'taken') return attempt.taken;
    changeIds = [...new Set([...changeIds, ...attempt.changeIds])].sort();
  }
  throw new Error(`reports of ${polls.length} endpoints could not be taken in ${MOST_TRIES} attempts`);
}

type Attempt =
  | { readonly kind: 'taken'; readonly taken: readonly PollTaken[] }
  | { readonly kind: 'needsRings'; readonly changeIds: readonly string[] };

async function tryBatch(
  client: PoolClient,
  args: { readonly polls: readonly PollReports[]; readonly now: EpochMs; readonly changeIds: readonly string[] },
): Promise<Attempt> {
  const { polls, now, changeIds } = args;
  if (changeIds.length > 0) await lockRings(client, changeIds);
  const rows = await readOrders(client, polls, LOCK);
  const judged = judgePolls(rows, polls, now);
  const missing = judged.ringsOf.filter((id) => !changeIds.includes(id));
  if (missing.length > 0) return { kind: 'needsRings', changeIds: missing };

  const deferred = await deferredResumes(client, judged.changes, rows);
  const changes = judged.changes.filter((change) => !deferred.has(change.id));
  await writeReports(client, { changes, now });
  if (judged.failed.length > 0) await haltSpentRings(client, { changeIds: judged.failed, now });
  const violations = judged.taken.flatMap((poll) => poll.violations).filter((v) => !deferred.has(v.orderId));
  await appendAudit(
    client,
    violations.map((v) => ({
      actor: `endpoint/${v.endpointId}`,
      action: `violation.${v.kind}`,
      subject: `endpoint/${v.endpointId}`,
      detail: { order: v.orderId, detail: v.detail },
    })),
  );
  return { kind: 'taken', taken: deferred.size === 0 ? judged.taken : holdBack(judged.taken, deferred) };
}

/** What polls without reports are about; read only where the caller's rows leave something out. */
async function openOrders(
  pool: Pool,
  polls: readonly PollReports[],
  known: readonly Row[] | undefined,
): Promise<ReadonlyMap<string, Row>> {
  if (polls.length === 0) return new Map();
  const rows = new Map(known?.map((row) => [row.id, row]));
  const complete = known !== undefined && polls.every(({ open }) => open.every(({ orderId }) => rows.has(orderId)));
  return complete ? rows : readOrders(pool, polls, LOOK);
}

async function readOrders(
  client: Pick<Pool, 'query'> | PoolClient,
  polls: readonly PollReports[],
  statement: string,
): Promise<ReadonlyMap<string, Row>> {
  const ids = polls.flatMap((poll) => [...poll.reports, ...poll.open].map((entry) => entry.orderId));
  const { rows } = await client.query(statement, [ids, polls.map((poll) => poll.endpointId)]);
  return new Map(
    rows.map((row) => [
      row.id,
      { ...toOrderRow(row), updatedAt: toEpoch(row.updated_at) ?? 0, restoredAt: toEpoch(row.restored_at) },
    ]),
  );
}

/**
 * A late report can bring an expired order back while another mutating order holds its endpoint. Then its reports are left
 * unacknowledged until that order is out of the way, or until they carry it to its end: the agent works on one at a time.
 */
async function deferredResumes(
  client: PoolClient,
  changes: readonly OrderChange[],
  rows: ReadonlyMap<string, Row>,
): Promise<ReadonlyMap<string, number>> {
  const back = changes.filter(({ id, order }) => {
    const row = rows.get(id);
    return row?.phase === 'done' && STATE_TRAITS[order.state].phase === 'holding' && isMutating(order.kind);
  });
  if (back.length === 0) return new Map();
  const endpoints = back.map(({ id }) => rows.get(id)?.endpointId as string);
  const { rows: locks } = await client.query(
    `SELECT e.id, pg_try_advisory_xact_lock(${ENDPOINT_LOCK}, hashtext(e.id::text)) AS mine FROM unnest($1::uuid[]) AS e (id)`,
    [endpoints],
  );
  const { rows: holders } = await client.query(
    `SELECT endpoint_id FROM order_state WHERE endpoint_id = ANY ($1::uuid[]) AND phase = 'holding' AND kind IN ('change', 'revert')`,
    [endpoints],
  );
  const taken = new Set([
    ...locks.filter((row) => !row.mine).map((row) => row.id),
    ...holders.map((row) => row.endpoint_id),
  ]);
  const deferred = new Map<string, number>();
  for (const { id } of back) {
    const row = rows.get(id) as Row;
    if (taken.has(row.endpointId)) deferred.set(id, row.seq);
    taken.add(row.endpointId);
  }
  return deferred;
}

/** The answer to polls of which some orders' reports were not taken in after all. */
function holdBack(taken: readonly PollTaken[], deferred: ReadonlyMap<string, number>): readonly PollTaken[] {
  return taken.map((poll) => ({
    ...poll,
    acks: poll.acks.map(({ orderId, seq }) => ({ orderId, seq: deferred.get(orderId) ?? seq })),
    violations: poll.violations.filter((violation) => !deferred.has(violation.orderId)),
    moved: poll.moved.filter(({ orderId }) => !deferred.has(orderId)),
  }));
}
