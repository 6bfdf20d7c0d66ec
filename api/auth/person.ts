/** Who is asking. Set once per request by the authentication middleware, read by routes and pages. */
import type { Request, RequestHandler } from 'express';
import type { Role } from '../../domain/approval/rule.js';
import { mayDo, PERMISSIONS, type Permission } from '../../domain/identity/permissions.js';
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
  readonly roles: readonly Role[];
  readonly via: 'token' | 'session';
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
  if (!mayDo(person.roles, permission)) {
    throw forbidden(`${permission} needs the role ${PERMISSIONS[permission]}`);
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
