import type { WhyLimits } from './facts.js';

const LONGEST = 200;

/** Reads what an agent told of its owner's limits; it may have told anything. What has no usable form limits nothing here. */
export function readLimits(told: unknown): WhyLimits {
  const { hold, windows, malformed } = (typeof told === 'object' && told !== null ? told : {}) as Record<
    string,
    unknown
  >;
  return { hold: words(hold), windows: windowsInWords(windows), malformed: words(malformed) };
}

const words = (value: unknown): string | null =>
  typeof value === 'string' && value !== '' ? value.replace(/\p{Cc}+/gu, ' ').slice(0, LONGEST) : null;

/** "sat, sun 22:00–04:00; mon 01:00–02:00". */
function windowsInWords(value: unknown): string | null {
  if (!Array.isArray(value)) return null;
  const parts = value.slice(0, 10).flatMap((one: unknown) => {
    const { days, from, to } = (typeof one === 'object' && one !== null ? one : {}) as Record<string, unknown>;
    const named = Array.isArray(days) ? days.slice(0, 7).flatMap((day) => words(day) ?? []) : [];
    const [opens, closes] = [words(from), words(to)];
    return opens === null || closes === null ? [] : [`${named.join(', ')} ${opens}–${closes}`.trim()];
  });
  return parts.length === 0 ? 'never' : parts.join('; ');
}
