/** Nobody gives what they have not: what every change of who may do what goes through. */
import type { PoolClient } from 'pg';
import { accountPermissions } from '../../db/identity/people.js';
import { lockIdentity, resolveRoles } from '../../db/identity/roles.js';
import { beyond } from '../../domain/identity/grants.js';
import type { Permission } from '../../domain/identity/permissions.js';
import type { Person } from '../auth/person.js';
import { forbidden, invalidField } from '../http/problem.js';

/** @throws Problem 403 naming what the person lacks */
export function requireNotBeyond(person: Person, given: ReadonlySet<Permission>, what: string): void {
  const lacking = beyond(given, person.permissions);
  if (lacking.length > 0) throw forbidden(`${what} more than you may do yourself: ${lacking.join(', ')}`);
}

/** In the transaction that gives them. @throws Problem 400 for a role nobody made, 403 for one beyond the person */
export async function requireGrantable(
  client: PoolClient,
  args: { readonly person: Person; readonly roles: readonly string[]; readonly field: string },
): Promise<void> {
  await lockIdentity(client);
  const { permissions, unknown } = await resolveRoles(client, args.roles);
  if (unknown.length > 0) throw invalidField(args.field, `no such role: ${unknown.join(', ')}`);
  requireNotBeyond(args.person, permissions, 'that would give');
}

/**
 * In the transaction that changes the account: a new password, or a token, is a way to act as it.
 * @throws Problem 403 when the account may do what the person may not
 */
export async function requireNotAbove(
  client: PoolClient,
  args: { readonly person: Person; readonly accountId: string },
): Promise<void> {
  await lockIdentity(client);
  requireNotBeyond(args.person, await accountPermissions(client, args.accountId), 'the account may do');
}
