/** What somebody may do in the end: built-in roles, roles of the installation's own, and a token's narrower words. */
import type { Role } from '../approval/rule.js';
import { mayDo, PERMISSIONS, type Permission, ROLES } from './permissions.js';

export const ALL_PERMISSIONS = Object.keys(PERMISSIONS) as readonly Permission[];

export function isPermission(text: string): text is Permission {
  return Object.hasOwn(PERMISSIONS, text);
}

/** Whether it is the name of a built-in role. */
export function isRole(name: string): name is Role {
  return (ROLES as readonly string[]).includes(name);
}

/** Permissions that roles hold: of the built-in ones, and those that custom roles list. Words no longer known give nothing. */
export function permissionsOf(roles: readonly Role[], custom: readonly string[] = []): ReadonlySet<Permission> {
  return new Set(ALL_PERMISSIONS.filter((permission) => mayDo(roles, permission) || custom.includes(permission)));
}

/**
 * Whether a scope takes in a permission: its own name, all of a resource (`group.*`), or one verb everywhere (`*.read`).
 */
export function scopeCovers(scope: string, permission: Permission): boolean {
  const [resource, verb] = scope.split('.');
  const [ofResource, ofVerb] = permission.split('.');
  return (resource === '*' || resource === ofResource) && (verb === '*' || verb === ofVerb);
}

/** Whether the text is a scope that takes in anything at all; `*.*` is none: whoever means all gives no scopes. */
export function isScope(text: string): boolean {
  if (!/^(?:[A-Za-z]+|\*)\.(?:[A-Za-z]+|\*)$/.test(text) || text === '*.*') return false;
  return ALL_PERMISSIONS.some((permission) => scopeCovers(text, permission));
}

/**
 * What a token may do: what its role and its account both may (never more than either), narrowed by its scopes. Every
 * token may ask who it is.
 */
export function tokenPermissions(args: {
  readonly role: ReadonlySet<Permission>;
  /** Null for a token that belongs to nobody. */
  readonly account: ReadonlySet<Permission> | null;
  /** None: not narrowed. */
  readonly scopes: readonly string[];
}): ReadonlySet<Permission> {
  const { role, account, scopes } = args;
  const inScope = (permission: Permission): boolean =>
    scopes.length === 0 || permission === 'self.read' || scopes.some((scope) => scopeCovers(scope, permission));
  return new Set([...role].filter((one) => (account === null || account.has(one)) && inScope(one)));
}

/** Those of the permissions that the giver does not have: nobody can give what they have not. */
export function beyond(given: ReadonlySet<Permission>, giver: ReadonlySet<Permission>): Permission[] {
  return [...given].filter((permission) => !giver.has(permission));
}
