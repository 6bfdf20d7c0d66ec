/** Who is asking. Set once per request by the authentication middleware, read by routes and pages. */
import type { Request, RequestHandler } from 'express';
import type { TokenRow } from '../../db/identity/people.js';
import { PERMISSIONS, type Permission } from '../../domain/identity/permissions.js';
import { forbidden, unauthenticated } from '../http/problem.js';

export interface Person {
  /**
   * The account's id, or `token:<name>` for an API token that belongs to nobody. Written as `requested_by` and as the
   * audit's actor, so that "the requester never approves" compares the same thing whichever way somebody signed in.
   */
  readonly actor: string;
  readonly accountId: string | null;
  readonly name: string;
  readonly email: string | null;
  /** Names, built-in and custom; what they allow is in `permissions`. */
  readonly roles: readonly string[];
  /** All that may be done this way: a token may allow less than its account. */
  readonly permissions: ReadonlySet<Permission>;
  readonly via: 'token' | 'session';
  /** Null for a session. */
  readonly token: TokenRow | null;
}

const people = new WeakMap<Request, Person>();

export function setPerson(req: Request, person: Person): void {
  people.set(req, person);
}

/** The signed-in person, or null. */
export function currentPerson(req: Request): Person | null {
  return people.get(req) ?? null;
}

/**
 * The signed-in person, who has the permission.
 * @throws Problem 401 when nobody is signed in, 403 when somebody without the permission is
 */
export function personWith(req: Request, permission: Permission): Person {
  const person = currentPerson(req);
  if (person === null) throw unauthenticated('this needs a bearer token or a session');
  if (!person.permissions.has(permission)) {
    const narrowed = person.token !== null && person.token.scopes.length > 0 ? ', and a token with that scope' : '';
    throw forbidden(`${permission} needs the role ${PERMISSIONS[permission]}, or a custom role with it${narrowed}`);
  }
  return person;
}

/** For routers of their own (pages): lets only people with the permission through. */
export function requirePermission(permission: Permission): RequestHandler {
  return (req, _res, next) => {
    personWith(req, permission);
    next();
  };
}
