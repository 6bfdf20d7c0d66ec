/** Bearer token or session → person. Whoever presents a wrong token is refused, never treated as a guest. */
import type { Request, RequestHandler } from 'express';
import type { Pool } from 'pg';
import { findBearer, findByAccount, type PersonRow } from '../../db/identity/people.js';
import type { EpochMs } from '../../domain/time.js';
import { forbidden, unauthenticated } from '../http/problem.js';
import { isForeign } from './csrf.js';
import { type Person, setPerson } from './person.js';

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS']);

/** Whoever holds the token's 256 bits may know what became of it; to all others every token is unknown. */
const REFUSED = {
  unknown: 'the token is unknown',
  expired: 'the token has expired',
  revoked: 'the token was revoked',
  disabled: 'the account of the token is disabled',
} as const;

/** Reads `Authorization: Bearer`. */
export function bearerAuthentication(deps: {
  /** Which connections look the token up. */
  poolFor: (req: Request) => Pool;
  clock: () => EpochMs;
}): RequestHandler {
  return async (req, _res, next) => {
    const header = req.headers.authorization;
    if (header === undefined) {
      next();
      return;
    }
    const token = /^Bearer ([\x21-\x7e]{8,512})$/i.exec(header)?.[1];
    if (token === undefined) throw unauthenticated('the Authorization header must be "Bearer <token>"');
    const bearer = await findBearer(deps.poolFor(req), token, deps.clock());
    if (bearer.state !== 'valid') throw unauthenticated(REFUSED[bearer.state]);
    setPerson(req, personOf(bearer.person));
    next();
  };
}

/** After the session middleware: the account's roles are read afresh, so that revoking works at once. */
export function sessionAuthentication(deps: { poolFor: (req: Request) => Pool }): RequestHandler {
  return async (req, _res, next) => {
    const accountId = req.session?.accountId;
    if (accountId === undefined || req.headers.authorization !== undefined) {
      next();
      return;
    }
    if (!SAFE.has(req.method) && isForeign(req)) throw forbidden('the request comes from another site');
    const row = await findByAccount(deps.poolFor(req), accountId);
    if (row !== null) setPerson(req, personOf(row));
    next();
  };
}

function personOf(row: PersonRow): Person {
  const { accountId, token, name, email, roles, permissions } = row;
  const actor = accountId ?? `token:${token?.name}`;
  return { actor, accountId, name, email, roles, permissions, via: token === null ? 'session' : 'token', token };
}
