/**
 * ETags and the conditions clients set on them (RFC 9110 §13). A GET that declares `current` gives its resource a
 * version; PUT, PATCH and DELETE of the same path compare it inside the transaction that changes it, under a lock that
 * all of them take, so that nobody's change is lost between the look and the write.
 */
import { createHash } from 'node:crypto';
import type { Request } from 'express';
import type { TransactionHooks } from '../../db/pool.js';
import { invalidField, Problem } from './problem.js';
import type { ReadCurrent } from './route.js';

const LOCK_WAIT_MS = 5_000;

export function versionOf(representation: unknown): string {
  return createHash('sha256').update(JSON.stringify(representation)).digest('base64url').slice(0, 22);
}

/**
 * The ETag of a GET's body: the version alone where that is all of it; where the body has more (what a machine last
 * said), both. `If-Match` compares the version, `If-None-Match` the whole.
 */
export function etagOf(body: unknown, current: unknown): string {
  const whole = versionOf(body);
  if (current === undefined) return `"${whole}"`;
  const version = versionOf(current);
  return version === whole ? `"${whole}"` : `"${version}.${whole}"`;
}

/** Whether a GET may answer 304. */
export function isUnchanged(req: Request, etag: string): boolean {
  const condition = parseCondition(req, 'if-none-match');
  if (condition === null) return false;
  return condition === '*' || condition.some((tag) => tag.replace(/^W\//, '') === etag);
}

export interface Guard {
  readonly hooks: TransactionHooks;
  /** The resource's ETag once changed; null when it is gone or nothing was changed. */
  readonly etag: () => string | null;
  /** @throws Error when conditions were set and no transaction looked at them: a route's mistake */
  readonly requireLooked: () => void;
}

const NO_GUARD: Guard = { hooks: {}, etag: () => null, requireLooked: () => {} };

/** What an unsafe request has to go through. @throws Problem 400 for a condition that can't be read, or has no place here */
export function guardOf(args: {
  readonly req: Request;
  /** The route's path, as declared. */
  readonly path: string;
  readonly params: unknown;
  readonly current: ReadCurrent | undefined;
}): Guard {
  const { req, current } = args;
  const match = parseCondition(req, 'if-match');
  const noneMatch = parseCondition(req, 'if-none-match');
  if (current === undefined) {
    const set = match !== null ? 'If-Match' : noneMatch !== null ? 'If-None-Match' : null;
    if (set !== null) throw invalidField(set, 'nothing here has an ETag', 'header');
    return NO_GUARD;
  }
  return guardFor({ ...args, current, match, noneMatch, what: `${req.method} ${req.path}` });
}

/** The same for conditions that are known otherwise, as those of a page's form. */
export function guardFor(args: {
  readonly path: string;
  readonly params: unknown;
  readonly current: ReadCurrent;
  readonly match: Condition | null;
  readonly noneMatch: Condition | null;
  /** For whoever reads an error. */
  readonly what: string;
}): Guard {
  const { current, params, match, noneMatch } = args;
  const conditional = match !== null || noneMatch !== null;
  const lock = `etag ${args.path} ${JSON.stringify(params)}`;
  let looked = false;
  let etag: string | null = null;
  return {
    hooks: {
      begun: async (client) => {
        // Whoever holds it may need a connection that waiters have: they give up before it does, and may come again.
        await client.query(`SET LOCAL lock_timeout = '${LOCK_WAIT_MS}ms'`);
        await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [lock]);
        await client.query(`SET LOCAL lock_timeout = DEFAULT`);
        if (looked || !conditional) return;
        looked = true;
        const now = await current(client, params as never);
        requireConditions({ match, noneMatch, version: now === null ? null : versionOf(now) });
      },
      committing: async (client) => {
        const now = await current(client, params as never);
        etag = now === null ? null : `"${versionOf(now)}"`;
      },
    },
    etag: () => etag,
    requireLooked: () => {
      if (conditional && !looked) throw new Error(`${args.what}: conditions were not looked at`);
    },
  };
}

type Condition = '*' | readonly string[];

function requireConditions(args: {
  readonly match: Condition | null;
  readonly noneMatch: Condition | null;
  readonly version: string | null;
}): void {
  const { match, noneMatch, version } = args;
  const among = (tags: readonly string[], weak: boolean): boolean =>
    tags.some((tag) => versionIn(weak ? tag.replace(/^W\//, '') : tag) === version);
  if (match !== null) {
    if (version === null) throw failed('it does not exist');
    if (match !== '*' && !among(match, false)) throw failed('it was changed since you read it; read it again');
  }
  if (noneMatch !== null && version !== null) {
    if (noneMatch === '*') throw failed('it exists already');
    if (among(noneMatch, true)) throw failed('it is just that version');
  }
}

/** The version in an ETag of ours, with or without the rest. A weak one has none: it never matches strongly. */
function versionIn(tag: string): string | null {
  return /^"([A-Za-z0-9_-]{22})(?:\.[A-Za-z0-9_-]{22})?"$/.exec(tag)?.[1] ?? null;
}

function failed(detail: string): Problem {
  return new Problem({ status: 412, type: 'precondition-failed', title: 'Not the version you meant', detail });
}

function parseCondition(req: Request, name: 'if-match' | 'if-none-match'): Condition | null {
  const given = req.get(name)?.trim();
  if (given === undefined) return null;
  if (given === '*') return '*';
  if (!/^(?:W\/)?"[\x21\x23-\x7e]*"(?:\s*,\s*(?:W\/)?"[\x21\x23-\x7e]*")*$/.test(given) || given.length > 4_000) {
    throw invalidField(name === 'if-match' ? 'If-Match' : 'If-None-Match', 'must be * or ETags in quotes', 'header');
  }
  return given.match(/(?:W\/)?"[^"]*"/g) ?? [];
}
