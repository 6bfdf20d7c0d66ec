/**
 * Reads of what may be gone by the time we look (`/proc`, facts of a distribution) or may not be ours to see: no answer is an
 * answer. Not for files we depend on: those are read with `readTextIfThere`, which tells trouble from absence.
 */
import { readdirSync, readFileSync } from 'node:fs';

/** The file's text; `otherwise` when it can't be read, for whatever reason. */
export function readOr(path: string, otherwise?: string): string;
export function readOr(path: string, otherwise: null): string | null;
export function readOr(path: string, otherwise: string | null = ''): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return otherwise;
  }
}

/** The names in a folder; none when it can't be read, for whatever reason. */
export function listOrNone(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
