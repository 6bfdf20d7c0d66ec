/** Turns declared routes into an express router. */
import express, { type Request, type RequestHandler, type Response, Router } from 'express';
import { PERMISSIONS } from '../../domain/identity/permissions.js';
import type { EpochMs } from '../../domain/time.js';
import { personWith } from '../auth/person.js';
import { invalid, Problem } from './problem.js';
import type { Method, Reply, Route } from './route.js';
import { validated } from './validate.js';

const BODY_LIMIT = '1mb';

export function mountRoutes(routes: readonly Route[], clock: () => EpochMs): Router {
  const router = Router();
  for (const route of routes) {
    if (!(route.permission in PERMISSIONS)) throw new Error(`${route.method} ${route.path}: unknown permission`);
    // The body is read after the permission is known, so that strangers can't make us parse megabytes.
    router[route.method](route.path, requireOf(route), ...bodyReaders(route), answer(route, clock));
  }
  for (const [path, methods] of methodsByPath(routes)) {
    const allow = methods.map((m) => m.toUpperCase()).join(', ');
    router.all(path, (req, _res, next) => {
      next(
        new Problem({
          status: 405,
          type: 'method-not-allowed',
          title: 'Method not allowed',
          detail: `${req.method} is not possible here, only ${allow}`,
          headers: { allow },
        }),
      );
    });
  }
  return router;
}

function requireOf(route: Route): RequestHandler {
  return (req, _res, next) => {
    personWith(req, route.permission);
    next();
  };
}

function bodyReaders(route: Route): RequestHandler[] {
  if (route.upload !== undefined) return [requireType(route.upload)];
  if (route.body === undefined) return [];
  const json = route.bodyType === 'application/json';
  const read = json
    ? express.json({ limit: BODY_LIMIT, type: route.bodyType, strict: false })
    : express.text({ limit: BODY_LIMIT, type: route.bodyType });
  return [requireType(route.bodyType), read];
}

function requireType(type: string): RequestHandler {
  return (req, _res, next) => {
    const given = hasBody(req);
    if (!given || req.is(type) !== false) next();
    else {
      next(
        new Problem({
          status: 415,
          type: 'unsupported-media-type',
          title: 'Unsupported media type',
          detail: `the body must be ${type}`,
        }),
      );
    }
  };
}

function hasBody(req: Request): boolean {
  return req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > 0;
}

function answer(route: Route, clock: () => EpochMs): RequestHandler {
  return async (req, res) => {
    const context = {
      params: read(route.params, req.params, 'path'),
      query: read(route.query, req.query, 'query'),
      body: read(route.body, hasBody(req) ? req.body : undefined, 'body'),
      person: personWith(req, route.permission),
      now: clock(),
      req,
    };
    if (route.query === undefined && Object.keys(req.query).length > 0) {
      throw invalid(Object.keys(req.query).map((field) => ({ field, in: 'query', reason: 'unknown parameter' })));
    }
    send(req, res, await route.handler(context));
  };
}

function read(schema: Route['params'], value: unknown, where: 'path' | 'query' | 'body'): never {
  return (schema === undefined ? undefined : validated(schema, value, where)) as never;
}

function send(req: Request, res: Response, reply: Reply): void {
  res.status(reply.status).set({ 'cache-control': 'no-store', ...reply.headers });
  if (reply.stream !== undefined && req.method !== 'HEAD') reply.stream(res);
  else if (reply.body === undefined) res.end();
  else if (typeof reply.body === 'string') res.send(reply.body);
  else res.json(reply.body);
}

function methodsByPath(routes: readonly Route[]): Map<string, Method[]> {
  const paths = new Map<string, Method[]>();
  for (const { path, method } of routes) paths.set(path, [...(paths.get(path) ?? []), method]);
  return paths;
}
