/** Rules that are watched between scans: tested again as soon as anything in the configuration has changed. */
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { BaselineScope } from '../../../protocol/messages.js';
import { readTextIfThere, writeFileDurably } from '../../system/files.js';
import type { Run } from '../../system/run.js';
import type { ContentCache } from '../../transport/content.js';
import { evaluate, type RuleResults } from './oscap.js';

interface Watched {
  readonly scope: Pick<BaselineScope, 'dataStream' | 'tailoring' | 'profile'>;
  readonly rules: readonly string[];
  readonly results: RuleResults;
}

const fileIn = (dir: string) => join(dir, 'critical.json');
const read = (dir: string): Readonly<Record<string, Watched>> => {
  try {
    return JSON.parse(readTextIfThere(fileIn(dir)) ?? '{}') as Record<string, Watched>;
  } catch {
    return {};
  }
};

/** By checklist, as the newest scan order said. */
export function rememberCritical(dir: string, baseline: BaselineScope, results: RuleResults): void {
  const { [baseline.checklist]: _, ...others } = read(dir);
  const { dataStream, tailoring, profile, critical } = baseline;
  const known = Object.fromEntries(
    critical.flatMap((rule) => (results[rule] === undefined ? [] : [[rule, results[rule]]])),
  );
  const mine = { scope: { dataStream, tailoring, profile }, rules: Object.keys(known), results: known };
  writeFileDurably(
    fileIn(dir),
    JSON.stringify(critical.length === 0 ? others : { ...others, [baseline.checklist]: mine }),
  );
}

/**
 * Results of the critical rules, tested anew when a file below `roots` has changed since the last call (and once at first).
 * Null: there is no news. A scanner that gives no answer is no news; the next scan will say.
 */
export function createCriticalRules(deps: {
  readonly run: Run;
  readonly content: Pick<ContentCache, 'ensure'>;
  readonly dir: string;
  readonly roots: readonly string[];
  /** Something else is at work: an order tests for itself. */
  readonly busy: () => boolean;
}): () => Promise<RuleResults | null> {
  let stamp: string | null = null;
  return async () => {
    const all = Object.values(read(deps.dir));
    if (all.length === 0) return null;
    const now = stampOf(deps.roots);
    const results: RuleResults = Object.assign({}, ...all.map((watched) => watched.results));
    if (stamp === now || deps.busy()) return null;
    for (const { scope, rules } of all) {
      const tailoring =
        scope.tailoring === null ? null : await deps.content.ensure(scope.tailoring, { bytesPerSecond: null });
      const dataStream = await deps.content.ensure(scope.dataStream, { bytesPerSecond: null });
      const found = await evaluate(deps.run, { dataStream, tailoring, profile: scope.profile, rules, arf: null });
      if (!found.ok) return null;
      for (const rule of rules) if (found.results[rule] !== undefined) results[rule] = found.results[rule];
    }
    stamp = now;
    return results;
  };
}

/** Changes when a file is written, made, removed, or gets another mode: no content is read. */
function stampOf(roots: readonly string[]): string {
  let newest = 0;
  let count = 0;
  const visit = (path: string): void => {
    try {
      const entry = lstatSync(path);
      count += 1;
      newest = Math.max(newest, entry.ctimeMs);
      if (entry.isDirectory()) for (const name of readdirSync(path)) visit(join(path, name));
    } catch {
      // Gone while we looked.
    }
  };
  for (const root of roots) visit(root);
  return `${newest} ${count}`;
}
