/** Reading untrusted selectors. Unknown fields are refused: a typo must not widen (or empty) what a change applies to. */
import { z } from 'zod';
import type { Selector } from './selector.js';
import { MAX_TEXT, parseSelectorText } from './selector-text.js';

const name = z.string().min(1).max(200);

export const labelsSchema = z.record(z.string().min(1).max(64), z.string().max(256));

/** Selector text; what is wrong with it is told by column. */
export const selectorTextSchema = z
  .string()
  .min(1)
  .max(MAX_TEXT)
  .superRefine((text, context) => {
    const parsed = parseSelectorText(text);
    if (!parsed.ok) context.addIssue({ code: 'custom', message: `column ${parsed.column}: ${parsed.reason}` });
  });

export const selectorSchema = z
  .strictObject({
    all: z.literal(true).optional(),
    ids: z.array(z.uuid()).min(1).max(10_000).optional(),
    names: z.array(name).min(1).max(10_000).optional(),
    groups: z.array(name).min(1).max(1_000).optional(),
    labels: labelsSchema.refine((labels) => Object.keys(labels).length > 0, 'must name at least one label').optional(),
    where: selectorTextSchema.optional(),
  })
  .refine((selector) => Object.values(selector).some((part) => part !== undefined), {
    message: 'selects nothing: give all, ids, names, groups, labels or where',
  }) satisfies z.ZodType<Selector>;
