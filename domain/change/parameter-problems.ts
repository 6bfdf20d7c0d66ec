/** What is wrong with a change's parameters, for every kind of change alike. */
import type { z } from 'zod';
import type { Parsed } from '../schedule/model.js';

/** Every problem with its path below `parameters`. */
export function parameterProblems(error: z.ZodError): Extract<Parsed<never>, { ok: false }> {
  return {
    ok: false,
    problems: error.issues.map((issue) => ({ path: ['parameters', ...issue.path].join('.'), reason: issue.message })),
  };
}
