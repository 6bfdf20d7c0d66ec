import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { matchesNamePattern, readOwnersPatterns } from './name-pattern.js';

describe('matchesNamePattern', () => {
  test.each([
    ['curl', 'curl', true],
    ['curl', 'curl3', false],
    ['libc?', 'libc6', true],
    ['libc?', 'libc', false],
    ['linux-image-*', 'linux-image-6.1.0-9-amd64', true],
    ['*-dev', 'libssl-dev', true],
    ['*-dev', 'libssl-dev-doc', false],
    ['a*b*c', 'a-b-b-c', true],
    ['a**', 'a', true],
    ['*', '', true],
    ['', '', true],
    ['', 'a', false],
    ['g++', 'g++', true],
    ['g.+', 'gcc', false],
    ['[ab]', 'a', false],
  ])('%s on %s: %s', (pattern, name, matches) => expect(matchesNamePattern(pattern, name)).toBe(matches));

  test('does what the same pattern says as a regular expression', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', '+', '.'), maxLength: 8 });
    const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '+', '.', '*', '?'), maxLength: 7 });
    fc.assert(
      fc.property(pattern, letters, (glob, name) => {
        const source = glob.replace(/[.+]/g, '\\$&').replaceAll('*', '.*').replaceAll('?', '.');
        expect(matchesNamePattern(glob, name)).toBe(new RegExp(`^${source}$`).test(name));
      }),
      { numRuns: 2_000 },
    );
  });

  test('a pattern made to keep a matcher busy does not', () => {
    // As a regular expression this takes longer than anybody waits: the test would not come back.
    expect(matchesNamePattern(`${'*a'.repeat(60)}b`, 'a'.repeat(128))).toBe(false);
  });
});

describe('readOwnersPatterns', () => {
  test.each<[string, unknown, readonly string[]]>([
    ['nothing said', null, []],
    ['never told', undefined, []],
    ['an ordinary list', ['curl', 'linux-*'], ['curl', 'linux-*']],
    ['no list', 'curl', ['*']],
    ['something else in it', ['curl', 7], ['*']],
    ['an empty pattern', [''], ['*']],
    ['too many', Array(1_001).fill('curl'), ['*']],
    ['too long', ['a'.repeat(129)], ['*']],
    ['made of stars', ['*a'.repeat(9)], ['*']],
  ])('%s', (_, value, patterns) => expect(readOwnersPatterns(value)).toEqual(patterns));
});
