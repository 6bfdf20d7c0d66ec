/** Turns declared routes into an express router. */
import { type Request, type RequestHandler, Router } from 'express';
import { z } from 'zod';
import { type Queryable, type TransactionHooks, withTransactionHooks } from '../../db/pool.js';
import { PERMISSIONS } from '../../domain/identity/permissions.js';
import type { EpochMs } from '../../domain/time.js';
import { personWith } from '../auth/person.js';
import type { Idempotency } from './idempotency.js';
import { guardOf } from './preconditions.js';
import { type FieldError, invalid, Problem } from './problem.js';
import { bodyReaders, hasBody } from './read-body.js';
import { checkReply, renderReply, sendReply, sendTagged } from './reply.js';
import type { Context, Method, ReadCurrent, Reply, Route } from './route.js';
import { fieldErrors } from './validate.js';

/** Of routes that declare no query. */
const NO_QUERY = z.strictObject({});

export interface MountDeps {
  readonly db: Queryable;
  readonly clock: () => EpochMs;
  readonly idempotency: Idempotency;
  /** Replies that are not what their route declares are errors; for tests. */
  readonly checkReplies: boolean;
}

export function mountRoutes(routes: readonly Route[], deps: MountDeps): Router {
  const router = Router();
  const readers = new Map(routes.filter(({ method }) => method === 'get').map(({ path, current }) => [path, current]));
  for (const [path, ofPath] of byPath(routes)) {
    for (const route of ofPath) {
      if (!(route.permission in PERMISSIONS)) throw new Error(`${route.method} ${path}: unknown permission`);
      const answer = route.method === 'get' ? answerRead(route, deps) : answerChange(route, readers.get(path), deps);
      // The body is read after the permission is known, so that strangers can't make us parse megabytes.
      router[route.method](path, requireOf(route), ...bodyReaders(route), answer);
    }
    router.all(path, otherMethods(ofPath.map(({ method }) => method)));
  }
  return router;
}

/** Each path with its routes; names before parameters, so that `/changes/plan` is never taken for a change. */
function byPath(routes: readonly Route[]): [string, Route[]][] {
  const paths = new Map<string, Route[]>();
  for (const route of routes) paths.set(route.path, [...(paths.get(route.path) ?? []), route]);
  const rank = (path: string): string => path.replaceAll(/:\w+/g, '\uffff');
  return [...paths].sort(([a], [b]) => (rank(a) < rank(b) ? -1 : 1));
}

function requireOf(route: Route): RequestHandler {
  return (req, _res, next) => {
    personWith(req, route.permission);
    next();
  };
}

function answerRead(route: Route, deps: MountDeps): RequestHandler {
  return async (req, res) => {
    const context = contextOf(route, req, deps.clock());
    // Read before the body: should it change in between, the tag is too old, and a change with it is refused for safety.
    const current = route.current === undefined ? undefined : await route.current(deps.db, context.params);
    const reply = await handled(route, context, deps);
    if (reply.stream === undefined) sendTagged(req, res, { reply, current });
    else {
      res.status(reply.status).set({ 'cache-control': 'no-store', ...reply.headers });
      if (req.method === 'HEAD') res.end();
      else reply.stream(res);
    }
  };
}

function answerChange(route: Route, current: ReadCurrent | undefined, deps: MountDeps): RequestHandler {
  return async (req, res) => {
    const context = contextOf(route, req, deps.clock());
    const { person, now, params } = context;
    const edits = route.method !== 'post';
    const guard = guardOf({ req, path: route.path, params, current: edits ? current : undefined });
    const secret = route.secretReply ?? false;
    const reply = await deps.idempotency.once({ req, actor: person.actor, now, secret }, async (hooks) => {
      const made = await withTransactionHooks(both(guard.hooks, hooks), () => handled(route, context, deps));
      guard.requireLooked();
      const etag = guard.etag();
      return renderReply(etag === null ? made : { ...made, headers: { etag, ...made.headers } });
    });
    sendReply(res, reply);
  };
}

async function handled(route: Route, context: Context<never, never, never>, deps: MountDeps): Promise<Reply> {
  const reply = await route.handler(context);
  if (deps.checkReplies) checkReply(route, reply);
  return reply;
}

function both(first: TransactionHooks, second: TransactionHooks): TransactionHooks {
  return {
    begun: async (client) => {
      await first.begun?.(client);
      await second.begun?.(client);
    },
    committing: async (client) => {
      await first.committing?.(client);
      await second.committing?.(client);
    },
  };
}

/** @throws Problem 400 naming every wrong field of path, query and body */
function contextOf(route: Route, req: Request, now: EpochMs): Context<never, never, never> {
  const errors: FieldError[] = [];
  const read = (schema: z.ZodType | undefined, value: unknown, where: FieldError['in']): never => {
    const result = schema?.safeParse(value);
    if (result?.success === false) errors.push(...fieldErrors(result.error, where));
    return result?.data as never;
  };
  const context = {
    params: read(route.params, req.params, 'path'),
    query: read(route.query ?? NO_QUERY, req.query, 'query'),
    body: read(route.body, hasBody(req) ? req.body : undefined, 'body'),
    person: personWith(req, route.permission),
    now,
    req,
  };
  if (errors.length > 0) throw invalid(errors);
  return context;
}

/** Everything a path can't do is said with what it can. */
function otherMethods(methods: readonly Method[]): RequestHandler {
  const read = methods.includes('get') ? ['HEAD'] : [];
  const allow = [...methods.map((m) => m.toUpperCase()), ...read, 'OPTIONS'].join(', ');
  return (req, res, next) => {
    if (req.method === 'OPTIONS') {
      res.status(204).set('allow', allow).end();
      return;
    }
    next(
      new Problem({
        status: 405,
        type: 'method-not-allowed',
        title: 'Method not allowed',
        detail: `${req.method} is not possible here, only ${allow}`,
        headers: { allow },
      }),
    );
  };
}
