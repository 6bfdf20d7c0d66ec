/** Rules that are watched between scans: tested again as soon as anything they may look at has changed. */
import { join } from 'node:path';
import type { BaselineScope } from '../../../protocol/messages.js';
import { readTextIfThere, writeFileDurably } from '../../system/files.js';
import type { Run } from '../../system/run.js';
import type { ContentCache } from '../../transport/content.js';
import { evaluate, type RuleResults } from './oscap.js';

type RuleResult = RuleResults[string];

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

/** Forgets what holds here no more: other checklists, and rules that are critical no more. @param watched rules by checklist, as the server says */
export function keepCritical(dir: string, watched: Readonly<Record<string, readonly string[]>>): void {
  const all = read(dir);
  const kept = Object.entries(all).flatMap(([checklist, entry]): [string, Watched][] => {
    const rules = entry.rules.filter((rule) => watched[checklist]?.includes(rule));
    return rules.length === 0 ? [] : [[checklist, rules.length === entry.rules.length ? entry : { ...entry, rules }]];
  });
  const text = JSON.stringify(Object.fromEntries(kept));
  if (text !== JSON.stringify(all)) writeFileDurably(fileIn(dir), text);
}

/**
 * Results of the critical rules, tested anew when the host's stamp has changed since the last call (and once at first).
 * Null: there is no news. A scanner that gives no answer is no news; the next scan will say. Of a rule of several checklists the worst counts,
 * which may each want another value of it.
 * @throws when content is not to be had and no other checklist has news; that one is tried again next time
 */
export function createCriticalRules(deps: {
  readonly run: Run;
  readonly content: Pick<ContentCache, 'ensure'>;
  readonly dir: string;
  /** Differs when something has changed that rules look at (agent/watch/host-state.ts). */
  readonly stamp: () => string;
  /** The same of modes and owners where these rules look at them (agent/watch/modes-stamp.ts). */
  readonly modesStamp: (rules: readonly string[]) => Promise<string>;
  /** Something else is at work: an order tests for itself. */
  readonly busy: () => boolean;
}): () => Promise<RuleResults | null> {
  /** By checklist: what was tested, as of which state of the files, and what was found. */
  const tested = new Map<string, { readonly of: string; readonly results: RuleResults }>();
  return async () => {
    const all = Object.entries(read(deps.dir));
    for (const checklist of tested.keys()) if (!all.some(([known]) => known === checklist)) tested.delete(checklist);
    if (all.length === 0) return null;
    const stamp = deps.stamp();
    const now: { readonly checklist: string; readonly watched: Watched; readonly of: string }[] = [];
    for (const [checklist, watched] of all)
      now.push({ checklist, watched, of: JSON.stringify([stamp, await deps.modesStamp(watched.rules), watched]) });
    const due = now.filter(({ checklist, of }) => tested.get(checklist)?.of !== of);
    if (due.length === 0 || deps.busy()) return null;
    const missing: unknown[] = [];
    let news = false;
    for (const { checklist, watched, of } of due) {
      const found = await test(deps, watched).catch((error: unknown) => void missing.push(error));
      if (found === undefined || !found.ok) continue;
      tested.set(checklist, { of, results: found.results });
      news = true;
    }
    if (!news && missing.length > 0) throw missing[0];
    return news
      ? worstOf(
          all.map(([checklist, { rules, results }]) => only(rules, { ...results, ...tested.get(checklist)?.results })),
        )
      : null;
  };
}

async function test(
  deps: Pick<Parameters<typeof createCriticalRules>[0], 'run' | 'content'>,
  { scope, rules }: Watched,
) {
  const options = { bytesPerSecond: null };
  const tailoring = scope.tailoring === null ? null : await deps.content.ensure(scope.tailoring, options);
  const dataStream = await deps.content.ensure(scope.dataStream, options);
  return evaluate(deps.run, { dataStream, tailoring, profile: scope.profile, rules, arf: null });
}

const only = (rules: readonly string[], results: RuleResults): RuleResults =>
  Object.fromEntries(rules.flatMap((rule) => (results[rule] === undefined ? [] : [[rule, results[rule]]])));

const FROM_WORST: readonly RuleResult[] = ['fail', 'error', 'unknown', 'pass', 'fixed'];
const badness = (result: RuleResult): number => {
  const place = FROM_WORST.indexOf(result);
  return place === -1 ? 0 : FROM_WORST.length - place;
};

function worstOf(all: readonly RuleResults[]): RuleResults {
  const worst: Record<string, RuleResult> = {};
  for (const results of all)
    for (const [rule, result] of Object.entries(results)) {
      const other = worst[rule];
      if (other === undefined || badness(result) > badness(other)) worst[rule] = result;
    }
  return worst;
}
