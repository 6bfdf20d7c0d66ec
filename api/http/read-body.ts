/** Bodies: read after the permission is known, in the right type, and no trap in them. */
import express, { type Request, type RequestHandler } from 'express';
import { jsonTrap } from './json-traps.js';
import { invalid, Problem } from './problem.js';
import type { Route } from './route.js';

const BODY_LIMIT = '1mb';
const raw = new WeakMap<object, Buffer>();

/** The bytes of the body as they came; undefined when there was none. */
export function rawBody(req: Request): Buffer | undefined {
  return raw.get(req);
}

export function hasBody(req: Request): boolean {
  return req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > 0;
}

/** What reads the body of a route; a route that declares none refuses one. */
export function bodyReaders(route: Route): RequestHandler[] {
  // The handler reads it as it arrives.
  if (route.upload !== undefined) return [requireType(route.upload)];
  if (route.body === undefined) return route.method === 'get' ? [] : [refuseBody];
  const keep = (req: object, _res: object, bytes: Buffer): void => void raw.set(req, bytes);
  const json = route.bodyType === 'application/json';
  const read = json
    ? express.json({ limit: BODY_LIMIT, type: route.bodyType, strict: false, verify: keep })
    : express.text({ limit: BODY_LIMIT, type: route.bodyType, verify: keep });
  const check = requireType(route.bodyType);
  return json ? [check, read, refuseTraps] : [check, read];
}

function requireType(type: string): RequestHandler {
  return (req, _res, next) => {
    if (!hasBody(req) || req.is(type) !== false) next();
    else next(unsupported(type));
  };
}

const refuseTraps: RequestHandler = (req, _res, next) => {
  const bytes = raw.get(req);
  const trap = bytes === undefined ? null : jsonTrap(bytes.toString('utf8'));
  next(trap === null ? undefined : invalid([{ ...trap, in: 'body' }]));
};

/** An empty object is let through: many clients send one with every POST. */
const refuseBody: RequestHandler = (req, res, next) => {
  if (!hasBody(req)) {
    next();
    return;
  }
  if (req.is('application/json') === false) {
    next(unsupported('application/json'));
    return;
  }
  express.json({ limit: '64kb', strict: false })(req, res, (error?: unknown) => {
    const empty = typeof req.body === 'object' && req.body !== null && Object.keys(req.body).length === 0;
    if (error !== undefined) next(error);
    else next(empty ? undefined : invalid([{ field: '', in: 'body', reason: 'this takes no body' }]));
  });
};

function unsupported(wanted: string): Problem {
  return new Problem({
    status: 415,
    type: 'unsupported-media-type',
    title: 'Unsupported media type',
    detail: `the body must be ${wanted}`,
  });
}
