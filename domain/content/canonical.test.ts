import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { canonicalJson, type JsonValue, sha256Hex } from './canonical.js';
import { merkleRoot } from './merkle.js';

describe('canonicalJson', () => {
  test('one text, whatever the order of keys', () => {
    expect(canonicalJson({ b: [1, 'x"', null, true], a: { d: -0, c: {} } })).toBe(
      '{"a":{"c":{},"d":0},"b":[1,"x\\"",null,true]}',
    );
    expect(canonicalJson({ b: 1, a: 2 })).toBe(canonicalJson({ a: 2, b: 1 }));
  });

  test('reads back as what it was', () => {
    const json = fc.jsonValue({ noUnicodeString: false }).filter((v) => !JSON.stringify(v).match(/\d[.e]\d|\d{16}|e-/));
    fc.assert(
      fc.property(json, (value) =>
        expect(JSON.parse(canonicalJson(value as JsonValue))).toEqual(JSON.parse(JSON.stringify(value))),
      ),
    );
  });

  test.each([[0.5], [Number.NaN], [2 ** 53], [undefined], [() => 1], [[undefined]]])('refuses %p', (value) => {
    expect(() => canonicalJson(value as JsonValue)).toThrow(TypeError);
  });
});

describe('merkleRoot', () => {
  // RFC 6962's empty tree, and a hand-made tree of three.
  test('of none, one and three', () => {
    const leaf = (text: string) => Buffer.from(sha256Hex(Uint8Array.of(0), text), 'hex');
    const node = (a: Uint8Array, b: Uint8Array) => Buffer.from(sha256Hex(Uint8Array.of(1), a, b), 'hex');
    expect(merkleRoot([])).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
    expect(merkleRoot(['a'])).toBe(leaf('a').toString('hex'));
    expect(merkleRoot(['a', 'b', 'c'])).toBe(node(node(leaf('a'), leaf('b')), leaf('c')).toString('hex'));
  });

  test('a doubled last leaf and a changed order are other trees', () => {
    expect(merkleRoot(['a', 'b', 'c', 'c'])).not.toBe(merkleRoot(['a', 'b', 'c']));
    expect(merkleRoot(['b', 'a'])).not.toBe(merkleRoot(['a', 'b']));
  });
});
