import { CliError, EXIT } from '../exit-codes.js';
import type { Screen } from '../output/screen.js';

export const LIMIT_OPTION = ['--limit <n>', 'at most so many; 0: all', '100'] as const;

/** The first `limit` items of a list, and whether there were more. */
export async function firstOf<T>(
  items: AsyncIterable<T>,
  limitText: string | undefined,
  wanted: (item: T) => boolean = () => true,
): Promise<{ readonly items: T[]; readonly more: boolean }> {
  const limit = Number(limitText ?? 100);
  if (!Number.isSafeInteger(limit) || limit < 0)
    throw new CliError(EXIT.usage, '--limit: must be a whole number from 0');
  const found: T[] = [];
  for await (const item of items) {
    if (!wanted(item)) continue;
    if (limit > 0 && found.length === limit) return { items: found, more: true };
    found.push(item);
  }
  return { items: found, more: false };
}

export function noteMore(screen: Screen, more: boolean): void {
  if (more) screen.note('There are more: --limit 0 shows all.');
}
