import { z } from 'zod';
import { decodeCursor } from '../../db/read/cursor.js';
import { invalidField } from './problem.js';

/** Query members of every list. */
export const paging = {
  limit: z.coerce.number().int().min(1).max(500).default(50),
  cursor: z.string().max(1_000).optional(),
};

export const idParams = z.strictObject({ id: z.uuid() });
export const nameParams = z.strictObject({ name: z.string().trim().min(1).max(200) });

/** What a list answers; `next` is the cursor of the next page, null on the last. */
export const pageSchema = (item: z.ZodType) => z.object({ items: z.array(item), next: z.string().nullable() });

/** @throws Problem 400 for a cursor that is not one of ours */
export function cursorParts(
  cursor: string | undefined,
  types: readonly ('string' | 'number')[],
): (string | number)[] | null {
  if (cursor === undefined) return null;
  const parts = decodeCursor(cursor, types);
  if (parts === null) throw invalidField('cursor', 'not a cursor of this list', 'query');
  return parts;
}
