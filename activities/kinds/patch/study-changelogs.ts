import type { SourceFix } from '../../../db/catalogue/fixes.js';
import type { PatchParameters } from '../../../domain/change/patch-parameters.js';
import type { PackageUpdate } from '../../../domain/content/index.js';
import { compareDebVersionTexts, groupBySource, parseChangelog } from '../../../domain/content/index.js';
import type { ChangeKind } from '../change-kind.js';

/** A changelog may go back decades; what is older than the newest so many entries is no news to anybody. */
const MAX_ENTRIES = 200;

/**
 * Reads the changelogs of the sources in the plan that were not read before, and keeps which version fixed which CVEs.
 * A source whose files hold no readable changelog stays unknown: that is shown, not guessed.
 */
export const studyChangelogs: ChangeKind<PatchParameters>['study'] = async (context, { plan, readChangelog }) => {
  const { db, client } = context;
  const updates = distinct(plan.works.flatMap((work) => work.set.updates));
  const catalogue = await db.lookUpPackages(
    client,
    updates.map(({ name, arch, to }) => ({ name, arch, version: to })),
  );
  const bySource = groupBySource(updates);
  const known = await db.loadSourceFixes(client, [...bySource.keys()]);
  for (const [source, files] of bySource) {
    const wanted = new Set(
      files.flatMap((file) => catalogue.get(db.packageKey({ ...file, version: file.to }))?.sourceVersion ?? []),
    );
    for (const fix of known.get(source) ?? []) wanted.delete(fix.version);
    for (const file of files) {
      if (wanted.size === 0) break;
      const text = await readChangelog(file);
      if (text === null) continue;
      const fixes = fixesIn({ text, source, file });
      await db.recordSourceFixes(client, fixes);
      for (const fix of fixes) wanted.delete(fix.version);
    }
  }
};

function fixesIn(args: { text: string; source: string; file: PackageUpdate }): SourceFix[] {
  const { source, file } = args;
  return parseChangelog(args.text)
    .slice(0, MAX_ENTRIES)
    .filter((entry) => entry.source === source && !isOlderThan(entry.version, file.from))
    .map(({ version, cves, urgency, date }) => ({ source, version, cves, urgency, releasedAt: date }));
}

function isOlderThan(version: string, from: string | null): boolean {
  if (from === null) return false;
  const order = compareDebVersionTexts(version, from);
  return order.ok && order.order < 0;
}

const distinct = (updates: readonly PackageUpdate[]): PackageUpdate[] => [
  ...new Map(updates.map((update) => [update.sha256, update])).values(),
];
