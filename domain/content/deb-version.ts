/**
 * Debian version numbers: parse and compare, after Debian Policy 5.6.12 ("Version") and deb-version(7).
 * What does not parse is refused with a reason; it never compares as newer, older or equal.
 */

/** `[epoch:]upstream[-revision]`, taken apart. `text` is what was parsed. */
export interface DebVersion {
  readonly text: string;
  readonly epoch: number;
  readonly upstream: string;
  /** null when the version has no `-`; compares equal to `0` (policy). */
  readonly revision: string | null;
}

export type DebVersionResult = { ok: true; version: DebVersion } | { ok: false; reason: string };
export type DebOrder = -1 | 0 | 1;
export type DebOrderResult = { ok: true; order: DebOrder } | { ok: false; reason: string };

/** Epochs are kept in a C `int` by dpkg, which refuses bigger ones. */
const MAX_EPOCH = 2_147_483_647;
/** A version is part of a file name, so no real one comes near. */
const MAX_LENGTH = 512;

const refuse = (text: string, why: string): { ok: false; reason: string } => ({
  ok: false,
  reason: `version ${JSON.stringify(text.slice(0, 80))} ${why}`,
});

/**
 * Parses a version as strictly as dpkg builds and installs packages: no surrounding blanks, the upstream part begins with
 * a digit, and an epoch or revision that is announced (by `:` or `-`) is there.
 */
export function parseDebVersion(text: string): DebVersionResult {
  if (text === '') return refuse(text, 'is empty');
  if (text.length > MAX_LENGTH) return refuse(text, `is longer than ${MAX_LENGTH} characters`);
  const colon = text.indexOf(':');
  let epoch = 0;
  if (colon >= 0) {
    const epochText = text.slice(0, colon);
    if (!/^[0-9]+$/.test(epochText)) return refuse(text, 'has an epoch that is not a number');
    epoch = Number(epochText);
    if (epoch > MAX_EPOCH) return refuse(text, 'has an epoch that is too big');
  }
  const rest = text.slice(colon + 1);
  const dash = rest.lastIndexOf('-');
  const upstream = dash < 0 ? rest : rest.slice(0, dash);
  const revision = dash < 0 ? null : rest.slice(dash + 1);
  if (upstream === '') return refuse(text, 'has no upstream part');
  if (!/^[0-9]/.test(upstream)) return refuse(text, 'does not start with a digit');
  if (!/^[A-Za-z0-9.+\-~:]+$/.test(upstream)) return refuse(text, 'has an invalid character in its upstream part');
  if (revision === '') return refuse(text, 'has an empty revision');
  if (revision !== null && !/^[A-Za-z0-9.+~]+$/.test(revision)) {
    return refuse(text, 'has an invalid character in its revision');
  }
  return { ok: true, version: { text, epoch, upstream, revision } };
}

/** Orders two parsed versions: -1 when `a` is older, 0 when they are the same version, 1 when `a` is newer. */
export function compareDebVersions(a: DebVersion, b: DebVersion): DebOrder {
  if (a.epoch !== b.epoch) return a.epoch < b.epoch ? -1 : 1;
  return comparePart(a.upstream, b.upstream) || comparePart(a.revision ?? '', b.revision ?? '');
}

/** {@link compareDebVersions} on texts; refused when either does not parse. */
export function compareDebVersionTexts(a: string, b: string): DebOrderResult {
  const left = parseDebVersion(a);
  if (!left.ok) return left;
  const right = parseDebVersion(b);
  if (!right.ok) return right;
  return { ok: true, order: compareDebVersions(left.version, right.version) };
}

const isDigit = (code: number): boolean => code >= 48 && code <= 57;
const isLetter = (code: number): boolean => (code >= 65 && code <= 90) || (code >= 97 && code <= 122);

/** Weight of one character of a non-digit run: `~` sorts before the end of the part, letters before everything else. */
function weight(code: number): number {
  if (Number.isNaN(code) || isDigit(code)) return 0;
  if (code === 126) return -1;
  return isLetter(code) ? code : code + 256;
}

/** Alternates between non-digit runs (compared by weight) and numbers of any length (compared by value). */
function comparePart(a: string, b: string): DebOrder {
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    while ((i < a.length && !isDigit(a.charCodeAt(i))) || (j < b.length && !isDigit(b.charCodeAt(j)))) {
      const left = weight(a.charCodeAt(i));
      const right = weight(b.charCodeAt(j));
      if (left !== right) return left < right ? -1 : 1;
      i += 1;
      j += 1;
    }
    const [left, nextI] = digitsAt(a, i);
    const [right, nextJ] = digitsAt(b, j);
    if (left.length !== right.length) return left.length < right.length ? -1 : 1;
    if (left !== right) return left < right ? -1 : 1;
    i = nextI;
    j = nextJ;
  }
  return 0;
}

/** The number at `from` without its leading zeros, and where it ends. Kept as text: it may exceed any machine number. */
function digitsAt(text: string, from: number): [string, number] {
  let end = from;
  while (end < text.length && isDigit(text.charCodeAt(end))) end += 1;
  let start = from;
  while (start < end && text.charCodeAt(start) === 48) start += 1;
  return [text.slice(start, end), end];
}
