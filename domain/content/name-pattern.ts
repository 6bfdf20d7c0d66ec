/**
 * Patterns over package names: `*` stands for any run of characters, `?` for one; everything else is taken literally.
 *
 * Matched by hand, not as a regular expression: patterns also come from endpoints (their owners' lists), and a few dozen
 * stars would keep a backtracking engine busy for years. This takes at most pattern × name steps.
 */
export function matchesNamePattern(pattern: string, name: string): boolean {
  let p = 0;
  let n = 0;
  /** Where to go on when what follows the last `*` does not fit: behind the star, and one character further in the name. */
  let star = -1;
  let resume = 0;
  while (n < name.length) {
    if (pattern[p] === '*') {
      star = p;
      resume = n;
      p += 1;
    } else if (p < pattern.length && (pattern[p] === '?' || pattern[p] === name[n])) {
      p += 1;
      n += 1;
    } else if (star >= 0) {
      p = star + 1;
      resume += 1;
      n = resume;
    } else return false;
  }
  while (pattern[p] === '*') p += 1;
  return p === pattern.length;
}

/** As many as an agent reads from its owner's file (agent/limits). */
const MAX_PATTERNS = 1_000;
/** No real name is longer, and no list of an owner needs more stars. */
const MAX_LENGTH = 128;
const MAX_STARS = 8;
const EVERYTHING = '*';

/**
 * What an endpoint says its owner never wants touched, read for planning. A list nobody could mean (too long, or of
 * patterns that are) leaves the endpoint alone altogether: guessing which part of it counts would be worse.
 */
export function readOwnersPatterns(value: unknown): readonly string[] {
  if (value === null || value === undefined) return [];
  if (!Array.isArray(value) || value.length > MAX_PATTERNS || !value.every(isPlain)) return [EVERYTHING];
  return value;
}

function isPlain(item: unknown): item is string {
  return (
    typeof item === 'string' && item !== '' && item.length <= MAX_LENGTH && item.split('*').length - 1 <= MAX_STARS
  );
}
