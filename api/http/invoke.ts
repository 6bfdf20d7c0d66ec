/** A declared route, called from a page: the same permission, validation and handler as over the API, so that both do the same. */
import type { Request } from 'express';
import { withTransactionHooks } from '../../db/pool.js';
import type { EpochMs } from '../../domain/time.js';
import { personWith } from '../auth/person.js';
import { guardFor } from './preconditions.js';
import type { Method, Reply, Route } from './route.js';
import { validated } from './validate.js';

export interface Invocation {
  readonly method: Method;
  /** As declared: `/v1/changes/:id/pause`. */
  readonly path: string;
  readonly params?: Readonly<Record<string, string>>;
  /** As in an address: text. */
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Version of the resource that the page showed (preconditions.ts): it must be that one still, when it is changed. */
  readonly ifVersion?: string;
}

export type Invoke = (req: Request, invocation: Invocation) => Promise<Reply>;

/** The route of this method and path; undefined when none is declared. */
export function findRoute(routes: readonly Route[], wanted: Pick<Invocation, 'method' | 'path'>): Route | undefined {
  return routes.find(({ method, path }) => method === wanted.method && path === wanted.path);
}

/**
 * Calls routes for whoever is behind the page's request.
 * @throws (when called) Problem as the API would answer it, 412 for another version; Error when no such route is declared
 */
export function createInvoke(routes: readonly Route[], clock: () => EpochMs): Invoke {
  return async (req, invocation) => {
    const route = findRoute(routes, invocation);
    if (route === undefined) throw new Error(`no route ${invocation.method} ${invocation.path}`);
    const person = personWith(req, route.permission);
    const part = (schema: Route['params'], value: unknown, where: 'path' | 'query' | 'body') =>
      (schema === undefined ? undefined : validated(schema, value, where)) as never;
    const context = {
      params: part(route.params, invocation.params ?? {}, 'path'),
      query: part(route.query, invocation.query ?? {}, 'query'),
      body: part(route.body, invocation.body, 'body'),
      person,
      now: clock(),
      req,
    };
    const { path, ifVersion } = invocation;
    if (ifVersion === undefined) return route.handler(context);
    const current = findRoute(routes, { method: 'get', path })?.current;
    if (current === undefined) throw new Error(`nothing at ${path} has a version`);
    const what = `${route.method} ${path}`;
    const guard = guardFor({ path, params: context.params, current, match: [`"${ifVersion}"`], noneMatch: null, what });
    const reply = await withTransactionHooks(guard.hooks, () => route.handler(context));
    guard.requireLooked();
    return reply;
  };
}
