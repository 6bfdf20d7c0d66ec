/** Reading untrusted hours: shape by zod, meaning by the same compiler the evaluation uses. Unknown fields are refused (a typo must not widen hours). */
import { z } from 'zod';
import { compileCadence, compileWindow } from './compile.js';
import type { Cadence, Hours, Parsed, Problem, WindowSpec } from './model.js';

const text = z.string().max(500);

export const recurringWindowSchema = z
  .strictObject({
    rrule: text,
    dtstart: text.optional(),
    plusDays: z.number().int().optional(),
    from: text,
    to: text.optional(),
    duration: text.optional(),
    zone: text,
  })
  .superRefine((window, context) => {
    const compiled = compileWindow(window);
    if (!compiled.ok) report(compiled.problems, context);
  });

export const windowSpecSchema = z
  .strictObject({ always: z.literal(true).optional(), windows: z.array(recurringWindowSchema).max(100).optional() })
  .transform((spec, context): WindowSpec => {
    if (spec.windows && spec.always === undefined) return { windows: spec.windows };
    if (spec.always && spec.windows === undefined) return { always: spec.always };
    context.addIssue({ code: 'custom', message: 'give either "windows" or "always": true' });
    return z.NEVER;
  });

export const hoursSchema = z.strictObject({
  communicate: windowSpecSchema,
  stage: windowSpecSchema,
  apply: windowSpecSchema,
});

export const cadenceSchema = z
  .strictObject({ rrule: text, dtstart: text.optional(), plusDays: z.number().int().optional(), at: text, zone: text })
  .superRefine((cadence, context) => {
    const compiled = compileCadence(cadence);
    if (!compiled.ok) report(compiled.problems, context);
  });

/** Hours of operation from untrusted input, or every problem with its path (`apply.windows[0].rrule`). Never throws. */
export const parseHours = (input: unknown): Parsed<Hours> => parse(hoursSchema, input);
export const parseWindowSpec = (input: unknown): Parsed<WindowSpec> => parse(windowSpecSchema, input);
export const parseCadence = (input: unknown): Parsed<Cadence> => parse(cadenceSchema, input);

function report(problems: readonly Problem[], context: z.RefinementCtx): void {
  for (const { path, reason } of problems) context.addIssue({ code: 'custom', path: [path], message: reason });
}

function parse<T>(schema: z.ZodType<T>, input: unknown): Parsed<T> {
  const result = schema.safeParse(input);
  if (result.success) return { ok: true, value: result.data };
  return {
    ok: false,
    problems: result.error.issues.map((issue) => ({ path: pathText(issue.path), reason: issue.message })),
  };
}

const pathText = (path: readonly PropertyKey[]): string =>
  path.map((part, i) => (typeof part === 'number' ? `[${part}]` : `${i > 0 ? '.' : ''}${String(part)}`)).join('');
