import type { UnknownId } from '../../domain/zero-day/targets.js';
import { Problem } from '../http/problem.js';

/** Ids that lead to no package, each by its field and with the reason: never an empty success. */
export function unknownIds(unknown: readonly UnknownId[]): Problem {
  return new Problem({
    status: 422,
    type: 'unknown-ids',
    title: 'Some ids lead to no package',
    detail: unknown.map((one) => one.reason).join('; '),
    errors: unknown.map(({ field, reason }) => ({ field, in: 'body', reason })),
  });
}
