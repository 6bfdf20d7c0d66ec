/**
 * An exception keeps updates away from endpoints for a while, for a reason somebody answers for. Pure: who it applies to and what
 * it takes out is decided here, from rows and inventories the caller brings.
 */
import { namesMatch } from '../content/index.js';
import { type Group, matches, type Selectable, type Selector } from '../fleet/selector.js';
import type { EpochMs } from '../time.js';

/** What an exception takes out. */
export type ExceptionTarget =
  /** A package or source by name; `*` stands for any run of characters. */
  | { readonly package: string }
  /** Updates that fix this and nothing else that is not excepted too. */
  | { readonly cve: string }
  /** A rule of a baseline by id or short name; `*` stands for any run of characters. */
  | { readonly rule: string };

export interface Exception {
  readonly id: string;
  readonly selector: Selector;
  readonly target: ExceptionTarget;
  readonly reason: string;
  /** Who answers for it, by name. */
  readonly ownerName: string;
  readonly createdAt: EpochMs;
  readonly expiresAt: EpochMs;
  readonly revokedAt: EpochMs | null;
}

export type ExceptionState = 'inForce' | 'expired' | 'revoked';

/** `[createdAt, expiresAt)`; a time that can't be read ends it (an exception must not last for ever by mistake). */
export function exceptionState(exception: Pick<Exception, 'expiresAt' | 'revokedAt'>, now: EpochMs): ExceptionState {
  if (exception.revokedAt !== null) return 'revoked';
  return exception.expiresAt > now ? 'inForce' : 'expired';
}

/** For each endpoint that has any, its exceptions in force, in the order given. */
export function exceptionsByEndpoint(args: {
  readonly exceptions: readonly Exception[];
  readonly endpoints: readonly Selectable[];
  readonly groups: ReadonlyMap<string, Group>;
  readonly now: EpochMs;
}): Map<string, readonly Exception[]> {
  const inForce = args.exceptions.filter((one) => exceptionState(one, args.now) === 'inForce');
  const found = new Map<string, readonly Exception[]>();
  for (const endpoint of args.endpoints) {
    const own = inForce.filter(({ selector }) => matches({ endpoint, selector, groups: args.groups }));
    if (own.length > 0) found.set(endpoint.id, own);
  }
  return found;
}

/** Endpoints that share the same exceptions, in the order in which they come. */
export function splitByExceptions(
  endpointIds: readonly string[],
  exceptions: ReadonlyMap<string, readonly Exception[]>,
): { readonly endpointIds: readonly string[]; readonly exceptions: readonly Exception[] }[] {
  const parts = new Map<string, { endpointIds: string[]; exceptions: readonly Exception[] }>();
  for (const id of endpointIds) {
    const own = exceptions.get(id) ?? [];
    const key = own.map((one) => one.id).join(' ');
    const part = parts.get(key);
    if (part === undefined) parts.set(key, { endpointIds: [id], exceptions: own });
    else part.endpointIds.push(id);
  }
  return [...parts.values()];
}

/**
 * The exception that takes an update out, or null. By name first. By CVE only where every CVE the update fixes is excepted: one
 * accepted risk must not keep out the fix of another. Of several the one that lasts longest is named.
 */
export function exceptionFor(args: {
  readonly update: { readonly name: string; readonly source: string; readonly cves: readonly string[] };
  readonly exceptions: readonly Exception[];
}): Exception | null {
  const { update, exceptions } = args;
  const named = exceptions.filter(
    ({ target }) => 'package' in target && namesMatch(target.package, [update.name, update.source]),
  );
  if (named.length > 0) return longest(named);
  const byCve = update.cves.map((cve) => exceptions.filter(({ target }) => 'cve' in target && target.cve === cve));
  if (byCve.length === 0 || byCve.some((found) => found.length === 0)) return null;
  // It lasts until the first of its CVEs is no longer excepted.
  return byCve.map(longest).reduce((first, one) => (one.expiresAt < first.expiresAt ? one : first));
}

/** The exception that keeps a rule from being put right, or null. Of several the one that lasts longest. */
export function exceptionForRule(names: readonly string[], exceptions: readonly Exception[]): Exception | null {
  const found = exceptions.filter(({ target }) => 'rule' in target && namesMatch(target.rule, names));
  return found.length === 0 ? null : longest(found);
}

/** "until … by …: reason", as approvers read it after "excepted". */
export function exceptionInWords(exception: Exception): string {
  const what = 'cve' in exception.target ? ` (${exception.target.cve})` : '';
  return `until ${new Date(exception.expiresAt).toISOString()} by ${exception.ownerName}: ${exception.reason}${what}`;
}

const longest = (some: readonly Exception[]): Exception =>
  some.reduce((last, one) => (one.expiresAt > last.expiresAt ? one : last));
