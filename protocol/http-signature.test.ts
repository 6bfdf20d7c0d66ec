import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  contentDigest,
  MAX_SIGNATURE_SKEW_MS,
  readSignature,
  type SignableRequest,
  signatureBase,
  signRequest,
  verifyRequest,
} from './http-signature.js';

const keys = generateKeyPairSync('ed25519');
const now = 1_800_000_000_000;
const created = now / 1_000;
const body = Buffer.from('{"protocol":1}');
const post: SignableRequest = {
  method: 'POST',
  path: '/agent/v1/poll',
  query: 'wait=1',
  headers: { 'content-type': 'application/json' },
  body,
};

function signed(request: SignableRequest, at = created): SignableRequest {
  const added = signRequest({ request, keyid: 'k', privateKey: keys.privateKey, created: at });
  return { ...request, headers: { ...request.headers, ...added } };
}

function check(request: SignableRequest, publicKey = keys.publicKey) {
  const read = readSignature(request.headers);
  if (!read.ok) return read;
  return verifyRequest({ request, signature: read.signature, publicKey, now });
}

describe('the published vectors', () => {
  // RFC 9421 B.2.6 with the key of B.1.4; Ed25519 is deterministic, so signing must give the same bytes.
  const vector: SignableRequest = {
    method: 'POST',
    path: '/foo',
    query: null,
    headers: {
      host: 'example.com',
      date: 'Tue, 20 Apr 2021 02:07:55 GMT',
      'content-type': 'application/json',
      'content-length': '18',
      'signature-input':
        'sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"',
      signature: 'sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:',
    },
    body: null,
  };
  const publicKey = createPublicKey(
    '-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n-----END PUBLIC KEY-----\n',
  );
  const privateKey = createPrivateKey(
    '-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----\n',
  );

  test('B.2.6 is read, has the signature base printed there, and verifies', async () => {
    const read = readSignature(vector.headers, 'sig-b26');
    if (!read.ok) throw new Error(read.reason);
    const base = signatureBase({
      request: vector,
      components: read.signature.components,
      params: read.signature.params,
    });
    expect(base).toEqual({
      ok: true,
      base: [
        '"date": Tue, 20 Apr 2021 02:07:55 GMT',
        '"@method": POST',
        '"@path": /foo',
        '"@authority": example.com',
        '"content-type": application/json',
        '"content-length": 18',
        '"@signature-params": ("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"',
      ].join('\n'),
    });
    const at = 1_618_884_473_000;
    expect(verifyRequest({ request: vector, signature: read.signature, publicKey, now: at })).toEqual({ ok: true });
    const { sign } = await import('node:crypto');
    const again = sign(null, Buffer.from(base.ok ? base.base : ''), privateKey).toString('base64');
    expect(vector.headers.signature).toBe(`sig-b26=:${again}:`);
  });

  test('RFC 9530 digests of its own examples', () => {
    expect(contentDigest(Buffer.from('{"hello": "world"}\n'))).toBe(
      'sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:',
    );
    expect(contentDigest(Buffer.from('{"hello": "world"}'))).toBe(
      'sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:',
    );
  });
});

describe('what an agent signs', () => {
  test('verifies, with and without a body and a query', () => {
    expect(check(signed(post))).toEqual({ ok: true });
    expect(check(signed({ ...post, query: null }))).toEqual({ ok: true });
    expect(check(signed({ method: 'GET', path: '/agent/v1/key-set', query: null, headers: {}, body: null }))).toEqual({
      ok: true,
    });
  });

  test('covers everything of the request', () => {
    expect(signed(post).headers['signature-input']).toBe(
      `sig=("@method" "@path" "@query" "content-digest" "content-type");created=${created};keyid="k";alg="ed25519"`,
    );
  });

  const tampered: [string, (r: SignableRequest) => SignableRequest, string][] = [
    ['another method', (r) => ({ ...r, method: 'PUT' }), 'signature'],
    ['another path', (r) => ({ ...r, path: '/agent/v1/inventory' }), 'signature'],
    ['another query', (r) => ({ ...r, query: 'wait=2' }), 'signature'],
    ['another body', (r) => ({ ...r, body: Buffer.from('{"protocol":2}') }), 'digest'],
    ['no body', (r) => ({ ...r, body: null }), 'digest'],
    ['another content type', (r) => ({ ...r, headers: { ...r.headers, 'content-type': 'text/plain' } }), 'signature'],
    [
      'another body with its own digest',
      (r) => ({
        ...r,
        body: Buffer.from('x'),
        headers: { ...r.headers, 'content-digest': contentDigest(Buffer.from('x')) },
      }),
      'signature',
    ],
    ['an added query', (r) => ({ ...r, query: r.query === null ? 'a' : null }), 'signature'],
  ];
  test.each(tampered)('%s is refused', (_, change, fault) => {
    expect(check(change(signed(post)))).toMatchObject({ ok: false, fault });
  });

  test('a body or query added to a request signed without is not covered', () => {
    const get = signed({ method: 'GET', path: '/agent/v1/key-set', query: null, headers: {}, body: null });
    expect(check({ ...get, query: 'x=1' })).toMatchObject({ ok: false, fault: 'coverage' });
    const headers = { ...get.headers, 'content-type': 'a/b', 'content-digest': contentDigest(body) };
    expect(check({ ...get, headers, body })).toMatchObject({ ok: false, fault: 'coverage' });
  });

  test('another key is refused, and hears nothing about the clock', () => {
    expect(check(signed(post, created - 86_400), generateKeyPairSync('ed25519').publicKey)).toMatchObject({
      fault: 'signature',
    });
  });

  test.each([
    [MAX_SIGNATURE_SKEW_MS / 1_000, true],
    [MAX_SIGNATURE_SKEW_MS / 1_000 + 1, false],
  ])('created %i s away, either way: accepted is %s', (seconds, ok) => {
    expect(check(signed(post, created - seconds)).ok).toBe(ok);
    expect(check(signed(post, created + seconds)).ok).toBe(ok);
  });
});

describe('hostile headers', () => {
  const good = signed(post).headers;
  const input = good['signature-input'] as string;
  test.each([
    ['missing', { ...good, 'signature-input': undefined }],
    ['twice', { ...good, signature: ['a', 'b'] }],
    ['another label', { ...good, 'signature-input': input.replace('sig=', 'other=') }],
    ['an unknown parameter', { ...good, 'signature-input': `${input};expires=1` }],
    ['a repeated parameter', { ...good, 'signature-input': `${input};created=1` }],
    ['another algorithm', { ...good, 'signature-input': input.replace('ed25519', 'hmac-sha256') }],
    ['no keyid', { ...good, 'signature-input': input.replace(';keyid="k"', '') }],
    ['a second signature', { ...good, 'signature-input': `${input}, ${input}` }],
    ['a short signature', { ...good, signature: 'sig=:AAAA:' }],
  ])('%s', (_, headers) => {
    expect(readSignature(headers).ok).toBe(false);
  });

  test('any text is read without an exception', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        expect(readSignature({ 'signature-input': a, signature: b }).ok).toBe(false);
      }),
    );
  });

  test('a component covered twice is refused', () => {
    expect(signatureBase({ request: post, components: ['@path', '@path'], params: '' }).ok).toBe(false);
  });
});
