/** The audit log as a hash chain: each entry's hash covers its content and the hash before it, so an edit shows. */
import { createHash } from 'node:crypto';

export interface ChainedEntry {
  /** Place in the chain, from 1. */
  readonly sealed: number;
  /** ISO 8601 with microseconds, UTC, as PostgreSQL keeps it. */
  readonly at: string;
  readonly actor: string;
  readonly action: string;
  readonly subject: string;
  readonly detail: unknown;
}

export const GENESIS = '0'.repeat(64);

/** JSON with object keys sorted at every depth: the same value always gives the same text. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value as Record<string, unknown>)
      .filter(([, v]) => v !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([k, v]) => `${JSON.stringify(k)}:${canonicalJson(v)}`);
    return `{${entries.join(',')}}`;
  }
  return JSON.stringify(value) ?? 'null';
}

/** SHA-256 (hex) of an entry after `previousHash`. */
export function entryHash(entry: ChainedEntry, previousHash: string): string {
  const content = canonicalJson([entry.sealed, entry.at, entry.actor, entry.action, entry.subject, entry.detail]);
  return createHash('sha256').update(previousHash).update('\n').update(content).digest('hex');
}

export type ChainCheck =
  | { readonly ok: true; readonly entries: number; readonly head: string }
  | { readonly ok: false; readonly at: number; readonly reason: string };

/** Folds entries in chain order into a running check; start with {@link startCheck}, feed pages of any size. */
export function checkNext(
  check: ChainCheck,
  entry: ChainedEntry & { readonly previousHash: string; readonly hash: string },
): ChainCheck {
  if (!check.ok) return check;
  if (entry.sealed !== check.entries + 1) {
    return { ok: false, at: check.entries + 1, reason: `entry ${check.entries + 1} is missing` };
  }
  if (entry.previousHash !== check.head) {
    return { ok: false, at: entry.sealed, reason: 'does not follow the entry before it' };
  }
  if (entryHash(entry, check.head) !== entry.hash) {
    return { ok: false, at: entry.sealed, reason: 'content does not match its hash' };
  }
  return { ok: true, entries: entry.sealed, head: entry.hash };
}

export function startCheck(): ChainCheck {
  return { ok: true, entries: 0, head: GENESIS };
}
