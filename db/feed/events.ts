/** The feed (docs/events.md): what people watch as it happens, written by triggers, read in an order that passes nothing over. */
import type { EpochMs } from '../../domain/time.js';
import type { Queryable } from '../pool.js';

export interface FeedEvent {
  /** Its place; the `id` of a server-sent event, and a `Last-Event-ID`. */
  readonly place: string;
  readonly at: Date;
  readonly type: string;
  readonly changeId: string | null;
  readonly data: Readonly<Record<string, unknown>>;
}

/** `<transaction>-<row>`, both decimal; compared as numbers, the transaction first. */
const PLACE = /^(\d{1,20})-(\d{1,19})$/;

/** The two numbers of a place; null for anything that is none. */
function partsOf(place: string): readonly [bigint, bigint] | null {
  const match = PLACE.exec(place);
  if (match === null) return null;
  const parts = [BigInt(match[1] as string), BigInt(match[2] as string)] as const;
  return parts[0] < 2n ** 64n && parts[1] < 2n ** 63n ? parts : null;
}

export const isPlace = (text: string): boolean => partsOf(text) !== null;

/** Whether place `a` comes after place `b`. @throws TypeError for what is no place */
export function isAfter(a: string, b: string): boolean {
  const [left, right] = [partsOf(a), partsOf(b)];
  if (left === null || right === null) throw new TypeError('not a place in the feed');
  return left[0] === right[0] ? left[1] > right[1] : left[0] > right[0];
}

/**
 * The place after which only transactions come that have not ended yet, or not begun: whoever reads on from here misses
 * nothing, and sees nothing twice.
 */
export async function feedHead(db: Queryable): Promise<string> {
  const { rows } = await db.query<{ place: string }>(
    `SELECT coalesce((SELECT xid::text || '-' || id FROM feed_event WHERE xid < pg_snapshot_xmin(pg_current_snapshot())
                       ORDER BY xid DESC, id DESC LIMIT 1), '0-0') AS place`,
  );
  return rows[0]?.place ?? '0-0';
}

/**
 * Whether everything after this place can still be told. Not when some of it was thrown away, or when the place is of a
 * life of the database that never happened (it was restored from a backup since).
 */
export async function canResume(db: Queryable, place: string): Promise<boolean> {
  const parts = partsOf(place);
  if (parts === null) return false;
  const { rows } = await db.query<{ fits: boolean }>(
    `SELECT (xid, id) <= ($1::text::xid8, $2::bigint) AND $1::text::xid8 < pg_snapshot_xmax(pg_current_snapshot()) AS fits FROM feed_pruned`,
    [String(parts[0]), String(parts[1])],
  );
  return rows[0]?.fits === true;
}

export interface FeedRead {
  readonly events: readonly FeedEvent[];
  /** Some row is there that must wait for an older transaction to end: look again soon. */
  readonly held: boolean;
}

/** Up to `limit` events after a place, in order; of one change, or (null) of all. */
export async function readFeed(
  db: Queryable,
  args: {
    readonly after: string;
    readonly through: string | null;
    readonly changeId: string | null;
    readonly limit: number;
  },
): Promise<FeedRead> {
  const [xid, id] = partsOf(args.after) ?? [0n, 0n];
  const through = args.through === null ? null : partsOf(args.through);
  const { rows } = await db.query<FeedEvent & { held: boolean }>(
    `SELECT xid::text || '-' || id AS place, at, type, change_id AS "changeId", data,
            xid >= pg_snapshot_xmin(pg_current_snapshot()) AS held
       FROM feed_event
      WHERE (xid, id) > ($1::text::xid8, $2::bigint) AND ($3::uuid IS NULL OR change_id = $3)
        AND ($4::text IS NULL OR (xid, id) <= ($4::text::xid8, $5::bigint))
      ORDER BY xid, id LIMIT $6`,
    [
      String(xid),
      String(id),
      args.changeId,
      through === null ? null : String(through[0]),
      through === null ? null : String(through[1]),
      args.limit,
    ],
  );
  const held = rows.findIndex((row) => row.held);
  const events = (held < 0 ? rows : rows.slice(0, held)).map(({ held: _, ...event }) => event);
  return { events, held: held >= 0 };
}

/** Forgets events older than `before`. */
export async function pruneFeed(db: Queryable, before: EpochMs): Promise<void> {
  await db.query('SELECT prune_feed(to_timestamp($1::float8 / 1000.0))', [before]);
}
