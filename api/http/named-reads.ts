/** The two reads that every collection of named things has: all of them, and one by its name with its ETag. */
import { z } from 'zod';
import type { Queryable } from '../../db/pool.js';
import type { Permission } from '../../domain/identity/permissions.js';
import { nameParams } from './paging.js';
import { notFound } from './problem.js';
import { type Route, route } from './route.js';

export interface NamedReads<T extends object> {
  readonly db: Queryable;
  /** `/v1/groups`. */
  readonly path: string;
  /** In words, one of them and all: `group`, `groups`. */
  readonly one: string;
  readonly all: string;
  /** What the list says of itself, where that is more than its name. */
  readonly summary?: string;
  readonly permission: Permission;
  readonly reply: z.ZodType;
  /** All, or the one of that name. */
  readonly read: (db: Queryable, name?: string) => Promise<readonly T[]>;
  /** What a client edits of it, and its ETag stands for; default: all of it. */
  readonly edited?: (row: T) => unknown;
}

export function namedReads<T extends object>(args: NamedReads<T>): Route[] {
  const { db, path, one, all, permission, reply, read, edited = (row) => row } = args;
  const title = (words: string): string => `${words[0]?.toUpperCase()}${words.slice(1)}`;
  return [
    route({
      method: 'get',
      path,
      summary: args.summary ?? title(all),
      permission,
      responses: { 200: { description: `All ${all}`, schema: z.object({ items: z.array(reply) }) } },
      handler: async () => ({ status: 200, body: { items: await read(db) } }),
    }),
    route({
      method: 'get',
      path: `${path}/:name`,
      summary: `One ${one}`,
      permission,
      params: nameParams,
      current: async (from, { name }) => {
        const [row] = await read(from, name);
        return row === undefined ? null : edited(row);
      },
      responses: { 200: { description: `The ${one}`, schema: reply } },
      handler: async ({ params }) => {
        const [row] = await read(db, params.name);
        if (row === undefined) throw notFound(one);
        return { status: 200, body: row };
      },
    }),
  ];
}
