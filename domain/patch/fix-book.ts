import { compareDebVersionTexts } from '../content/index.js';
import type { EpochMs } from '../time.js';
import type { SourceFix } from './model.js';

/** What changelogs said, asked by span of versions. */
export interface FixBook {
  /** Whether the changelog of this version was read. */
  knows(source: string, version: string): boolean;
  releasedAt(source: string, version: string): EpochMs | null;
  /** What versions after `from`, up to and including `to`, fixed. For a new package (`from` null) `to` alone counts. */
  between(
    source: string,
    from: string | null,
    to: string,
  ): { readonly cves: string[]; readonly urgency: string | null };
}

const URGENCY = ['low', 'medium', 'high', 'emergency', 'critical'];

export function fixBook(fixes: ReadonlyMap<string, readonly SourceFix[]>): FixBook {
  const find = (source: string, version: string) => fixes.get(source)?.find((fix) => fix.version === version);
  const cache = new Map<string, { cves: string[]; urgency: string | null }>();
  return {
    knows: (source, version) => find(source, version) !== undefined,
    releasedAt: (source, version) => find(source, version)?.releasedAt ?? null,
    between(source, from, to) {
      const key = `${source} ${from ?? '-'} ${to}`;
      const known = cache.get(key);
      if (known !== undefined) return known;
      const chosen = (fixes.get(source) ?? []).filter((fix) => inSpan(fix.version, from, to));
      const urgencies = chosen.map((fix) => URGENCY.indexOf(fix.urgency ?? ''));
      const result = {
        cves: [...new Set(chosen.flatMap((fix) => fix.cves))].sort(),
        urgency: URGENCY[Math.max(-1, ...urgencies)] ?? null,
      };
      cache.set(key, result);
      return result;
    },
  };
}

/** A version that can't be compared is in no span: it must not lend its fixes to an update. */
function inSpan(version: string, from: string | null, to: string): boolean {
  if (from === null) return version === to;
  const above = compareDebVersionTexts(version, from);
  const below = compareDebVersionTexts(version, to);
  return above.ok && below.ok && above.order > 0 && below.order <= 0;
}
