/** Reading untrusted selectors. Unknown fields are refused: a typo must not widen (or empty) what a change applies to. */
import { z } from 'zod';
import type { Selector } from './selector.js';

const name = z.string().min(1).max(200);

export const labelsSchema = z.record(z.string().min(1).max(64), z.string().max(256));

export const selectorSchema = z
  .strictObject({
    all: z.literal(true).optional(),
    ids: z.array(z.uuid()).min(1).max(10_000).optional(),
    names: z.array(name).min(1).max(10_000).optional(),
    groups: z.array(name).min(1).max(1_000).optional(),
    labels: labelsSchema.refine((labels) => Object.keys(labels).length > 0, 'must name at least one label').optional(),
  })
  .refine((selector) => Object.values(selector).some((part) => part !== undefined), {
    message: 'selects nothing: give all, ids, names, groups or labels',
  }) satisfies z.ZodType<Selector>;
