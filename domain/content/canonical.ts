import { createHash } from 'node:crypto';

/** What may be digested: no undefined, no fractions, nothing whose text form is a matter of taste. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/**
 * One text per value: keys sorted by UTF-16 code unit, no blanks (the subset of RFC 8785 without fractions).
 * @throws TypeError for undefined, functions, and numbers that are not safe integers: two programs may print them differently.
 */
export function canonicalJson(value: JsonValue): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) throw new TypeError(`${value} is not a safe integer and can't be digested`);
    return value === 0 ? '0' : String(value);
  }
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object') throw new TypeError(`a ${typeof value} can't be digested`);
  const entries = Object.entries(value as { [key: string]: JsonValue });
  entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item)}`).join(',')}}`;
}

/** Lower-case hex SHA-256 of texts (UTF-8) or bytes. */
export function sha256Hex(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

/** Lower-case hex SHA-256, as every digest in Ringmaster is written. */
export const isSha256 = (text: string): boolean => /^[0-9a-f]{64}$/.test(text);
