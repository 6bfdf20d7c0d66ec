/** Reads Debian changelogs (Policy 4.4): what changed between the version installed and the one to come. */
import type { EpochMs } from '../time.js';
import { compareDebVersions, type DebVersion, parseDebVersion } from './deb-version.js';
import { parseReleaseDate } from './release.js';

/** From harmless to pressing; `critical` and `emergency` mean the same (Policy 5.6.17). */
export const URGENCIES = ['low', 'medium', 'high', 'emergency', 'critical'] as const;
export type Urgency = (typeof URGENCIES)[number];

export interface ChangelogEntry {
  readonly source: string;
  readonly version: string;
  readonly distributions: readonly string[];
  readonly urgency: Urgency | null;
  /** When the maintainer signed the entry off; null when the trailer has no readable date. */
  readonly date: EpochMs | null;
  /** The entry's own lines, without header and trailer. */
  readonly text: string;
  /** `CVE-YYYY-N…`, upper case, sorted, each once. */
  readonly cves: readonly string[];
}

export interface ChangelogChanges {
  /** Newest first. */
  readonly entries: readonly ChangelogEntry[];
  readonly cves: readonly string[];
  /** The highest of all entries. */
  readonly urgency: Urgency | null;
  /** The newest entry's date: when this version was made. */
  readonly releasedAt: EpochMs | null;
  /** Whether the changelog reaches back to `from`; when not, older entries (and their CVEs) may be missing. */
  readonly complete: boolean;
}

export type ChangelogResult = { ok: true; changes: ChangelogChanges } | { ok: false; reason: string };

const HEADER = /^([a-z0-9][a-z0-9+.-]*) \(([^()\s]+)\)((?:\s+[-+0-9a-z.]+)+);(.*)$/i;
const TRAILER = /^ -- .*>\s\s?(\S.*)$/;
const CVE = /\bCVE-(\d{4})-(\d{4,19})\b/gi;

/** Ids of CVEs named in a text: upper case, sorted, each once. */
export function cveIds(text: string): string[] {
  return [...new Set([...text.matchAll(CVE)].map((match) => `CVE-${match[1]}-${match[2]}`))].sort();
}

/**
 * Entries of a changelog, newest first. Lines before the first header are passed over; an entry without its trailer
 * (a text cut short) is kept, with no date.
 */
export function parseChangelog(text: string): ChangelogEntry[] {
  const entries: ChangelogEntry[] = [];
  let open: { header: RegExpExecArray; lines: string[] } | null = null;
  const close = (date: EpochMs | null): void => {
    if (open !== null) entries.push(entryOf(open.header, open.lines, date));
    open = null;
  };
  for (const line of text.split('\n')) {
    const header = HEADER.exec(line);
    if (header !== null) {
      close(null);
      open = { header, lines: [] };
      continue;
    }
    const trailer = TRAILER.exec(line);
    if (trailer !== null) close(parseReleaseDate(trailer[1] as string));
    else (open as { lines: string[] } | null)?.lines.push(line);
  }
  close(null);
  return entries;
}

/**
 * What changed after `from`, up to and including `to`. For a package that is new (`from` null) that is `to`'s own entry.
 * Refused when a version does not parse; entries of other versions that don't parse are passed over as incomplete.
 */
export function changesBetween(input: { text: string; from: string | null; to: string }): ChangelogResult {
  const to = parseDebVersion(input.to);
  if (!to.ok) return to;
  const from = input.from === null ? null : parseDebVersion(input.from);
  if (from !== null && !from.ok) return from;
  const lower = from === null ? null : from.version;
  const entries: ChangelogEntry[] = [];
  let complete = false;
  for (const entry of parseChangelog(input.text)) {
    const version = parseDebVersion(entry.version);
    if (!version.ok) continue;
    if (lower !== null && compareDebVersions(version.version, lower) <= 0) {
      complete = true;
      break;
    }
    if (isAfter(version.version, to.version)) continue;
    entries.push(entry);
    // Of a new package, all that matters is what it is now.
    if (lower === null) {
      complete = true;
      break;
    }
  }
  const urgencies = entries.map((entry) => entry.urgency).filter((urgency) => urgency !== null);
  const highest = Math.max(-1, ...urgencies.map((urgency) => URGENCIES.indexOf(urgency)));
  return {
    ok: true,
    changes: {
      entries,
      cves: [...new Set(entries.flatMap((entry) => entry.cves))].sort(),
      urgency: URGENCIES[highest] ?? null,
      releasedAt: entries[0]?.date ?? null,
      complete,
    },
  };
}

function isAfter(version: DebVersion, limit: DebVersion): boolean {
  return compareDebVersions(version, limit) > 0;
}

function entryOf(header: RegExpExecArray, lines: readonly string[], date: EpochMs | null): ChangelogEntry {
  const [, source = '', version = '', distributions = '', options = ''] = header;
  const urgency = /(?:^|,)\s*urgency\s*=\s*([a-z]+)/i.exec(options)?.[1]?.toLowerCase();
  const text = lines.join('\n').replace(/^\n+|\n+$/g, '');
  return {
    source,
    version,
    distributions: distributions.trim().split(/\s+/),
    urgency: URGENCIES.find((known) => known === urgency) ?? null,
    date,
    text,
    cves: cveIds(text),
  };
}
