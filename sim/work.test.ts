import { expect, test } from '@jest/globals';
import { createLedger } from '../agent/orders/ledger.js';
import { createServerClock } from '../agent/transport/clock.js';
import type { OrderDocument } from '../protocol/messages.js';
import { profileOf } from './catalogue.js';
import { type Behaviour, Machine } from './machine.js';
import { advance, type Host } from './work.js';

const ORDER = '00000000-0000-4000-8000-000000000001';
const OFFERED = new Map([['sim-openssl', '3.5.2-1']]);
const USUAL: Behaviour = {
  applyMs: 0,
  revertMs: 0,
  failApply: false,
  unhealthyAfter: false,
  failRevert: false,
  rebootRequired: false,
  rebootMs: 0,
  offline: false,
};

function hostOf(behaviour: Partial<Behaviour> = {}): Host {
  const clock = createServerClock(() => ({ mono: 0, wall: 1_000_000 }));
  clock.heard({ sent: { mono: 0, wall: 1_000_000 }, serverTime: 1_000_000 });
  let seq = 0;
  const store = () => ({ n: ++seq, at: 0, type: 'stored' });
  const journal = { seq: 0, size: 0, append: store, compact: store, close: () => undefined };
  return {
    clock,
    busyUntil: new Map(),
    machine: new Machine(profileOf({ index: 0, packages: 10 }), OFFERED, { ...USUAL, ...behaviour }),
    ledger: createLedger({ journal, records: [], now: () => 1_000_000 }),
  };
}

const document = (over: Partial<OrderDocument> = {}): OrderDocument => ({
  v: 1,
  orderId: ORDER,
  endpointId: '00000000-0000-4000-8000-00000000e001',
  changeId: null,
  kind: 'change',
  planDigest: 'a'.repeat(64),
  approvals: [],
  issuedAt: 0,
  expiresAt: 1e15,
  provider: 'simulated',
  updates: [
    {
      name: 'sim-openssl',
      arch: 'amd64',
      from: '3.5.1-1',
      to: '3.5.2-1',
      source: 'sim-openssl',
      sha256: 'b'.repeat(64),
      size: 1,
    },
  ],
  previous: [],
  reverts: null,
  reboot: 'ifNeeded',
  healthChecks: [],
  hooks: [],
  rateLimit: null,
  ...over,
});

const permit = (rebootBy: number | null = 2_000_000) => ({
  v: 1 as const,
  orderId: ORDER,
  endpointId: '00000000-0000-4000-8000-00000000e001',
  planDigest: 'a'.repeat(64),
  issuedAt: 0,
  startBy: 2_000_000,
  rebootBy,
});

const reported = (host: Host) => host.ledger.entry(ORDER).reports.map(({ type }) => type);

test('with its permit an order is done between two polls', () => {
  const host = hostOf();
  host.ledger.take({ orderId: ORDER, kind: 'change', doc: document() });
  host.ledger.permit(permit());
  expect(advance(host, 1_000_000).nextAt).toBeNull();
  expect(reported(host)).toEqual(['accept', 'staged', 'apply', 'applied', 'healthy']);
  expect(host.machine.version('sim-openssl')).toBe('3.5.2-1');
  expect(host.machine.inventory({ name: 'x', scanId: ORDER, orderId: null, at: 0 }).updates).toEqual([]);
});

test('without a permit it waits staged, and nothing is installed', () => {
  const host = hostOf();
  host.ledger.take({ orderId: ORDER, kind: 'change', doc: document() });
  advance(host, 1_000_000);
  expect(reported(host)).toEqual(['accept', 'staged']);
  expect(host.machine.version('sim-openssl')).toBe('3.5.1-1');
});

test.each<[Partial<Behaviour>, string[], string]>([
  [{ failApply: true }, ['accept', 'staged', 'apply', 'revertBegun', 'reverted'], '3.5.1-1'],
  [{ unhealthyAfter: true }, ['accept', 'staged', 'apply', 'applied', 'revertBegun', 'reverted'], '3.5.1-1'],
  [{ failApply: true, failRevert: true }, ['accept', 'staged', 'apply', 'revertBegun', 'revertFailed'], '3.5.2-1'],
  [{ rebootRequired: true }, ['accept', 'staged', 'apply', 'applied', 'reboot', 'booted', 'healthy'], '3.5.2-1'],
])('%j', (behaviour, events, version) => {
  const host = hostOf(behaviour);
  host.ledger.take({ orderId: ORDER, kind: 'change', doc: document() });
  host.ledger.permit(permit());
  // Going back after a failed installation is stamped with this computer's clock.
  advance(host, 1_000_000);
  advance(host, Date.now() + 1_000);
  expect(reported(host)).toEqual(events);
  expect(host.machine.version('sim-openssl')).toBe(version);
});

test('work takes its time', () => {
  const host = hostOf({ applyMs: 500 });
  host.ledger.take({ orderId: ORDER, kind: 'change', doc: document() });
  host.ledger.permit(permit());
  expect(advance(host, 1_000_000).nextAt).toBe(1_000_500);
  expect(reported(host)).toEqual(['accept', 'staged', 'apply']);
  advance(host, 1_000_500);
  expect(reported(host).at(-1)).toBe('healthy');
});

test('what is not as planned is refused, as the agent refuses it', () => {
  const host = hostOf();
  const [update] = document().updates;
  host.ledger.take({
    orderId: ORDER,
    kind: 'change',
    doc: document({ updates: [{ ...(update as never as object), from: '1.0-1' } as never] }),
  });
  host.ledger.permit(permit());
  advance(host, 1_000_000);
  expect(reported(host)).toEqual(['accept', 'refuse']);
});
