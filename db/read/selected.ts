/** Endpoints a selector matches, page by page. The fleet is read in batches by name: a page stops as soon as it is full. */
import { type Group, matches, type Selectable, type Selector } from '../../domain/fleet/selector.js';
import { SELECTABLE_COLUMNS, toSelectable } from '../endpoints/selectable.js';
import { loadGroups } from '../policy/load.js';
import type { Queryable } from '../pool.js';
import type { Page } from './cursor.js';
import { pageOf } from './cursor.js';
import { type EndpointFilter, type EndpointSummary, endpointConditions, readSummaries } from './endpoints.js';

const BATCH = 2_000;

/** Endpoints in the order of name and id, after a place in it. What SQL can tell is told by `filter`. */
export async function* walkFleet(
  db: Queryable,
  args: { readonly filter?: EndpointFilter; readonly after?: readonly [string, string] | null } = {},
): AsyncGenerator<Selectable> {
  const { sql, values } = endpointConditions(args.filter ?? {});
  for (let after = args.after ?? null; ; ) {
    const n = values.length;
    const { rows } = await db.query(
      `SELECT ${SELECTABLE_COLUMNS} FROM endpoint e
        WHERE ${sql} AND ($${n + 1}::text IS NULL OR (e.name, e.id) > ($${n + 1}, $${n + 2}::uuid))
        ORDER BY e.name, e.id LIMIT $${n + 3}`,
      [...values, after?.[0] ?? null, after?.[1] ?? null, BATCH],
    );
    yield* rows.map(toSelectable);
    const last = rows.at(-1);
    if (last === undefined || rows.length < BATCH) return;
    after = [last.name, last.id];
  }
}

/** One page of the endpoints that match every selector. */
export async function listSelected(
  db: Queryable,
  args: {
    readonly selectors: readonly Selector[];
    readonly filter?: EndpointFilter;
    readonly after: readonly [string, string] | null;
    readonly limit: number;
  },
): Promise<Page<EndpointSummary>> {
  const groups = await loadGroups(db);
  const found: string[] = [];
  for await (const endpoint of walkFleet(db, args)) {
    if (!args.selectors.every((selector) => matches({ endpoint, selector, groups }))) continue;
    if (found.push(endpoint.id) > args.limit) break;
  }
  return pageOf(await readSummaries(db, found), args.limit, (row) => [row.name, row.id]);
}

/** How many endpoints match now, and the first page of them. */
export async function previewSelector(
  db: Queryable,
  args: { readonly selector: Selector; readonly limit: number },
): Promise<{ total: number; items: readonly EndpointSummary[]; next: string | null }> {
  const groups: ReadonlyMap<string, Group> = await loadGroups(db);
  const found: string[] = [];
  let total = 0;
  for await (const endpoint of walkFleet(db)) {
    if (!matches({ endpoint, selector: args.selector, groups })) continue;
    total += 1;
    if (found.length <= args.limit) found.push(endpoint.id);
  }
  return { total, ...pageOf(await readSummaries(db, found), args.limit, (row) => [row.name, row.id]) };
}
