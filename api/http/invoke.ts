/** A declared route, called from a page: the same permission, validation and handler as over the API, so that both do the same. */
import type { Request } from 'express';
import type { EpochMs } from '../../domain/time.js';
import { personWith } from '../auth/person.js';
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
}

export type Invoke = (req: Request, invocation: Invocation) => Promise<Reply>;

/** The route of this method and path; undefined when none is declared. */
export function findRoute(routes: readonly Route[], wanted: Pick<Invocation, 'method' | 'path'>): Route | undefined {
  return routes.find(({ method, path }) => method === wanted.method && path === wanted.path);
}

/**
 * Calls routes for whoever is behind the page's request.
 * @throws (when called) Problem as the API would answer it; Error when no such route is declared
 */
export function createInvoke(routes: readonly Route[], clock: () => EpochMs): Invoke {
  return async (req, invocation) => {
    const route = findRoute(routes, invocation);
    if (route === undefined) throw new Error(`no route ${invocation.method} ${invocation.path}`);
    const person = personWith(req, route.permission);
    const part = (schema: Route['params'], value: unknown, where: 'path' | 'query' | 'body') =>
      (schema === undefined ? undefined : validated(schema, value, where)) as never;
    return route.handler({
      params: part(route.params, invocation.params ?? {}, 'path'),
      query: part(route.query, invocation.query ?? {}, 'query'),
      body: part(route.body, invocation.body, 'body'),
      person,
      now: clock(),
      req,
    });
  };
}
