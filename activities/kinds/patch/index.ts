import type { PatchParameters } from '../../../domain/change/patch-parameters.js';
import { parsePatchParameters } from '../../../domain/change/patch-parameters.js';
import { compareDebVersionTexts } from '../../../domain/content/index.js';
import { MINUTE } from '../../../domain/time.js';
import type { ChangeKind, KindContext, KindPlan, UpdateFacts } from '../change-kind.js';
import { divideByExceptions } from './apply-exceptions.js';
import { fixBook } from './fix-book.js';
import { planGroups } from './plan-group.js';
import { studyChangelogs } from './study-changelogs.js';

/** Package updates: what each endpoint would upgrade itself, less what is triaged away, by verified digest. */
export const patchKind: ChangeKind<PatchParameters> = {
  name: 'patch',
  parse: parsePatchParameters,
  timing: ({ scanMaxAgeMs, discoverMinutes, confirmMinutes }) => ({
    scanMaxAgeMs: Math.max(scanMaxAgeMs, MINUTE),
    discoverMinutes,
    confirmMinutes,
  }),
  plan: planPatches,
  study: studyChangelogs,
  judge(update, installed) {
    if (installed === null) return 'is not installed';
    const order = compareDebVersionTexts(installed, update.to);
    if (!order.ok) return order.reason;
    // Newer than planned proves it as well: somebody went further.
    return order.order >= 0 ? null : `${installed} is installed, older than ${update.to}`;
  },
};

async function planPatches(
  context: KindContext<PatchParameters>,
  endpointIds: readonly string[],
  undoable: ReadonlySet<string> = new Set(),
): Promise<KindPlan> {
  const { db, client, parameters, now } = context;
  const groups = await db.loadWorkGroups(client, endpointIds);
  const versions = new Map<string, { name: string; arch: string; version: string }>();
  for (const { name, arch, installed, candidate } of groups.flatMap((group) => group.proposed)) {
    for (const version of installed === null ? [candidate] : [candidate, installed]) {
      versions.set(db.packageKey({ name, arch, version }), { name, arch, version });
    }
  }
  const catalogue = await db.lookUpPackages(client, [...versions.values()]);
  const sources = [...new Set([...catalogue.values()].map((found) => found.source))];
  const fixes = fixBook(await db.loadSourceFixes(client, sources));
  const known = (p: { name: string; arch: string; version: string }) => catalogue.get(db.packageKey(p));
  const divided = await divideByExceptions(context, groups);
  const works = divided.flatMap((part) => planGroups({ ...part, known, fixes, parameters, now }, undoable));

  const facts = new Map<string, UpdateFacts>();
  for (const update of works.flatMap((work) => work.set.updates)) {
    const key = db.packageKey({ ...update, version: update.to });
    const found = catalogue.get(key);
    if (found === undefined) continue;
    const fixed = fixes.between(update.source, update.from, found.sourceVersion);
    const released = fixes.releasedAt(update.source, found.sourceVersion);
    facts.set(key, {
      name: update.name,
      arch: update.arch,
      version: update.to,
      source: update.source,
      vendor: found.vendor,
      severity: fixed.urgency,
      cves: [...new Set([...(facts.get(key)?.cves ?? []), ...fixed.cves])].sort(),
      publishedAt: Math.min(found.firstSeen, released ?? found.firstSeen),
    });
  }
  return { works, facts: [...facts.values()] };
}
