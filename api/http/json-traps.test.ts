import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { jsonTrap, MAX_DEPTH } from './json-traps.js';

const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

describe('jsonTrap', () => {
  test.each<[string, string, string | null]>([
    ['nothing', '{"a":{"a":1},"b":[{"a":1},{"a":2}]}', null],
    ['as deep as is allowed', nested(MAX_DEPTH), null],
    ['deeper', nested(MAX_DEPTH + 1), 'nested'],
    ['a name twice', '{"a":1,"b":2,"a":3}', 'twice'],
    ['a name twice, written differently', '{"a":1, "\\u0061" : 3}', 'twice'],
    ['a name twice further down', '[{"x":{"q":[],"q":1}}]', 'twice'],
    ['a prototype', '{"__proto__":{}}', 'possible'],
    ['a prototype in disguise', '{"x":{"__pro\\u0074o__":{}}}', 'possible'],
    ['the word as a value', '{"x":"__proto__"}', null],
    ['a text full of brackets and names', '{"x":"{\\"a\\":1,\\"a\\":2}[[[["}', null],
    ['no object', '"a"', null],
  ])('%s', (_, text, reason) => {
    expect(jsonTrap(text)?.reason ?? null).toEqual(reason === null ? null : expect.stringContaining(reason));
  });

  test('whatever JSON.stringify writes that is shallow has none', () => {
    const value = fc.jsonValue({ maxDepth: 10 }).filter((json) => !JSON.stringify(json).includes('__proto__'));
    fc.assert(
      fc.property(value, fc.constantFrom(0, 2), (json, indent) => {
        expect(jsonTrap(JSON.stringify(json, null, indent))).toBeNull();
      }),
    );
  });

  test('a megabyte of brackets or quotes is no work', () => {
    expect(jsonTrap(nested(500_000))?.reason).toContain('nested');
    expect(jsonTrap(`"${'\\"'.repeat(500_000)}"`)).toBeNull();
  });
});
