import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Condition, TextPlace } from './selector-condition.js';
import { FLAG_FIELDS, LEVEL_FIELDS, LEVELS, TEXT_FIELDS } from './selector-condition.js';
import { MAX_DEPTH, MAX_TEXT, parseSelectorText, printCondition } from './selector-text.js';

const read = (text: string): Condition => {
  const parsed = parseSelectorText(text);
  if (!parsed.ok) throw new Error(`${text}: column ${parsed.column}: ${parsed.reason}`);
  return parsed.condition;
};

describe('reading', () => {
  test.each([
    ['label.site = "berlin"', 'label.site = "berlin"'],
    ['label.site=berlin', 'label.site = "berlin"'],
    ['label."a b" != x', 'not label."a b" = "x"'],
    ['name in (a,"b c")', 'name in ("a", "b c")'],
    ['name not in (a, b)', 'not name in ("a", "b")'],
    ['os ~ "debian 12*"', 'os ~ "debian 12*"'],
    ['os !~ debian*', 'not os ~ "debian*"'],
    ['group ERP or group in ("A", "B")', 'group "ERP" or (group "A" or group "B")'],
    ['sensitivity >= moderate', 'sensitivity >= moderate'],
    ['sensitivity = high', 'sensitivity = "high"'],
    ['lastSeen < 7d', 'lastSeen < 1w'],
    ['lastSeen >= 90m', 'lastSeen >= 90m'],
    ['simulated = false', 'not simulated'],
    ['scanOnly != false', 'scanOnly'],
    ['has label.site and not has function', 'has label.site and not has function'],
    ['all', 'all'],
    ['not not all', 'not not all'],
    ['name = 1', 'name = "1"'],
    ['name = "and"', 'name = "and"'],
    ['name = "say \\"hi\\" \\\\"', 'name = "say \\"hi\\" \\\\"'],
  ])('%s is %s', (text, printed) => {
    expect(printCondition(read(text))).toBe(printed);
  });

  test('"not" binds before "and", "and" before "or"', () => {
    const a: Condition = { op: 'flag', flag: 'simulated' };
    const b: Condition = { op: 'flag', flag: 'scanOnly' };
    expect(read('not simulated and scanOnly or all')).toEqual({
      op: 'or',
      parts: [{ op: 'and', parts: [{ op: 'not', part: a }, b] }, { op: 'all' }],
    });
    expect(read('simulated and (scanOnly or all)')).toEqual({
      op: 'and',
      parts: [a, { op: 'or', parts: [b, { op: 'all' }] }],
    });
  });

  test.each([
    ['', 1, 'expected a condition'],
    ['label.site = ', 14, 'expected a value after "="'],
    ['label.site = and', 14, 'expected a value after "=": "and" is one only in quotes'],
    ['label. = x', 8, 'expected the label’s key after "label."'],
    ['name', 5, 'expected =, !=, ~, !~, in or not in after "name"'],
    ['name < x', 6, '"name" has no order'],
    ['"web" = name', 1, 'expected a field, not a value'],
    ['nme = x', 1, 'expected a field: name, id, os'],
    ['name = x name = y', 10, 'expected "and", "or" or the end'],
    ['(name = x', 10, 'expected "and", "or" or ")"'],
    ['name = x)', 9, 'expected "and", "or" or the end'],
    ['name in x', 9, 'expected "(" after "in"'],
    ['name in ()', 10, 'expected a value after "("'],
    ['name in (a b)', 12, 'expected "," or ")"'],
    ['sensitivity > big', 15, 'expected low, moderate or high'],
    ['sensitivity = big', 15, 'expected low, moderate or high'],
    ['lastSeen = 7d', 10, 'expected <, <=, > or >='],
    ['lastSeen < soon', 12, 'expected a time such as'],
    ['lastSeen < 99999w', 12, 'expected at most 3660d'],
    ['simulated = maybe', 13, 'expected true or false'],
    ['name = "web', 8, 'this string has no closing quote'],
    ['name = "a\\n"', 10, 'nothing else follows a backslash'],
    [`name = ${'x'.repeat(257)}`, 8, 'a value has at most 256 characters'],
    ['name = x; drop', 9, 'did not expect ";" here'],
    ['name = "🙂" and ', 16, 'expected a condition'],
    ['and name = x', 1, 'expected a condition'],
  ])('%j is refused at column %i', (text, column, reason) => {
    expect(parseSelectorText(text)).toEqual({ ok: false, column, reason: expect.stringContaining(reason) });
  });

  test('length and depth are bounded', () => {
    expect(parseSelectorText(`name = "${'x'.repeat(MAX_TEXT)}"`)).toMatchObject({ ok: false, column: MAX_TEXT + 1 });
    expect(parseSelectorText(`${'('.repeat(MAX_DEPTH)}all${')'.repeat(MAX_DEPTH)}`)).toMatchObject({ ok: true });
    expect(parseSelectorText('('.repeat(MAX_TEXT))).toMatchObject({ ok: false, column: MAX_DEPTH + 1 });
    expect(parseSelectorText('not '.repeat(MAX_DEPTH + 1))).toMatchObject({
      ok: false,
      reason: `nested more than ${MAX_DEPTH} deep`,
    });
  });
});

const value = fc.string({ minLength: 0, maxLength: 12, unit: 'grapheme' });
const place: fc.Arbitrary<TextPlace> = fc.oneof(
  fc.constantFrom(...TEXT_FIELDS).map((field) => ({ field })),
  fc.string({ minLength: 1, maxLength: 20 }).map((key) => ({ field: 'label' as const, key })),
);
const than = fc.constantFrom('<', '<=', '>', '>=') as fc.Arbitrary<'<' | '<=' | '>' | '>='>;
const leaf: fc.Arbitrary<Condition> = fc.oneof(
  fc.constant<Condition>({ op: 'all' }),
  value.map((name): Condition => ({ op: 'group', name })),
  fc.constantFrom(...FLAG_FIELDS).map((flag): Condition => ({ op: 'flag', flag })),
  place.map((one): Condition => ({ op: 'has', place: one })),
  fc
    .tuple(place, fc.array(value, { minLength: 1, maxLength: 3 }))
    .map(([one, values]): Condition => ({ op: 'in', place: one, values })),
  fc.tuple(place, value).map(([one, pattern]): Condition => ({ op: 'like', place: one, pattern })),
  fc
    .tuple(fc.constantFrom(...LEVEL_FIELDS), than, fc.constantFrom(...LEVELS))
    .map(([field, sign, level]): Condition => ({ op: 'level', field, than: sign, level })),
  fc
    .tuple(than, fc.integer({ min: 0, max: 86_400 }))
    .map(([sign, seconds]): Condition => ({ op: 'lastSeen', than: sign, ageMs: seconds * 1_000 })),
);
const condition: fc.Arbitrary<Condition> = fc.letrec<{ tree: Condition }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaf,
    tie('tree').map((part): Condition => ({ op: 'not', part })),
    fc
      .tuple(fc.constantFrom('and' as const, 'or' as const), fc.array(tie('tree'), { minLength: 2, maxLength: 3 }))
      .map(([op, parts]): Condition => ({ op, parts })),
  ),
})).tree;

describe('properties', () => {
  test('what is printed reads as the same condition', () => {
    fc.assert(
      fc.property(condition, (tree) => {
        const text = printCondition(tree);
        fc.pre(text.length <= MAX_TEXT);
        expect(read(text)).toEqual(tree);
      }),
      { numRuns: 500 },
    );
  });

  test('never throws, always ends, and points into the text', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        '(',
        ')',
        ',',
        '=',
        '!=',
        '~',
        '<',
        '>=',
        '"',
        '\\',
        'and',
        'or',
        'not',
        'in',
        'has',
        'group',
        'all',
      ),
      fc.constantFrom('name', 'label.', 'label.site', 'sensitivity', 'high', 'lastSeen', '7d', 'simulated', ' '),
      fc.string({ maxLength: 4, unit: 'binary' }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), fc.constantFrom('', ' '), (pieces, gap) => {
        const text = pieces.join(gap);
        const parsed = parseSelectorText(text);
        if (parsed.ok) return;
        expect(parsed.column).toBeGreaterThanOrEqual(1);
        expect(parsed.column).toBeLessThanOrEqual([...text].length + 1);
      }),
      { numRuns: 2_000 },
    );
  });
});
