import { describe, expect, it } from '@jest/globals';
import { beyond, boundedRecord } from './bounded-json.js';

const BOUNDS = { depth: 4, values: 10, text: 50 };

function nested(levels: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < levels; i += 1) value = i % 2 === 0 ? [value] : { a: value };
  return value;
}

describe('bounds of free JSON', () => {
  it.each<[string, Record<string, unknown>, { path: (string | number)[]; reason: string } | null]>([
    ['nothing', {}, null],
    ['as deep as allowed', { a: { b: { c: { d: 1 } } } }, null],
    [
      'deeper',
      { a: { b: { c: { d: [1] } } } },
      { path: ['a', 'b', 'c', 'd', 0], reason: 'is nested more than 4 deep' },
    ],
    ['as many as allowed', { list: [1, 2, 3, 4, 5, 6, 7, 8, 9] }, null],
    [
      'more',
      { list: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] },
      expect.objectContaining({ reason: 'holds more than 10 values' }) as never,
    ],
    ['long text', { a: 'x'.repeat(50) }, { path: ['a'], reason: 'holds more than 50 characters' }],
    [
      'long names',
      { ['x'.repeat(30)]: { ['y'.repeat(30)]: 1 } },
      expect.objectContaining({ reason: 'holds more than 50 characters' }) as never,
    ],
  ])('%s', (_, value, expected) => {
    expect(beyond(value, BOUNDS)).toEqual(expected);
  });

  it('a million deep is refused, with a short path, and costs no stack', () => {
    const objection = beyond({ a: nested(1_000_000) }, BOUNDS);
    expect(objection?.reason).toBe('is nested more than 4 deep');
    expect(objection?.path.length).toBeLessThanOrEqual(8);
  });

  it('a schema names the place', () => {
    const parsed = boundedRecord(BOUNDS).safeParse({ a: { b: { c: { d: { e: 1 } } } } });
    expect(parsed.error?.issues).toMatchObject([{ path: ['a', 'b', 'c', 'd', 'e'] }]);
  });
});
