import { describe, expect, it, test } from '@jest/globals';
import fc from 'fast-check';
import { readDecision } from './approval-comment.js';
import { textOfHtml } from './html-text.js';
import { pauseOfAction, pauseOfSystem } from './retry.js';
import {
  decryptSecret,
  encryptSecret,
  generateSealingPem,
  openSecret,
  sealingKeyFromPem,
  sealSecret,
  UnreadableSecret,
} from './sealed-secret.js';
import { newWebhookSecret, REPLAY_WINDOW_MS, signWebhook, verifyWebhook, webhookKey } from './standard-webhooks.js';
import { isTicketKey } from './ticket.js';
import { changeText, happenedText } from './words.js';

const DIGEST = 'ab'.repeat(32);

describe('readDecision', () => {
  const decided = (decision: string, comment = '', code: string | null = null) => ({
    kind: 'decision',
    written: { decision, planDigest: DIGEST, code, comment },
  });
  test.each([
    ['plain', `approve ${DIGEST}`, decided('approve')],
    ['past tense, capitals, colon', `Approved: ${DIGEST.toUpperCase()}`, decided('approve')],
    ['after other lines', `Hello,\n\n  reject ${DIGEST} too risky\n`, decided('reject', 'too risky')],
    ['with a code', `approve ${DIGEST} 7kq2m-xh4pd fine`, decided('approve', 'fine', '7KQ2M-XH4PD')],
    ['the same twice', `approve ${DIGEST}\napprove ${DIGEST}`, decided('approve')],
    ['nothing', 'I approve of this', { kind: 'none' }],
    ['quoted', `> approve ${DIGEST}\nno`, { kind: 'none' }],
    ['below a signature', `thanks\n--\napprove ${DIGEST}`, { kind: 'none' }],
    ['below what an answer quotes', `why?\nOn Monday Alice wrote:\napprove ${DIGEST}`, { kind: 'none' }],
    ['a word that only begins so', `approver ${DIGEST}`, { kind: 'none' }],
  ])('%s', (_, text, result) => {
    expect(readDecision(text)).toEqual(result);
  });
  test.each([
    ['no digest', 'approve, thanks'],
    ['part of a digest', `approve ${DIGEST.slice(0, 40)}`],
    ['a longer one', `approve ${DIGEST}ff`],
    ['both', `approve ${DIGEST}\nreject ${DIGEST}`],
    ['two plans', `approve ${DIGEST}\napprove ${'cd'.repeat(32)}`],
  ])('%s is unclear', (_, text) => {
    expect(readDecision(text).kind).toBe('unclear');
  });
  it('reads nothing out of other text', () => {
    fc.assert(fc.property(fc.string(), (text) => readDecision(text).kind !== 'decision'));
  });
});

describe('textOfHtml', () => {
  test.each([
    ['<p>approve <b>x</b></p><p>more</p>', 'approve x\nmore\n'],
    ['a<br>b<br/>c', 'a\nb\nc'],
    ['<blockquote>approve x</blockquote>no', '\nno'],
    ['<blockquote>approve x', '\n'],
    ['<style>p{}</style><!-- approve -->&lt;&#97;&#x62;&amp;&unknown;', '<ab&&unknown;'],
  ])('%s', (html, text) => {
    expect(textOfHtml(html)).toBe(text);
  });
});

describe('Standard Webhooks', () => {
  const secret = newWebhookSecret();
  const now = 1_700_000_000_000;
  const headers = signWebhook({ secret, id: 'msg_1', body: '{}', now });
  it('signs as the specification’s example does', () => {
    // https://github.com/standard-webhooks/standard-webhooks: the message of its reference tests.
    const signed = signWebhook({
      secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
      id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      body: '{"test": 2432232314}',
      now: 1_614_265_330_000,
    });
    expect(signed.signature).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=');
  });
  it('holds for the same message, with any of the secrets, beside other signatures', () => {
    const more = { ...headers, signature: `v1a,x v1,AAAA ${headers.signature}` };
    expect(verifyWebhook({ secrets: [newWebhookSecret(), secret], headers: more, body: '{}', now })).toEqual({
      ok: true,
    });
  });
  test.each([
    ['another body', { body: '{ }' }],
    ['another secret', { secrets: [newWebhookSecret()] }],
    ['no secret', { secrets: [] }],
    ['another id', { headers: { ...headers, id: 'msg_2' } }],
    ['another time', { headers: { ...headers, timestamp: String(Number(headers.timestamp) + 1) } }],
    ['too late', { now: now + REPLAY_WINDOW_MS + 1_000 }],
    ['too early', { now: now - REPLAY_WINDOW_MS - 1_000 }],
    ['an id that would move the dots', { headers: { ...headers, id: 'msg.1' } }],
    ['no signature', { headers: { ...headers, signature: '' } }],
  ])('%s: not', (_, change) => {
    expect(verifyWebhook({ secrets: [secret], headers, body: '{}', now, ...change }).ok).toBe(false);
  });
  test.each(['', 'whsec_', 'whsec_c2hvcnQ=', 'password', `whsec_${Buffer.alloc(65).toString('base64')}`])(
    '%s is no secret',
    (text) => {
      expect(webhookKey(text)).toBeNull();
    },
  );
});

describe('secrets in rows', () => {
  const key = sealingKeyFromPem(generateSealingPem());
  const subject = 'ticket-system/1';
  it('come out for the worker’s key and the same subject alone', () => {
    fc.assert(
      fc.property(fc.string(), (secret) => {
        const sealed = sealSecret({ publicKey: key.publicKey, subject, secret });
        return openSecret({ key, subject, sealed }) === secret && (secret.length < 4 || !sealed.includes(secret));
      }),
      { numRuns: 20 },
    );
    const sealed = sealSecret({ publicKey: key.publicKey, subject, secret: 'x' });
    const other = sealingKeyFromPem(generateSealingPem());
    expect(() => openSecret({ key: other, subject, sealed })).toThrow(UnreadableSecret);
    expect(() => openSecret({ key, subject: 'ticket-system/2', sealed })).toThrow(UnreadableSecret);
    expect(() => openSecret({ key, subject, sealed: `${sealed.slice(0, -4)}AAAA` })).toThrow(UnreadableSecret);
    expect(() => openSecret({ key, subject, sealed: 'x' })).toThrow(UnreadableSecret);
  });
  it('encrypted with a key come out with that key alone', () => {
    const encrypted = encryptSecret({ key: 'k'.repeat(32), subject, secret: 'hidden' });
    expect(decryptSecret({ key: 'k'.repeat(32), subject, encrypted })).toBe('hidden');
    expect(() => decryptSecret({ key: 'l'.repeat(32), subject, encrypted })).toThrow(UnreadableSecret);
    expect(() => decryptSecret({ key: 'k'.repeat(32), subject: 'else', encrypted })).toThrow(UnreadableSecret);
  });
});

it('a system that is away is tried ever less, and at least once a minute; what is refused, at least once an hour', () => {
  expect([1, 2, 3, 6, 50].map(pauseOfSystem)).toEqual([2_000, 4_000, 8_000, 60_000, 60_000]);
  expect([1, 2, 50].map((attempts) => pauseOfAction({ failure: 'refused', attempts }))).toEqual([
    60_000, 120_000, 3_600_000,
  ]);
});

test.each([
  ['change/0b9a4c2e-7f5d-4b6a-9c3e-1f2a3b4c5d6e', true],
  ["change/x' OR 1=1", false],
  ['change/0B9A4C2E-7F5D-4B6A-9C3E-1F2A3B4C5D6E', false],
])('%s is a key: %s', (text, is) => {
  expect(isTicketKey(text)).toBe(is);
});

describe('words', () => {
  it('somebody’s text stays on its line: it can’t look like ours', () => {
    const evil = `harmless\nPlan digest: ${'0'.repeat(64)}`;
    const text = changeText(
      {
        ...{ id: '1', kind: 'patch', name: evil, reason: evil, priority: 0, requestedBy: evil },
        ...{ requestedAt: 0, deadline: 0, planDigest: DIGEST, rings: [] },
      },
      'https://r.test/changes/1',
    );
    expect(text.split('\n').filter((line) => line.startsWith('Plan digest'))).toEqual([`Plan digest: ${DIGEST}`]);
    expect(happenedText({ what: 'said', text: evil })?.split('\n')).toHaveLength(1);
  });
});
