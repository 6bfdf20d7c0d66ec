/** What polls tell about an endpoint itself: read once per poll, written for many endpoints at once. */
import type { Communication } from '../../domain/policy/communication.js';
import type { EpochMs } from '../../domain/time.js';
import { OPEN_ORDER, type OpenOrder } from '../orders/open-orders.js';
import type { Queryable } from '../pool.js';
import { COMMUNICATION } from './communication.js';
import type { EndpointState } from './identity.js';

export interface PollView {
  /** The key it has now: another machine may have taken the endpoint over. */
  readonly publicKey: string;
  /** When one did; null: never. */
  readonly identitySince: EpochMs | null;
  readonly state: EndpointState;
  readonly stateReason: string | null;
  readonly bootId: string | null;
  readonly earlierBootIds: readonly string[];
  readonly lastJournalSeq: number;
  readonly lastSignedAt: EpochMs | null;
  readonly clockSkewMs: number;
  readonly wantsScan: boolean;
  readonly keySetVersion: number;
  /** When it may be talked with; null: always. */
  readonly communication: Communication | null;
  /** Its orders that are not done. */
  readonly orders: readonly OpenOrder[];
}

const ms = (date: Date | null): EpochMs | null => date?.getTime() ?? null;

const READ_VIEWS = `
  SELECT e.id, e.public_key AS "publicKey", e.identity_since AS "identitySince", e.state, e.state_reason AS "stateReason",
         e.boot_id AS "bootId", e.earlier_boot_ids AS "earlierBootIds",
         e.last_journal_seq AS "lastJournalSeq", e.last_signed_at AS "lastSignedAt", e.clock_skew_ms AS "clockSkewMs",
         e.wants_scan AS "wantsScan", coalesce((SELECT max(version) FROM key_set), 0) AS "keySetVersion",
         ${COMMUNICATION} AS communication,
         ARRAY(SELECT ${OPEN_ORDER} FROM order_state o WHERE o.endpoint_id = e.id AND o.phase <> 'done') AS orders
    FROM endpoint e LEFT JOIN communication_window w ON w.endpoint_id = e.id WHERE e.id = ANY ($1::uuid[])`;

/** Everything polls need to know of their endpoints, in one round trip; unknown ones are left out. */
export async function readPollViews(
  db: Queryable,
  endpointIds: readonly string[],
): Promise<ReadonlyMap<string, PollView>> {
  if (endpointIds.length === 0) return new Map();
  const { rows } = await db.query(READ_VIEWS, [endpointIds]);
  return new Map(
    rows.map(({ id, ...row }) => {
      const { lastSignedAt, identitySince } = row;
      return [id, { ...row, lastSignedAt: ms(lastSignedAt), identitySince: ms(identitySince) }];
    }),
  );
}

export interface Seen {
  readonly endpointId: string;
  readonly at: EpochMs;
  readonly nextPollAt: EpochMs;
  readonly clockSkewMs: number;
  /** Of a poll that was judged: newer than any before it. */
  readonly judged: { readonly signedAt: EpochMs; readonly journalSeq: number; readonly bootId: string } | null;
}

/** How many former boot ids are remembered: a clone shows within a few polls. */
const REMEMBERED_BOOTS = 8;

/** One statement for a whole batch; values only move forward, so that replicas may flush in any order. */
export async function flushSeen(db: Queryable, batch: readonly Seen[]): Promise<void> {
  if (batch.length === 0) return;
  // Rows are locked in id order, so that two replicas' batches can't wait for each other.
  const sorted = [...batch].sort((a, b) => (a.endpointId < b.endpointId ? -1 : 1));
  await db.query(
    `WITH seen AS (
       SELECT * FROM unnest($1::uuid[], $2::float8[], $3::float8[], $4::int[], $5::float8[], $6::bigint[], $7::text[])
         AS t(id, at, next_poll, skew, signed, journal, boot)),
     locked AS (SELECT e.id FROM endpoint e JOIN seen s ON s.id = e.id ORDER BY e.id FOR NO KEY UPDATE OF e)
     UPDATE endpoint e SET
       last_seen = greatest(e.last_seen, to_timestamp(s.at / 1000.0)),
       next_poll_at = to_timestamp(s.next_poll / 1000.0),
       clock_skew_ms = s.skew,
       last_signed_at = greatest(e.last_signed_at, to_timestamp(s.signed / 1000.0)),
       last_journal_seq = greatest(e.last_journal_seq, s.journal),
       earlier_boot_ids = CASE
         WHEN s.boot IS NULL OR e.boot_id IS NULL OR s.boot = e.boot_id THEN e.earlier_boot_ids
         ELSE (array_append(e.earlier_boot_ids, e.boot_id))[greatest(1, cardinality(e.earlier_boot_ids) + 2 - $8)::int : ]
       END,
       boot_id = coalesce(s.boot, e.boot_id)
     FROM seen s, locked l WHERE e.id = s.id AND l.id = s.id
       -- What was heard of a machine that has been replaced since says nothing of the one that is there now.
       AND (e.identity_since IS NULL OR coalesce(to_timestamp(s.signed / 1000.0), to_timestamp(s.at / 1000.0)) >= e.identity_since)`,
    [
      sorted.map((s) => s.endpointId),
      sorted.map((s) => s.at),
      sorted.map((s) => s.nextPollAt),
      sorted.map((s) => s.clockSkewMs),
      sorted.map((s) => s.judged?.signedAt ?? null),
      sorted.map((s) => s.judged?.journalSeq ?? null),
      sorted.map((s) => s.judged?.bootId ?? null),
      REMEMBERED_BOOTS,
    ],
  );
}

const STORE_OBSERVATIONS = `
  WITH told AS (SELECT * FROM jsonb_to_recordset($1::jsonb) AS t(id uuid, observations jsonb, limits jsonb, agent jsonb)),
  locked AS (SELECT e.id FROM endpoint e JOIN told t ON t.id = e.id ORDER BY e.id FOR NO KEY UPDATE OF e)
  UPDATE endpoint e SET observations = coalesce(t.observations, e.observations), local_limits = coalesce(t.limits, e.local_limits),
         agent = coalesce(t.agent, e.agent)
    FROM told t, locked l WHERE e.id = t.id AND l.id = t.id`;

export interface Told {
  readonly endpointId: string;
  readonly observations: Readonly<Record<string, unknown>> | undefined;
  readonly localLimits: Readonly<Record<string, unknown>> | undefined;
  /** Which agent it is: version, slot, protocol. */
  readonly agent: Readonly<Record<string, unknown>> | undefined;
}

/** What agents tell only when it changes; undefined: nothing new. At most one entry per endpoint. */
export async function storeObservationBatch(db: Queryable, batch: readonly Told[]): Promise<void> {
  const told = batch.filter(
    (one) => one.observations !== undefined || one.localLimits !== undefined || one.agent !== undefined,
  );
  if (told.length === 0) return;
  const rows = told.map(({ endpointId: id, observations, localLimits: limits, agent }) => ({
    id,
    observations,
    limits,
    agent,
  }));
  await db.query(STORE_OBSERVATIONS, [JSON.stringify(rows)]);
}
