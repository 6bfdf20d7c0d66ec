import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createDeb822Reader, parseDeb822, parseSingleStanza, type Stanza } from './deb822.js';

const plain = (stanzas: readonly Stanza[]) => stanzas.map((s) => ({ line: s.line, ...Object.fromEntries(s.fields) }));
const ok = (text: string, options = {}) => {
  const result = parseDeb822(text, options);
  if (!result.ok) throw new Error(`line ${result.error.line} ${result.error.reason}`);
  return plain(result.stanzas);
};

describe('parseDeb822', () => {
  test('reads paragraphs, folded and multi-line values', () => {
    expect(ok('Package: a\nVersion:1.0 \nDescription: short\n long\n .\n\n\n\nPACKAGE: b\n')).toEqual([
      { line: 1, package: 'a', version: '1.0', description: 'short\nlong\n.' },
      { line: 9, package: 'b' },
    ]);
    expect(ok('')).toEqual([]);
    expect(ok('\n\n')).toEqual([]);
    expect(ok('A: 1')).toEqual([{ line: 1, a: '1' }]);
    expect(ok('SHA256:\n abc 1 x\n')).toEqual([{ line: 1, sha256: '\nabc 1 x' }]);
  });

  test('comments are taken only where the format has them', () => {
    expect(ok('# c\nTypes: deb\n#URIs: x\n', { comments: true })).toEqual([{ line: 2, types: 'deb' }]);
    expect(parseDeb822('# c\nTypes: deb\n').ok).toBe(false);
  });

  test.each([
    ['a continuation without a field', 'A: 1\n\n x\n', 3, 'continues a field'],
    ['no colon', 'A: 1\nnonsense\n', 2, 'neither a field nor a continuation'],
    ['a blank in the name', 'A B: 1\n', 1, 'neither a field'],
    ['an empty name', ': 1\n', 1, 'neither a field'],
    ['a dash first', '-A: 1\n', 1, 'neither a field'],
    ['a repeated field, whatever its case', 'A: 1\na: 2\n', 2, 'repeats the field a'],
    ['a blank line that is not empty', 'A: 1\n \nB: 2\n', 2, 'blank but not empty'],
    ['a carriage return', 'A: 1\r\n', 1, 'control character'],
    ['a NUL', 'A: 1\n b\0c\n', 2, 'control character'],
    ['a last line cut short', 'A: 1\nVers', 2, 'neither a field'],
  ])('refuses %s with its line', (_, text, line, reason) => {
    const result = parseDeb822(text);
    expect(result).toMatchObject({ ok: false, error: { line } });
    expect(!result.ok && result.error.reason).toContain(reason);
  });

  test.each([
    ['maxStanzaLength', { maxStanzaLength: 20 }, `A: ${'x'.repeat(30)}`],
    ['maxStanzaLength over several lines', { maxStanzaLength: 20 }, 'A: 1\nB: 2\nC: 3\nD: 4\nE: 5\n'],
    ['maxStanzas', { maxStanzas: 1 }, 'A: 1\n\nA: 2\n'],
    ['maxFields', { maxFields: 2 }, 'A: 1\nB: 2\nC: 3\n'],
  ])('bounds %s', (_, limits, text) => {
    expect(parseDeb822(text, limits).ok).toBe(false);
  });

  test('a stream cut anywhere gives the same paragraphs', () => {
    const text = 'Package: a\nVersion: 1\nDescription: s\n l\n\nPackage: b\nX: y\n\n\nPackage: c';
    const whole = ok(text);
    fc.assert(
      fc.property(fc.array(fc.nat({ max: text.length }), { maxLength: 8 }), (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), text.length];
        const reader = createDeb822Reader();
        const results = at.slice(1).map((end, i) => reader.push(text.slice(at[i], end)));
        const all = [...results, reader.end()].flatMap((r) => (r.ok ? r.stanzas : []));
        expect(plain(all)).toEqual(whole);
      }),
    );
  });

  test('never throws, whatever it reads', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('A', ':', ' ', '\n', '#', '\t', '\r', 'é') }),
        (t) => parseDeb822(t) !== null,
      ),
    );
  });
});

test('parseSingleStanza wants exactly one', () => {
  expect(parseSingleStanza('A: 1\n').stanza?.fields.get('a')).toBe('1');
  expect(parseSingleStanza('\n')).toMatchObject({ ok: false, error: { reason: 'has no paragraph' } });
  expect(parseSingleStanza('A: 1\n\nB: 1\n')).toMatchObject({ ok: false, error: { line: 3 } });
});
