/** Which versions of what are vulnerable, and how an endpoint stands to it: a question of versions alone. */
import { compareDebVersionTexts } from '../content/index.js';

/** Something that must be replaced: all packages of a source, or one package. */
export interface Target {
  /** The id it came from: the CVE, or the name given. */
  readonly asked: string;
  readonly kind: 'source' | 'package';
  readonly name: string;
  /** The source it is built from; the same as `name` for a source. */
  readonly source: string;
  /** Versions that fix it (of the source, or of the package), as verified indexes and changelogs name them. */
  readonly fixedIn: readonly string[];
  /** What is older than this is vulnerable whatever is offered; null: what has something newer to go to is. */
  readonly below: string | null;
}

/** One package as an endpoint has it: versions of the package, or of its source, as the target counts. */
export interface Standing {
  readonly installed: string;
  /** What the endpoint's own index offers in its place; null: nothing. */
  readonly candidate: string | null;
}

/**
 * How an endpoint stands: `fixed`; exposed with a fix on offer; or exposed with none its own index offers. Releases have
 * branches of their own, so a version that fixes one is no yardstick for another: whoever is offered a fixing version that it
 * has not got is exposed, too. Versions that can't be compared count as exposed (fail closed).
 */
export function judgeStanding(target: Target, standing: Standing): 'fixed' | 'offered' | 'notOffered' {
  const { installed, candidate } = standing;
  const offered = candidate !== null && target.fixedIn.some((v) => before(installed, v) && !before(candidate, v));
  if (offered) return 'offered';
  return target.below !== null && before(installed, target.below) ? 'notOffered' : 'fixed';
}

/** Whether `a` is older than `b`; what can't be compared counts as older. */
export function before(a: string, b: string): boolean {
  const compared = compareDebVersionTexts(a, b);
  return !compared.ok || compared.order < 0;
}

/** The same order for lists; what can't be compared stays where it is. */
export function byVersion(a: string, b: string): number {
  const compared = compareDebVersionTexts(a, b);
  return compared.ok ? compared.order : 0;
}
