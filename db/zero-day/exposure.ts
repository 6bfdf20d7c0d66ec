/** What stays exposed to a zero-day and why, endpoint by endpoint: inventories, plans and orders as they are now. */
import type { EpochMs } from '../../domain/time.js';
import { decideWhy } from '../../domain/why/decide.js';
import { type Exposure, exposureOf, proven } from '../../domain/zero-day/exposure.js';
import type { Queryable } from '../pool.js';
import { type Page, pageOf } from '../read/cursor.js';
import { loadWhyFacts } from '../read/why.js';
import { groupAlike } from './alike.js';
import { findExposed, loadTakenIds, ofScope } from './endpoints.js';
import type { ZeroDayRow } from './zero-day.js';

export interface ExposedEndpoint extends Exposure {
  readonly endpointId: string;
  readonly name: string;
  readonly simulated: boolean;
  readonly exposedSince: Date;
  readonly fixedAt: Date | null;
  /** Its own package index offers a fix of all that is vulnerable there. */
  readonly offered: boolean;
  /** An open change of the zero-day takes care of it. */
  readonly taken: boolean;
  /** The change the reason speaks of. */
  readonly changeId: string | null;
  readonly orderId: string | null;
}

interface Member {
  readonly id: string;
  readonly name: string;
  readonly simulated: boolean;
  readonly exposedSince: Date;
  readonly fixedAt: Date | null;
}

const MEMBER = `
  SELECT e.id, e.name, e.simulated, z.exposed_since AS "exposedSince", z.fixed_at AS "fixedAt"
    FROM zero_day_endpoint z JOIN endpoint e ON e.id = z.endpoint_id
   WHERE z.zero_day_id = $1`;
const SOME_MEMBERS = `${MEMBER} AND e.id = ANY ($2)`;
const MEMBERS = `${MEMBER} AND ($2 = 'all' OR (z.fixed_at IS NULL) = ($2 = 'exposed'))
     AND (e.state <> 'retired' OR z.fixed_at IS NOT NULL)
     AND ($3::text IS NULL OR (e.name, e.id) > ($3, $4::uuid))
   ORDER BY e.name, e.id LIMIT $5`;

const place = (after: readonly [string, string] | null) => [after?.[0] ?? null, after?.[1] ?? null] as const;

/** By name. @param args.show `exposed`: not proven fixed; retired endpoints are not shown */
export async function listExposure(
  db: Queryable,
  args: {
    readonly zeroDay: ZeroDayRow;
    readonly show: 'exposed' | 'fixed' | 'all';
    readonly after: readonly [string, string] | null;
    readonly limit: number;
    readonly now: EpochMs;
  },
): Promise<Page<ExposedEndpoint>> {
  const { rows } = await db.query<Member>(MEMBERS, [args.zeroDay.id, args.show, ...place(args.after), args.limit + 1]);
  const page = pageOf(rows, args.limit, (row) => [row.name, row.id]);
  const taken = await loadTakenIds(
    db,
    args.zeroDay.id,
    page.items.map((one) => one.id),
  );
  return { next: page.next, items: await judge(db, { ...args, taken, members: page.items }) };
}

/** So many are judged at once: what is held of each is a few kilobytes. */
const JUDGED_AT_ONCE = 2_000;

export interface JudgedAlike extends Pick<ExposedEndpoint, 'state' | 'code' | 'offered' | 'taken'> {
  /** How many are like that. */
  readonly endpoints: number;
}

/** Every exposed endpoint, in groups of which one was judged for all ({@link groupAlike}), in no order. */
export async function judgeAllExposed(
  db: Queryable,
  args: { readonly zeroDay: ZeroDayRow; readonly now: EpochMs },
): Promise<readonly JudgedAlike[]> {
  const alike = await groupAlike(db, args);
  const sizes = new Map(alike.map((group) => [group.endpointId, group.endpoints]));
  const ids = [...sizes.keys()];
  const taken = await loadTakenIds(db, args.zeroDay.id, ids);
  const judged: JudgedAlike[] = [];
  for (let from = 0; from < ids.length; from += JUDGED_AT_ONCE) {
    const { rows } = await db.query<Member>(SOME_MEMBERS, [args.zeroDay.id, ids.slice(from, from + JUDGED_AT_ONCE)]);
    for (const { endpointId, state, code, ...one } of await judge(db, { ...args, taken, members: rows }))
      judged.push({ state, code, offered: one.offered, taken: one.taken, endpoints: sizes.get(endpointId) ?? 0 });
  }
  return judged;
}

/** A fixed number of statements, however many members. */
async function judge(
  db: Queryable,
  args: {
    readonly zeroDay: ZeroDayRow;
    readonly members: readonly Member[];
    /** See {@link loadTakenIds}. */
    readonly taken: ReadonlySet<string>;
    readonly now: EpochMs;
  },
): Promise<ExposedEndpoint[]> {
  const { zeroDay, members, taken, now } = args;
  const open = members.flatMap((one) => (one.fixedAt === null ? [one.id] : []));
  const exposed = open.length === 0 ? [] : await findExposed(db, { targets: zeroDay.targets, endpointIds: open });
  const offered = new Map(exposed.map((one) => [one.endpointId, one.offered]));
  const inScope = new Set((await ofScope(db, exposed, zeroDay.scope)).map((one) => one.endpointId));
  const packages = [...new Set(zeroDay.targets.map((target) => target.name))];
  const facts = await loadWhyFacts(db, { endpointIds: [...offered.keys()], packages, vulnerable: true, now });
  const factsOf = new Map(facts.map((one) => [one.endpoint.id, one]));
  return members.map(({ id, ...member }): ExposedEndpoint => {
    const found = factsOf.get(id);
    const rest = { endpointId: id, ...member, offered: offered.get(id) ?? false, taken: taken.has(id) };
    if (found === undefined)
      return { ...rest, ...proven(member.fixedAt?.getTime() ?? null), changeId: null, orderId: null };
    const exposure = exposureOf({ why: decideWhy(found), offered: rest.offered, inScope: inScope.has(id) });
    return { ...rest, ...exposure, changeId: found.change?.id ?? null, orderId: found.order?.id ?? null };
  });
}
