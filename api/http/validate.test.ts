import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { fieldErrors, fieldPath } from './validate.js';

const schema = z.strictObject({
  name: z.string(),
  limit: z.union([z.strictObject({ count: z.number().min(0) }), z.strictObject({ percent: z.number().max(100) })]),
  list: z.array(z.strictObject({ kind: z.enum(['a', 'b']) })).optional(),
});
const found = (value: unknown) => {
  const result = schema.safeParse(value);
  return result.success ? [] : fieldErrors(result.error, 'body').map(({ field }) => field);
};

describe('fieldErrors', () => {
  test.each([
    ['nothing wrong', { name: 'x', limit: { count: 1 } }, []],
    ['a missing field', { limit: { count: 1 } }, ['name']],
    ['unknown fields, each', { name: 'x', limit: { count: 1 }, a: 1, b: 2 }, ['a', 'b']],
    ['a member of a union that was meant', { name: 'x', limit: { percent: 101 } }, ['limit.percent']],
    ['no member of a union', { name: 'x', limit: 3 }, ['limit']],
    ['deep inside a list', { name: 'x', limit: { count: 1 }, list: [{ kind: 'a' }, { kind: 'c' }] }, ['list[1].kind']],
    ['unknown inside a list', { name: 'x', limit: { count: 1 }, list: [{ kind: 'a', z: 1 }] }, ['list[0].z']],
    ['not an object at all', 7, ['']],
  ])('%s', (_, value, fields) => {
    expect(found(value)).toEqual(fields);
  });

  test('paths read like code', () => {
    expect(fieldPath(['rings', 0, 'select', 'labels'])).toBe('rings[0].select.labels');
    expect(fieldPath([2, 'x'])).toBe('[2].x');
  });
});
