import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { canonicalJson, checkNext, entryHash, GENESIS, startCheck } from './chain.js';

const entry = fc.record({
  actor: fc.string(),
  action: fc.string(),
  subject: fc.string(),
  detail: fc.dictionary(fc.string(), fc.jsonValue()),
});

function chain(contents: readonly { actor: string; action: string; subject: string; detail: unknown }[]) {
  let previousHash = GENESIS;
  return contents.map((content, index) => {
    const body = { ...content, sealed: index + 1, at: '2026-11-23T00:00:00.000000Z' };
    const sealed = { ...body, previousHash, hash: entryHash(body, previousHash) };
    previousHash = sealed.hash;
    return sealed;
  });
}

describe('audit chain', () => {
  it('accepts what it made', () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 20 }), (contents) => {
        const result = chain(contents).reduce(checkNext, startCheck());
        expect(result).toMatchObject({ ok: true, entries: contents.length });
      }),
    );
  });

  it('names the first entry that was changed, removed or moved', () => {
    const entries = chain(
      ['a', 'b', 'c', 'd'].map((actor) => ({ actor, action: 'x', subject: 's', detail: { n: 1 } })),
    );
    const [a, b, c, d] = entries as [
      (typeof entries)[0],
      (typeof entries)[0],
      (typeof entries)[0],
      (typeof entries)[0],
    ];
    expect([a, { ...b, actor: 'mallory' }, c, d].reduce(checkNext, startCheck())).toMatchObject({ ok: false, at: 2 });
    expect([a, b, d].reduce(checkNext, startCheck())).toMatchObject({ ok: false, at: 3, reason: 'entry 3 is missing' });
    const forged = { ...c, actor: 'mallory' };
    expect([a, b, { ...forged, hash: entryHash(forged, b.hash) }, d].reduce(checkNext, startCheck())).toMatchObject({
      ok: false,
      at: 4,
    });
  });

  it('writes the same JSON whatever the order of keys', () => {
    expect(canonicalJson({ b: [1, { d: 1, c: null }], a: 'x' })).toBe('{"a":"x","b":[1,{"c":null,"d":1}]}');
  });
});
