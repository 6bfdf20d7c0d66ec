/** zod's findings as field errors with readable paths. */
import type { z } from 'zod';
import { type FieldError, invalid } from './problem.js';

/** `['rings', 0, 'name']` → `rings[0].name`. */
export function fieldPath(path: readonly PropertyKey[]): string {
  return path
    .map((part, i) => (typeof part === 'number' ? `[${part}]` : `${i === 0 ? '' : '.'}${String(part)}`))
    .join('');
}

/** Every issue by field; an unknown field is named itself, and a union tells what its closest member disliked. */
export function fieldErrors(error: z.ZodError, where: FieldError['in']): FieldError[] {
  return flatten(error.issues, []).map((found) => ({ ...found, in: where }));
}

/**
 * The value as the schema reads it.
 * @throws Problem 400 naming every wrong field
 */
export function validated<T>(schema: z.ZodType<T>, value: unknown, where: FieldError['in']): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw invalid(fieldErrors(result.error, where));
}

type Found = { field: string; reason: string };

function flatten(issues: readonly z.core.$ZodIssue[], base: readonly PropertyKey[]): Found[] {
  return issues.flatMap((issue) => {
    const path = [...base, ...issue.path];
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => ({ field: fieldPath([...path, key]), reason: 'unknown field' }));
    }
    if (issue.code === 'invalid_union' && issue.errors.length > 0) {
      // The member that got furthest is the one that was meant.
      const closest = [...issue.errors].sort((a, b) => depth(b) - depth(a) || a.length - b.length)[0] ?? [];
      return flatten(closest, path);
    }
    return [{ field: fieldPath(path), reason: issue.message }];
  });
}

function depth(issues: readonly z.core.$ZodIssue[]): number {
  return Math.max(0, ...issues.map((issue) => issue.path.length));
}
