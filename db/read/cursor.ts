/** Pages by the last row's sort key, so that rows that come or go do not shift the ones after. */
export interface Page<T> {
  readonly items: readonly T[];
  /** For the next page; null on the last. */
  readonly next: string | null;
}

export function encodeCursor(parts: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(parts), 'utf8').toString('base64url');
}

/** The parts of a cursor of ours with that many parts of these types; null for anything else. */
export function decodeCursor(text: string, types: readonly ('string' | 'number')[]): (string | number)[] | null {
  try {
    const parts: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
    const fits =
      Array.isArray(parts) && parts.length === types.length && parts.every((part, i) => typeof part === types[i]);
    return fits ? (parts as (string | number)[]) : null;
  } catch {
    return null;
  }
}

/** One page out of `limit + 1` rows. */
export function pageOf<T>(rows: readonly T[], limit: number, keyOf: (row: T) => readonly (string | number)[]): Page<T> {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return { items, next: rows.length > limit && last !== undefined ? encodeCursor(keyOf(last)) : null };
}
