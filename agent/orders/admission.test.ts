import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  type Envelope,
  generateSigningKeyPem,
  ORDER_TYPE,
  PERMIT_TYPE,
  publicKeyObject,
  type SigningKey,
  signEnvelope,
  signingKeyFromPem,
} from '../../protocol/envelope.js';
import type { OrderDocument, PermitDocument, PollReply } from '../../protocol/messages.js';
import { ENDPOINT, ORDER, orderDoc, PLAN } from '../../test/helpers/fake-host.js';
import { openJournal } from '../journal/journal.js';
import { admitOrder, admitPermit, rebootObjection, startObjection } from './admission.js';
import { isOpen, trimBook, unheard } from './book.js';
import { takeReply } from './intake.js';
import { createLedger, type Ledger } from './ledger.js';

const worker = signingKeyFromPem(generateSigningKeyPem());
const stranger = signingKeyFromPem(generateSigningKeyPem());
const NOW = 1_000_000;
const context = {
  endpointId: ENDPOINT,
  trusted: new Map([[worker.keyid, publicKeyObject(worker.publicKey)]]),
  latest: NOW,
  provider: 'fake',
};
const OTHER = ENDPOINT.replace(/1$/, '2');
const order = (over: Record<string, unknown> = {}, key: SigningKey = worker, type = ORDER_TYPE): Envelope =>
  signEnvelope({ type, document: { ...orderDoc(), ...over }, key });
const permitDoc: PermitDocument = {
  v: 1,
  orderId: ORDER,
  endpointId: ENDPOINT,
  planDigest: PLAN,
  issuedAt: NOW,
  startBy: NOW + 1_000,
  rebootBy: null,
};
const permit = (over: Partial<PermitDocument> = {}, key: SigningKey = worker): Envelope =>
  signEnvelope({ type: PERMIT_TYPE, document: { ...permitDoc, ...over }, key });

describe('an order', () => {
  test('signed, ours, in time and well-formed is taken', () => {
    expect(admitOrder(order(), context)).toEqual({ kind: 'order', doc: orderDoc() });
  });

  const untrusted: [string, Envelope][] = [
    ['unsigned', { ...order(), signatures: [{ keyid: worker.keyid, sig: 'AAAA' }] }],
    ['signed by a stranger', order({}, stranger)],
    ["signed by a stranger in the worker's name", order({}, { ...stranger, keyid: worker.keyid })],
    ['a permit passed off as an order', { ...permit(), payloadType: ORDER_TYPE }],
    [
      'changed after signing',
      { ...order(), payload: Buffer.from(JSON.stringify(orderDoc({ kind: 'scan' }))).toString('base64') },
    ],
    ['for another endpoint', order({ endpointId: OTHER })],
    ['without an id', order({ orderId: '../../etc/passwd' })],
  ];
  test.each(untrusted)('%s: nothing is taken in, nothing reported', (_, envelope) => {
    expect(admitOrder(envelope, context).kind).toBe('untrusted');
  });

  const refused: [string, Record<string, unknown>, RegExp][] = [
    ['expired', { expiresAt: NOW }, /expired/],
    ['of an unknown kind', { kind: 'shell' }, /malformed: kind/],
    ['with a field we do not know', { run: 'rm -rf /' }, /malformed/],
    ['with a path for a package', { updates: [{ ...orderDoc().updates[0], name: '../x' }] }, /updates\.0\.name/],
    ['with a digest that is none', { updates: [{ ...orderDoc().updates[0], sha256: 'x' }] }, /sha256/],
    ['for another provider', { provider: 'dnf' }, /dnf is not available/],
    ['without updates', { updates: [] }, /no updates/],
    ['with a package twice', { updates: [orderDoc().updates[0], orderDoc().updates[0]] }, /app:all twice/],
    [
      'with a check of another host',
      { healthChecks: [{ type: 'http', url: 'http://192.0.2.1/', status: 200 }] },
      /not this endpoint/,
    ],
    [
      'with a check that is a file',
      { healthChecks: [{ type: 'http', url: 'file:///etc/passwd', status: 200 }] },
      /not spoken here/,
    ],
    ['with an option for a unit', { healthChecks: [{ type: 'unit', unit: '--help' }] }, /no unit name/],
    ['a revert of nothing', { kind: 'revert' }, /what it reverts/],
    ['a change without a plan', { planDigest: null }, /no plan/],
  ];
  test.each(refused)('%s: refused by its id, with the reason', (_, over, reason) => {
    expect(admitOrder(order(over), context)).toMatchObject({
      kind: 'refused',
      orderId: ORDER,
      reason: expect.stringMatching(reason),
    });
  });
});

describe('a permit', () => {
  test('for this order, endpoint and plan is taken', () => {
    expect(admitPermit(permit(), orderDoc(), context)).toEqual({ kind: 'permit', permit: permitDoc });
  });
  test.each([
    ['unsigned', permit({}, stranger)],
    ['of another order', permit({ orderId: OTHER })],
    ['of another endpoint', permit({ endpointId: OTHER })],
    ['of another plan', permit({ planDigest: 'b'.repeat(64) })],
    ['an order passed off as a permit', { ...order(), payloadType: PERMIT_TYPE }],
  ])('%s is not', (_, envelope) => {
    expect(admitPermit(envelope, orderDoc(), context).kind).toBe('untrusted');
  });

  const clock = (latest: number | null, skew = 0) => ({
    latest: () => latest,
    skewMs: () => (latest === null ? null : skew),
  });
  test.each([
    ['in its last millisecond', NOW + 1_000, 0, null],
    ['a millisecond later', NOW + 1_001, 0, 'the permit has ended'],
    ['with the time unknown', null, 0, "the server's time is not known yet"],
    ['with a clock that is off', NOW, 300_000, "this endpoint's clock is 5 min ahead of the server's"],
  ])('start %s', (_, latest, skew, objection) => {
    expect(startObjection({ permit: permitDoc, order: { expiresAt: 1e15 }, clock: clock(latest, skew) })).toBe(
      objection,
    );
  });
  test('no start after the order expired, no reboot without its own permit', () => {
    expect(startObjection({ permit: permitDoc, order: { expiresAt: NOW }, clock: clock(NOW) })).toBe(
      'the order has expired',
    );
    expect(rebootObjection({ permit: permitDoc, clock: clock(NOW) })).toBe('no permit to reboot yet');
    expect(rebootObjection({ permit: { ...permitDoc, rebootBy: NOW }, clock: clock(NOW) })).toBeNull();
    expect(rebootObjection({ permit: { ...permitDoc, rebootBy: NOW }, clock: clock(NOW + 1) })).toBe(
      'the permit to reboot has ended',
    );
  });
});

describe('taking a reply in', () => {
  let dir: string;
  let ledger: Ledger;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'intake-'));
    const { journal, records } = openJournal({ dir, now: () => NOW });
    ledger = createLedger({ journal, records, now: () => NOW });
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));
  const plain = (envelope: Envelope) => ({ ...envelope, signatures: [...envelope.signatures] });
  const reply = (orders: [Envelope, Envelope | null][], acks: PollReply['acks'] = []) => ({
    acks,
    orders: orders.map(([o, p]) => ({ order: plain(o), permit: p === null ? null : plain(p) })),
  });
  const take = (orders: [Envelope, Envelope | null][], acks: PollReply['acks'] = []) =>
    takeReply(ledger, reply(orders, acks), context);

  test('order and permit; the same again changes nothing', () => {
    expect(take([[order(), permit()]])).toEqual([]);
    const seq = ledger.journalSeq;
    take([[order(), permit()]]);
    expect(ledger.journalSeq).toBe(seq);
    expect(ledger.entry(ORDER)).toMatchObject({ core: { state: 'offered' }, permit: permitDoc });
  });

  test('a refused order is reported once, and never begun', () => {
    take([[order({ kind: 'shell' }), permit()]]);
    take([[order({ kind: 'shell' }), permit()]]);
    expect(ledger.entry(ORDER).reports.map((r) => r.type)).toEqual(['refuse']);
    expect(ledger.entry(ORDER).core.state).toBe('failed');
  });

  test('a permit that is not for it is told, and the order waits', () => {
    expect(take([[order(), permit({ planDigest: null })]])).toEqual(['permit: it is for another plan']);
    expect(ledger.entry(ORDER).permit).toBeNull();
  });

  test('done, heard, offered again: said again from the journal', () => {
    take([[order(), permit()]]);
    ledger.report(ORDER, { type: 'accept' });
    ledger.report(ORDER, { type: 'satisfied' });
    take([], [{ orderId: ORDER, seq: 2 }]);
    expect(unheard(ledger.entry(ORDER))).toEqual([]);
    take([[order(), permit()]]);
    expect(unheard(ledger.entry(ORDER)).map((r) => r.type)).toEqual(['accept', 'satisfied']);
  });

  test('a server that lost the last reports gets them again', () => {
    take([[order(), null]]);
    ledger.report(ORDER, { type: 'accept' });
    take([], [{ orderId: ORDER, seq: 1 }]);
    take([], [{ orderId: ORDER, seq: 0 }]);
    expect(unheard(ledger.entry(ORDER))).toHaveLength(1);
  });

  test('a server that knows more than this journal: it was rolled back, and is quarantined for good', () => {
    take([[order(), null]], []);
    take([], [{ orderId: ORDER, seq: 5 }]);
    expect(ledger.book.quarantine).toContain('was put back');
    const again = openJournal({ dir, now: () => NOW });
    expect(createLedger({ ...again, now: () => NOW }).book.quarantine).toContain('was put back');
  });

  test('a newer changing order takes the place of one that has not begun', () => {
    take([[order(), null]]);
    take([[order({ orderId: OTHER }), null]]);
    expect(isOpen(ledger.entry(ORDER))).toBe(false);
    expect(ledger.entry(ORDER).reports).toEqual([]);
  });

  test('an order so old that only its id is left is still never begun again', () => {
    const many = Array.from({ length: 202 }, (_, i) => `${ORDER.slice(0, -3)}${String(i + 100)}`);
    for (const id of many) {
      ledger.take({
        orderId: id,
        kind: 'scan',
        doc: orderDoc({ orderId: id, kind: 'scan' } as Partial<OrderDocument>),
      });
      ledger.report(id, { type: 'accept' });
      ledger.report(id, { type: 'scanned', detail: { much: 'x' } });
      ledger.acked(id, 2);
    }
    const trimmed = trimBook(ledger.book);
    expect(trimmed.forgotten).toEqual(many.slice(0, 2));
    expect(Object.values(trimmed.orders).every((entry) => entry.doc === null && entry.reports.length === 2)).toBe(true);
  });
});
