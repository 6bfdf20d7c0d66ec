/**
 * The Release paragraph of an apt repository: which indexes exist, with which digest, and until when that may be believed.
 * After deb822 and the "Debian repository format". Pure: whoever calls has verified the signature first.
 */
import type { EpochMs } from '../time.js';
import { isSha256 } from './canonical.js';
import { parseSingleStanza } from './deb822.js';

export interface ReleaseFile {
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

export interface Release {
  readonly origin: string | null;
  readonly label: string | null;
  readonly suite: string | null;
  readonly codename: string | null;
  readonly architectures: readonly string[];
  readonly date: EpochMs;
  readonly validUntil: EpochMs | null;
  readonly acquireByHash: boolean;
  /** The arch-specific indexes already hold the packages of architecture `all`. */
  readonly allInArchIndexes: boolean;
  /** Path below the suite's folder → digest and size. */
  readonly files: ReadonlyMap<string, ReleaseFile>;
}

export type ReleaseRefusal =
  | 'malformed'
  | 'noDate'
  | 'noSha256'
  | 'suiteMismatch'
  | 'expired'
  | 'fromTheFuture'
  | 'olderThanKnown';
export type ReleaseResult = { ok: true; release: Release } | { ok: false; code: ReleaseRefusal; reason: string };

const refuse = (code: ReleaseRefusal, reason: string): ReleaseResult => ({ ok: false, code, reason });

/** Parses the verified text of a Release or InRelease file. */
export function parseRelease(text: string): ReleaseResult {
  const parsed = parseSingleStanza(text);
  if (!parsed.ok) return refuse('malformed', `Release: line ${parsed.error.line} ${parsed.error.reason}`);
  const fields = parsed.stanza?.fields ?? new Map<string, string>();
  const date = parseReleaseDate(fields.get('date') ?? '');
  if (date === null) return refuse('noDate', 'Release: Date is missing or not a date');
  const validText = fields.get('valid-until');
  const validUntil = validText === undefined ? null : parseReleaseDate(validText);
  if (validText !== undefined && validUntil === null) {
    return refuse('malformed', 'Release: Valid-Until is not a date');
  }
  const listing = fields.get('sha256');
  if (listing === undefined) return refuse('noSha256', 'Release: names no SHA256 digests');
  const files = new Map<string, ReleaseFile>();
  for (const line of listing.split('\n')) {
    if (line.trim() === '') continue;
    const [sha256 = '', sizeText = '', path = '', extra] = line.trim().split(/[ \t]+/);
    const size = Number(sizeText);
    const wrong = !isSha256(sha256) || !/^[0-9]+$/.test(sizeText) || !Number.isSafeInteger(size);
    if (wrong || extra !== undefined || !isSafeRelativePath(path)) {
      return refuse(
        'malformed',
        `Release: SHA256 line ${JSON.stringify(line.slice(0, 120))} is not digest, size, path`,
      );
    }
    const known = files.get(path);
    if (known !== undefined && (known.sha256 !== sha256 || known.size !== size)) {
      return refuse('malformed', `Release: SHA256 names ${path} twice, differently`);
    }
    files.set(path, { sha256, size });
  }
  return {
    ok: true,
    release: {
      origin: fields.get('origin') ?? null,
      label: fields.get('label') ?? null,
      suite: fields.get('suite') ?? null,
      codename: fields.get('codename') ?? null,
      architectures: words(fields.get('architectures')),
      date,
      validUntil,
      acquireByHash: fields.get('acquire-by-hash')?.toLowerCase() === 'yes',
      allInArchIndexes: words(fields.get('no-support-for-architecture-all')).includes('Packages'),
      files,
    },
  };
}

export interface ReleaseExpectation {
  /** As configured: must be the Release's Suite or Codename, so that no signed index stands in for another. */
  readonly suite: string;
  /** Further names the Release may go by; for repositories that call themselves something else. */
  readonly suiteAliases?: readonly string[];
  readonly now: EpochMs;
  /** For snapshots of the past, which have expired by nature. */
  readonly tolerateExpired: boolean;
  /** Date of the last Release accepted for this repository and suite; an older one is a replay. */
  readonly notBefore: EpochMs | null;
}

/** How far a signer's clock may be ahead of ours, in milliseconds. */
const CLOCK_TOLERANCE = 10 * 60_000;

/** Judges whether a verified Release may be used now, for what was configured. */
export function judgeRelease(release: Release, expected: ReleaseExpectation): ReleaseResult {
  const names = [release.suite, release.codename].filter((name) => name !== null);
  const wanted = [expected.suite, ...(expected.suiteAliases ?? [])].map((name) => name.replace(/\/+$/, ''));
  if (!names.some((name) => wanted.includes(name))) {
    const found = names.length === 0 ? 'neither Suite nor Codename' : names.join(' / ');
    return refuse('suiteMismatch', `Release: names ${found}, but ${expected.suite} was asked for`);
  }
  if (release.date > expected.now + CLOCK_TOLERANCE) {
    return refuse('fromTheFuture', `Release: Date ${iso(release.date)} is in the future`);
  }
  if (expected.notBefore !== null && release.date < expected.notBefore) {
    const dates = `Date ${iso(release.date)} is older than the one known, ${iso(expected.notBefore)}`;
    return refuse('olderThanKnown', `Release: ${dates}`);
  }
  if (!expected.tolerateExpired && release.validUntil !== null && release.validUntil <= expected.now) {
    return refuse('expired', `Release: Valid-Until ${iso(release.validUntil)} has passed`);
  }
  return { ok: true, release };
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const DATE = /^(?:[A-Z][a-z]{2}, +)?(\d{1,2}) ([A-Z][a-z]{2}) (\d{4}) (\d{1,2}):(\d{2}):(\d{2}) (UTC|GMT|Z|[+-]\d{4})$/;

/** `Sat, 28 Nov 2026 00:53:02 UTC` (RFC 5322 with named or numeric zone), or null. Also the dates of changelogs. */
export function parseReleaseDate(text: string): EpochMs | null {
  const match = DATE.exec(text.trim().replace(/ +/g, ' '));
  if (match === null) return null;
  const [day, year, hour, minute, second] = [1, 3, 4, 5, 6].map((i) => Number(match[i])) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const month = MONTHS.indexOf(match[2] as string);
  const zone = match[7] as string;
  if (month < 0 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60) return null;
  const sign = zone.startsWith('-') ? -1 : 1;
  const offset = /^[+-]/.test(zone) ? sign * (Number(zone.slice(1, 3)) * 60 + Number(zone.slice(3))) : 0;
  return Date.UTC(year, month, day, hour, minute, second) - offset * 60_000;
}

/** Whether a path out of an index stays below the folder it is relative to, and is nothing but a path. */
export function isSafeRelativePath(path: string): boolean {
  if (!/^[A-Za-z0-9][A-Za-z0-9._+~:%=@,()/-]*$/.test(path) || path.length > 1_024) return false;
  return !path.includes('://') && path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}

const words = (text: string | undefined): string[] => (text ?? '').split(/[ \t\n]+/).filter((word) => word !== '');
const iso = (at: EpochMs): string => new Date(at).toISOString();
