import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { PollReply, PollRequest } from '../../protocol/messages.js';
import { ENDPOINT, ORDER, orderDoc } from '../../test/helpers/fake-host.js';
import { openJournal } from '../journal/journal.js';
import type { Executor } from '../orders/executor.js';
import { createLedger, type Ledger } from '../orders/ledger.js';
import { createServerClock } from './clock.js';
import { GatewayRefused } from './gateway-client.js';
import { TransportError } from './http.js';
import { createPoller, type Poller, type PollerDeps } from './poller.js';

let dir: string;
let ledger: Ledger;
let poller: Poller;
let requests: PollRequest[];
let answer: () => Partial<PollReply>;
let observations: Record<string, unknown>;
let worked: number;

beforeEach(() => {
  jest.useFakeTimers({ now: 1_000_000 });
  dir = mkdtempSync(join(tmpdir(), 'poller-'));
  const { journal, records } = openJournal({ dir, now: Date.now });
  ledger = createLedger({ journal, records, now: Date.now, changed: () => poller.say(10_000) });
  requests = [];
  answer = () => ({});
  observations = { a: 1 };
  worked = 0;
  const executor = { work: async () => void worked++ } as unknown as Executor;
  const deps: PollerDeps = {
    client: {
      poll: async (request) => {
        requests.push(request);
        return {
          serverTime: Date.now(),
          nextPollSeconds: 900,
          acks: [],
          orders: [],
          keySetVersion: 1,
          scanNow: false,
          ...answer(),
        };
      },
    },
    ledger,
    executor: () => executor,
    clock: createServerClock(() => ({ mono: Date.now(), wall: Date.now() })),
    bootId: 'boot',
    now: Date.now,
    random: () => 0.5,
    minPollSeconds: 0.5,
    context: async () => ({ endpointId: ENDPOINT, trusted: new Map(), latest: Date.now(), provider: 'fake' }),
    observations: () => observations,
    localLimits: () => ({}),
    scanNow: () => undefined,
    polled: () => undefined,
    fatal: (error) => {
      throw error;
    },
    log: () => undefined,
  };
  poller = createPoller(deps);
  poller.start();
});
afterEach(() => {
  poller.stop();
  jest.useRealTimers();
  rmSync(dir, { recursive: true, force: true });
});
const pass = (ms: number) => jest.advanceTimersByTimeAsync(ms);
const ackAll = () => {
  answer = () => ({
    acks: (requests.at(-1)?.reports ?? []).map((r) => ({ orderId: r.orderId, seq: r.events.at(-1)?.seq ?? 0 })),
  });
};

test('with nothing to say it asks when the server says, and no sooner', async () => {
  await pass(899_000);
  expect(requests).toHaveLength(1);
  await pass(2_000);
  expect(requests).toHaveLength(2);
  expect(worked).toBe(2);
});

test('what happens within ten seconds goes out in one request, and once', async () => {
  ackAll();
  await pass(1_000);
  ledger.take({ orderId: ORDER, kind: 'change', doc: orderDoc() });
  ledger.report(ORDER, { type: 'accept' });
  await pass(4_000);
  ledger.report(ORDER, { type: 'staged' });
  await pass(5_900);
  expect(requests).toHaveLength(1);
  await pass(200);
  expect(requests).toHaveLength(2);
  expect(requests[1]).toMatchObject({
    open: [{ orderId: ORDER, state: 'staged', seq: 2 }],
    reports: [{ orderId: ORDER, events: [{ seq: 1 }, { seq: 2 }] }],
  });
  await pass(60_000);
  expect(requests).toHaveLength(2);
});

test('reports that are not acknowledged go out again', async () => {
  await pass(0);
  ledger.take({ orderId: ORDER, kind: 'change', doc: orderDoc() });
  ledger.report(ORDER, { type: 'accept' });
  answer = () => ({ acks: requests.length < 4 ? [] : [{ orderId: ORDER, seq: 1 }], nextPollSeconds: 5 });
  await pass(10_000);
  expect(requests).toHaveLength(2);
  // At the server's pace, not at once: it may have a reason to hold them back.
  await pass(4_900);
  expect(requests).toHaveLength(2);
  await pass(15_200);
  expect(requests.slice(1, 5).map((r) => r.reports.length)).toEqual([1, 1, 1, 0]);
  expect(requests.length).toBeLessThanOrEqual(6);
});

test('what is asked for while a poll is under way is not forgotten over its reply', async () => {
  answer = () => {
    // A wake-up hint, or an inventory that has just been sent.
    if (requests.length === 1) poller.soon(50);
    return {};
  };
  await pass(0);
  expect(requests).toHaveLength(1);
  observations = { a: 2 };
  await pass(60);
  expect(requests.map((r) => r.observations)).toEqual([{ a: 1 }, { a: 2 }]);
  await pass(60_000);
  expect(requests).toHaveLength(2);
});

test('observations are sent when they changed, and again when a reply was lost', async () => {
  answer = () => {
    throw new TransportError('cut');
  };
  await pass(0);
  answer = () => ({ nextPollSeconds: 5 });
  await pass(7_000);
  expect(requests.map((r) => r.observations)).toEqual([{ a: 1 }, { a: 1 }, undefined]);
  observations = { a: 2 };
  await pass(5_000);
  expect(requests.at(-1)?.observations).toEqual({ a: 2 });
});

describe('a server that does not answer', () => {
  test('is asked at growing intervals, at most five minutes apart, and at once when it hints', async () => {
    answer = () => {
      throw new TransportError('no route');
    };
    await pass(0);
    const times: number[] = [];
    for (let minute = 0; minute < 60; minute++) {
      const before = requests.length;
      await pass(60_000);
      times.push(requests.length - before);
    }
    expect(times[0]).toBeGreaterThanOrEqual(5);
    expect(times.slice(30).reduce((a, b) => a + b, 0)).toBeGreaterThanOrEqual(5);
    expect(times.slice(30).reduce((a, b) => a + b, 0)).toBeLessThanOrEqual(7);
    const before = requests.length;
    poller.soon(0);
    await pass(10);
    expect(requests).toHaveLength(before + 1);
  });

  test('that does not want us is asked rarely', async () => {
    answer = () => {
      throw new GatewayRefused(403, 'retired');
    };
    await pass(290_000);
    expect(requests).toHaveLength(1);
    expect(poller.state.lastError).toBe('403: retired');
  });
});

describe('a report that the server before does not know', () => {
  const types = () => requests.map((r) => r.reports.flatMap(({ events }) => events.map(({ type }) => type)));
  const putOff = () => {
    ledger.take({ orderId: ORDER, kind: 'change', doc: orderDoc() });
    for (const type of ['accept', 'staged', 'apply'] as const) ledger.report(ORDER, { type });
    ledger.report(ORDER, { type: 'applied', rebootRequired: true });
    ledger.report(ORDER, { type: 'reboot' });
    ledger.report(ORDER, { type: 'notRebooted', reason: 'the permit to reboot has ended' });
    ledger.report(ORDER, { type: 'note', text: 'later' });
  };
  const before = ['accept', 'staged', 'apply', 'applied', 'reboot'];
  const acks = () => requests.at(-1)?.reports.map((r) => ({ orderId: r.orderId, seq: r.events.at(-1)?.seq ?? 0 }));
  /** As the executor does when nothing moves any more. */
  const settled = async () => {
    poller.say(0);
    await pass(10);
  };

  test('is kept back, with what follows it, until a reply names it', async () => {
    answer = () => ({ acks: acks() ?? [] });
    putOff();
    await pass(10);
    await settled();
    expect(types()).toEqual([before]);
    expect(requests[0]?.open).toEqual([{ orderId: ORDER, state: 'awaitingReboot', seq: 7 }]);
    answer = () => ({ acks: acks() ?? [], knows: ['notRebooted'] });
    await pass(900_000);
    await settled();
    expect(types()).toEqual([before, [], ['notRebooted', 'note']]);
    await pass(60_000);
    expect(requests).toHaveLength(3);
  });

  test('is kept back again when the server is replaced by the one before, which refuses the whole poll', async () => {
    answer = () => ({ knows: ['notRebooted'], nextPollSeconds: 5 });
    await pass(10);
    answer = () => {
      if (types().at(-1)?.includes('notRebooted')) throw new GatewayRefused(400, 'reports is malformed');
      return { acks: acks() ?? [] };
    };
    putOff();
    await pass(600_000);
    expect(types()).toEqual([[], [...before, 'notRebooted', 'note'], before]);
    expect(poller.state.lastError).toBe(null);
  });
});

test('hostile wishes for the next poll are bounded', async () => {
  answer = () => ({ nextPollSeconds: 1e-9 });
  await pass(4_900);
  expect(requests.length).toBeLessThanOrEqual(10);
  answer = () => ({ nextPollSeconds: 1e12 });
  await pass(1_000);
  const before = requests.length;
  await pass(3_600_000);
  expect(requests.length).toBeGreaterThan(before);
});
