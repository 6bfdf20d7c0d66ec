/** Which packages may come with those that fixes install: the lists that were approved with them, and whether what is offered here keeps to them. */
import { readFileSync } from 'node:fs';
import { type ApprovedPackage, readPackageList } from '../../../domain/content/index.js';
import type { ContentCache } from '../../transport/content.js';
import type { Declined } from '../provider.js';
import type { RuleFix } from './package-plan.js';

/**
 * Fetches the lists by their digests. A fix whose list is none is declined: the server made it, so another try gets the same.
 * @throws ContentDiffers | GatewayRefused | TransportError where one can't be had now
 */
export async function withLists(
  content: Pick<ContentCache, 'ensure'>,
  args: { readonly fixes: readonly RuleFix[]; readonly bytesPerSecond: number | null },
): Promise<{ readonly fixes: readonly RuleFix[]; readonly declined: readonly Declined[] }> {
  const fixes: RuleFix[] = [];
  const declined: Declined[] = [];
  for (const fix of args.fixes) {
    const list = fix.wanted?.brings;
    if (list === undefined) fixes.push(fix);
    else {
      const file = await content.ensure(list, { bytesPerSecond: args.bytesPerSecond });
      const read = readPackageList(readFileSync(file, 'utf8'));
      if (read.ok) fixes.push({ ...fix, mayBring: read.packages });
      else declined.push({ name: fix.rule, reason: `what ${fix.fix.name} may bring is not known: ${read.reason}` });
    }
  }
  return { fixes, declined };
}

/** A package that comes and that no fix asks for by name. `sha256` null: it is not fetched yet. */
export interface Coming {
  readonly name: string;
  readonly version: string;
  readonly sha256: string | null;
}

/**
 * The first package that is not on the lists of these fixes, with why, in words; null: all are, or none of the fixes has a list. Where some have
 * one, what the others bring must be on it, too.
 */
export function notOnLists(
  fixes: readonly RuleFix[],
  coming: readonly Coming[],
): { readonly name: string; readonly reason: string } | null {
  const lists = fixes.flatMap(({ mayBring }) => (mayBring == null ? [] : [mayBring]));
  if (lists.length === 0) return null;
  const asked = new Set(fixes.map(({ fix }) => fix.name));
  const known = new Map<string, ApprovedPackage[]>();
  for (const one of lists.flat()) {
    const found = known.get(one.name);
    if (found === undefined) known.set(one.name, [one]);
    else found.push(one);
  }
  for (const { name, version, sha256 } of coming) {
    if (asked.has(name)) continue;
    const approved = known.get(name) ?? [];
    const here = `${namesIn(fixes)} would bring ${name} ${version} here`;
    if (approved.length === 0) return { name, reason: `${here}, which nobody has approved` };
    const same = approved.filter((one) => one.version === version);
    if (same.length === 0) {
      const versions = [...new Set(approved.map((one) => one.version))].join(', ');
      return { name, reason: `${here}; approved is ${versions}` };
    }
    if (sha256 !== null && !same.some((one) => one.sha256 === sha256))
      return { name, reason: `${here}, and its file is not the approved one` };
  }
  return null;
}

const namesIn = (fixes: readonly RuleFix[]): string => [...new Set(fixes.map(({ fix }) => fix.name))].sort().join(', ');
