import { describe, expect, test } from '@jest/globals';
import { generateSigningKeyPem, KEY_SET_TYPE, signEnvelope, signingKeyFromPem } from '../../protocol/envelope.js';
import type { KeySetDocument } from '../../protocol/messages.js';
import { acceptKeySet, trustedKeys } from './key-set.js';

const root = signingKeyFromPem(generateSigningKeyPem());
const first = signingKeyFromPem(generateSigningKeyPem());
const second = signingKeyFromPem(generateSigningKeyPem());

function keySet(over: Partial<KeySetDocument> = {}): KeySetDocument {
  return {
    v: 1,
    version: 2,
    issuedAt: 0,
    expiresAt: 1_000,
    keys: [
      { keyid: first.keyid, publicKey: first.publicKey, notBefore: 0, notAfter: 200, revoked: false },
      { keyid: second.keyid, publicKey: second.publicKey, notBefore: 100, notAfter: 1_000, revoked: false },
    ],
    ...over,
  };
}
const accept = (over: Partial<Parameters<typeof acceptKeySet>[0]> = {}, document: unknown = keySet()) =>
  acceptKeySet({
    envelope: signEnvelope({ type: KEY_SET_TYPE, document, key: root }),
    rootPublicKey: root.publicKey,
    rootFingerprint: root.keyid,
    newestVersion: 0,
    ...over,
  });

describe('taking in a key set', () => {
  test('signed by the root, at least as new as the newest seen', () => {
    expect(accept()).toMatchObject({ ok: true, keySet: { version: 2 } });
    expect(accept({ newestVersion: 2 }).ok).toBe(true);
  });

  test.each([
    ['an older set', accept({ newestVersion: 3 }), /older than 3/],
    ['another root than the token names', accept({ rootFingerprint: first.keyid }), /not the one the join token names/],
    [
      'a signature by a key of the set itself',
      accept({ envelope: signEnvelope({ type: KEY_SET_TYPE, document: keySet(), key: first }) }),
      /no signature by a trusted key/,
    ],
    [
      'another kind of document',
      accept({ envelope: signEnvelope({ type: 'application/json', document: keySet(), key: root }) }),
      /expected/,
    ],
    ['a malformed set', accept({}, { ...keySet(), version: 0 }), /version is malformed/],
    [
      'a key under another name',
      accept(
        {},
        keySet({
          keys: [{ keyid: first.keyid, publicKey: second.publicKey, notBefore: 0, notAfter: 9, revoked: false }],
        }),
      ),
      /that it is not/,
    ],
  ])('%s is refused', (_, result, reason) => {
    expect(result).toMatchObject({ ok: false, reason: expect.stringMatching(reason) });
  });
});

describe('which keys count', () => {
  const names = (set: KeySetDocument, now: number) => [...trustedKeys(set, now).keys()];
  test('old and new overlap during a rotation, then only the new one counts', () => {
    expect(names(keySet(), 50)).toEqual([first.keyid]);
    expect(names(keySet(), 150)).toEqual([first.keyid, second.keyid]);
    expect(names(keySet(), 200)).toEqual([second.keyid]);
  });
  test('a revoked key never counts, an expired set trusts nobody', () => {
    const revoked = keySet();
    expect(
      names({ ...revoked, keys: revoked.keys.map((k) => ({ ...k, revoked: k.keyid === first.keyid })) }, 150),
    ).toEqual([second.keyid]);
    expect(names(keySet(), 1_000)).toEqual([]);
  });
});
