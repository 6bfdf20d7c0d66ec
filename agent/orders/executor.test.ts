import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { OrderDocument, PermitDocument } from '../../protocol/messages.js';
import {
  createFakeHost,
  ENDPOINT,
  type FakeHost,
  ORDER,
  old,
  orderDoc,
  PLAN,
  update,
} from '../../test/helpers/fake-host.js';
import { type Journal, openJournal } from '../journal/journal.js';
import { type LocalLimits, NO_LIMITS } from '../limits/limits.js';
import { ContentDiffers } from '../transport/content.js';
import { TransportError } from '../transport/http.js';
import type { ExecutorDeps } from './context.js';
import { createExecutor } from './executor.js';
import { createLedger, JournalFailed, type Ledger } from './ledger.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'executor-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

interface World {
  host: FakeHost;
  time: number;
  skew: number;
  limits: LocalLimits;
  windowOpen: boolean;
  fetchFails: Error | null;
  hookFails: string | null;
  hooksRun: string[];
  scans: string[];
}

function world(host = createFakeHost()): World {
  return {
    host,
    time: 1_000_000,
    skew: 0,
    limits: NO_LIMITS,
    windowOpen: true,
    fetchFails: null,
    hookFails: null,
    hooksRun: [],
    scans: [],
  };
}

/** Changes the world and goes on with `result`. */
function having<T>(w: World, over: Partial<World>, result: T): T {
  Object.assign(w, over);
  return result;
}

/** The agent's process: what it knows comes from the journal; `killAt` ends it at that append (before or after the disk). */
function boot(w: World, kill?: { at: number; when: 'before' | 'after' }) {
  const opened = openJournal({ dir, now: () => w.time });
  let appends = 0;
  let dead = false;
  const dies = () => {
    dead = true;
    throw new Error('killed');
  };
  const journal: Journal = {
    get seq() {
      return opened.journal.seq;
    },
    get size() {
      return opened.journal.size;
    },
    append(body) {
      if (dead) dies();
      appends += 1;
      if (kill?.when === 'before' && appends === kill.at) dies();
      const record = opened.journal.append(body);
      if (kill?.when === 'after' && appends === kill.at) dies();
      return record;
    },
    compact: (body) => opened.journal.compact(body),
    close: () => opened.journal.close(),
  };
  const ledger = createLedger({ journal, records: opened.records, now: () => w.time });
  const bootedAs = w.host.boots;
  const deps: ExecutorDeps = {
    ledger,
    provider: w.host.provider,
    content: {
      has: () => true,
      spaceObjection: () => null,
      clean: () => undefined,
      ensure: async (file) => {
        if (w.fetchFails !== null) throw w.fetchFails;
        return `/content/${file.sha256}`;
      },
    },
    clock: { latest: () => w.time, skewMs: () => w.skew },
    limits: () => w.limits,
    ownWindowOpen: () => w.windowOpen,
    runChecks: async (checks) =>
      checks.map(() => ({ check: 'port 80', problem: w.host.healthy ? '' : 'nothing listens there' })),
    runHooks: async (hooks, when) => {
      const mine = hooks.filter((h) => h.when === when);
      w.hooksRun.push(...mine.map((h) => `${when} ${h.name}`));
      return mine.map((h) => ({
        name: h.name,
        ok: w.hookFails !== h.name,
        problem: w.hookFails === h.name ? 'failed' : '',
        ignored: h.onFailure === 'ignore',
      }));
    },
    scan: async ({ scanId }) => {
      w.scans.push(scanId);
      return { complete: true, reason: null };
    },
    newId: () => `scan-${w.scans.length}`,
    bootId: `boot-${bootedAs}`,
    reboot: async () => {
      w.host.boots += 1;
    },
    scanOnly: false,
    orderDir: (id) => join(dir, 'orders', id),
    sleep: async () => {
      w.time += 1_000;
    },
    mono: () => w.time,
    healthGraceMs: 3_000,
    log: () => undefined,
    settled: () => undefined,
  };
  return { ledger, executor: createExecutor(deps), appends: () => appends, close: () => opened.journal.close() };
}

const permit = (over: Partial<PermitDocument> = {}): PermitDocument => ({
  v: 1,
  orderId: ORDER,
  endpointId: ENDPOINT,
  planDigest: PLAN,
  issuedAt: 0,
  startBy: 2_000_000,
  rebootBy: 9_000_000,
  ...over,
});

function offer(
  ledger: Ledger,
  doc: OrderDocument,
  with_: PermitDocument | null = permit({ orderId: doc.orderId }),
): void {
  if (ledger.book.orders[doc.orderId] === undefined) ledger.take({ orderId: doc.orderId, kind: doc.kind, doc });
  const entry = ledger.entry(doc.orderId);
  if (with_ !== null && entry.permit === null) ledger.permit(with_);
}

/** Boots agents until the order needs nobody any more; a reboot or a kill starts the next one. Returns its reports. */
async function toTheEnd(w: World, doc: OrderDocument, kill?: { at: number; when: 'before' | 'after' }) {
  let killed = false;
  for (let boots = 0; boots < 10; boots++) {
    const agent = boot(w, killed ? undefined : kill);
    try {
      offer(agent.ledger, doc);
      await agent.executor.work();
      const entry = agent.ledger.entry(doc.orderId);
      if (entry.core.state !== 'rebooting') {
        return {
          types: entry.reports.map((r) => r.type),
          state: entry.core.state,
          reports: entry.reports,
          appends: agent.appends(),
          killed,
        };
      }
    } catch (error) {
      if (!(error instanceof JournalFailed)) throw error;
      killed = true;
    } finally {
      agent.close();
    }
  }
  throw new Error('never came to an end');
}

describe('a change, from offer to proof', () => {
  test('succeeds', async () => {
    const w = world();
    const { types } = await toTheEnd(w, orderDoc());
    expect(types).toEqual(['accept', 'staged', 'apply', 'applied', 'healthy']);
    expect(w.host.runs).toEqual([`forward ${ORDER}`]);
  });

  test('with a reboot in between', async () => {
    const w = world();
    w.host.rebootNeeded = true;
    const { types, reports } = await toTheEnd(w, orderDoc({ reboot: 'ifNeeded' }));
    expect(types).toEqual(['accept', 'staged', 'apply', 'applied', 'reboot', 'booted', 'healthy']);
    expect(reports.find((r) => r.type === 'applied')).toMatchObject({ rebootRequired: true });
    expect(w.host.boots).toBe(2);
  });

  test('unhealthy afterwards: reverted by itself', async () => {
    const w = world();
    const doc = orderDoc();
    const agent = boot(w);
    offer(agent.ledger, doc, null);
    await agent.executor.work();
    agent.ledger.permit(permit());
    const judge = w.host.provider.judge;
    Object.assign(w.host.provider, {
      judge: async (...args: Parameters<typeof judge>) => {
        w.host.healthy = args[1] === 'back';
        return judge(...args);
      },
    });
    await agent.executor.work();
    agent.close();
    expect(agent.ledger.entry(ORDER).reports.map((r) => r.type)).toEqual([
      'accept',
      'staged',
      'apply',
      'applied',
      'revertBegun',
      'reverted',
    ]);
    expect(Object.fromEntries(w.host.versions)).toEqual({ app: '1', lib: '1' });
  });

  test('a check that failed before is said, and does not count', async () => {
    const w = world();
    w.host.healthy = false;
    const { reports, types } = await toTheEnd(w, orderDoc());
    expect(types.at(-1)).toBe('healthy');
    expect(reports.at(-1)?.detail).toMatchObject({ failedBeforeAlready: ['port 80'] });
  });

  test('half installed: everything goes back', async () => {
    const w = world();
    w.host.behaviour.forward = 'half';
    const { types } = await toTheEnd(w, orderDoc());
    expect(types).toEqual(['accept', 'staged', 'apply', 'revertBegun', 'reverted']);
    expect(Object.fromEntries(w.host.versions)).toEqual({ app: '1', lib: '1' });
  });

  test('no old file: failed, said why, nothing half undone', async () => {
    const w = world();
    w.host.behaviour.forward = 'half';
    const { state, reports } = await toTheEnd(w, orderDoc({ previous: [old('app', '1')] }));
    expect(state).toBe('failed');
    expect(reports.at(-1)).toMatchObject({ cause: expect.stringContaining('no old file of lib') });
    expect(w.host.runs).toEqual([`forward ${ORDER}`]);
  });

  test('an interrupted package manager is repaired and goes on', async () => {
    const w = world();
    w.host.behaviour.forward = 'interrupted';
    const { types } = await toTheEnd(w, orderDoc());
    expect(types).toEqual(['accept', 'staged', 'apply', 'note', 'applied', 'healthy']);
  });
});

describe('killed at every write of the journal', () => {
  const stories: [string, (w: World) => OrderDocument, string[]][] = [
    ['success', () => orderDoc(), ['accept', 'staged', 'apply', 'applied', 'healthy']],
    [
      'success with hooks and reboot',
      (w) => {
        w.host.rebootNeeded = true;
        const hook = { onFailure: 'fail' as const, timeoutSeconds: 5 };
        return orderDoc({
          reboot: 'ifNeeded',
          hooks: [
            { name: 'drain', when: 'before', ...hook },
            { name: 'undrain', when: 'after', ...hook },
          ],
        });
      },
      ['accept', 'staged', 'apply', 'applied', 'reboot', 'booted', 'healthy'],
    ],
    [
      'failure and revert',
      (w) => {
        w.host.behaviour.forward = 'half';
        return orderDoc();
      },
      ['accept', 'staged', 'apply', 'revertBegun', 'reverted'],
    ],
    [
      'failure and failed revert',
      (w) => {
        w.host.behaviour = { forward: 'works', back: 'half' };
        w.hookFails = 'probe';
        return orderDoc({
          hooks: [
            { name: 'drain', when: 'before', onFailure: 'ignore', timeoutSeconds: 5 },
            { name: 'probe', when: 'after', onFailure: 'fail', timeoutSeconds: 5 },
          ],
        });
      },
      ['accept', 'staged', 'apply', 'applied', 'revertBegun', 'revertFailed'],
    ],
    [
      'an interruption',
      (w) => {
        w.host.behaviour.forward = 'interrupted';
        return orderDoc();
      },
      ['accept', 'staged', 'apply', 'applied', 'healthy'],
    ],
  ];

  test.each(stories)('%s: the same outcome, and one apply', async (_, story, expected) => {
    const withoutNotes = (types: readonly string[]) => types.filter((type) => type !== 'note');
    const whole = world();
    const undisturbed = await toTheEnd(whole, story(whole));
    expect(withoutNotes(undisturbed.types)).toEqual(expected);
    const versions = Object.fromEntries(whole.host.versions);
    let kills = 0;
    for (const when of ['before', 'after'] as const) {
      for (let at = 1; at <= 40; at++) {
        rmSync(dir, { recursive: true, force: true });
        const w = world();
        const result = await toTheEnd(w, story(w), { at, when });
        if (!result.killed) break;
        kills += 1;
        expect({ at, when, types: withoutNotes(result.types) }).toEqual({ at, when, types: expected });
        expect(result.reports.map((r) => r.seq)).toEqual(result.reports.map((_r, i) => i + 1));
        expect(result.types.filter((type) => type === 'apply')).toHaveLength(1);
        expect(Object.fromEntries(w.host.versions)).toEqual(versions);
        expect(w.host.runs.filter((run) => run.startsWith('forward'))).toHaveLength(
          whole.host.runs.filter((run) => run.startsWith('forward')).length,
        );
      }
    }
    expect(kills).toBeGreaterThan(12);
  });
});

test('announced and then dead until its permit has ended: not started any more', async () => {
  const w = world();
  // Dies as soon as the announcement is on disk, before the package manager.
  for (let at = 1; ; at++) {
    rmSync(dir, { recursive: true, force: true });
    const agent = boot(w, { at, when: 'after' });
    try {
      offer(agent.ledger, orderDoc());
      await agent.executor.work();
    } catch {
      // Killed.
    }
    const known = agent.ledger.book.orders[ORDER]?.core.state;
    agent.close();
    const again = boot(w);
    // On disk, but the process did not live to know it.
    const announced = again.ledger.book.orders[ORDER]?.core.state === 'applying' && known === 'staged';
    if (announced) {
      w.time = 2_000_001;
      await again.executor.work();
      const { reports, core } = again.ledger.entry(ORDER);
      again.close();
      expect(core.state).toBe('failed');
      expect(reports.at(-1)).toMatchObject({ cause: expect.stringContaining('the permit has ended') });
      expect(w.host.runs).toEqual([]);
      return;
    }
    again.close();
    if (at > 30) throw new Error('never announced');
  }
});

describe('what keeps an order from starting', () => {
  const worked = async (w: World, doc = orderDoc(), with_: PermitDocument | null = permit()) => {
    const agent = boot(w);
    offer(agent.ledger, doc, with_);
    await agent.executor.work();
    agent.close();
    return agent.ledger.entry(doc.orderId);
  };
  const blocked: [string, (w: World) => PermitDocument | null, RegExp | null][] = [
    ['no permit', () => null, null],
    ['a permit that ended a millisecond ago', (w) => permit({ startBy: w.time - 1 }), null],
    ['a clock off by more than two minutes', (w) => having(w, { skew: 120_001 }, permit()), null],
    ["the owner's own windows", (w) => having(w, { windowOpen: false }, permit()), null],
  ];
  test.each(blocked)('%s: it stays staged', async (_, set) => {
    const w = world();
    const entry = await worked(w, orderDoc(), set(w));
    expect(entry.core.state).toBe('staged');
    expect(w.host.runs).toEqual([]);
  });

  test('a permit is good to its last millisecond', async () => {
    const w = world();
    expect((await worked(w, orderDoc(), permit({ startBy: w.time }))).core.state).toBe('succeeded');
  });

  test('a permit that ends while hooks run: hooks undone, nothing begun, a later permit works', async () => {
    const w = world();
    const hook = { onFailure: 'fail' as const, timeoutSeconds: 5 };
    const doc = orderDoc({
      hooks: [
        { name: 'drain', when: 'before', ...hook },
        { name: 'undrain', when: 'after', ...hook },
      ],
    });
    const agent = boot(w);
    offer(agent.ledger, doc, permit({ startBy: w.time + 10 }));
    Object.assign(w.host.provider, {
      snapshot: async () => {
        w.time += 1_000;
      },
    });
    await agent.executor.work();
    expect(agent.ledger.entry(ORDER).core.state).toBe('staged');
    expect(w.hooksRun).toEqual(['before drain', 'after undrain']);
    agent.ledger.permit(permit());
    await agent.executor.work();
    agent.close();
    expect(agent.ledger.entry(ORDER).core.state).toBe('succeeded');
  });

  const ended: [string, (w: World) => OrderDocument, object][] = [
    [
      'a hold',
      (w) => having(w, { limits: { ...NO_LIMITS, hold: "the owner's hold" } }, orderDoc()),
      { type: 'decline', reason: "the owner's hold" },
    ],
    [
      'a package never to touch',
      (w) => having(w, { limits: { ...NO_LIMITS, neverTouch: ['li*'] } }, orderDoc()),
      { type: 'decline' },
    ],
    [
      'another version than planned',
      (w) => having(w, { host: createFakeHost({ app: '0', lib: '1' }) }, orderDoc()),
      { type: 'refuse', reason: 'app is 0, the plan says 1' },
    ],
    [
      'a simulation that differs',
      (w) => having(w, { host: Object.assign(w.host, { simulation: 'removes ssh' }) }, orderDoc()),
      { type: 'refuse', reason: 'the simulation differs from the plan: removes ssh' },
    ],
    [
      'content that differs',
      (w) => having(w, { fetchFails: new ContentDiffers('other bytes') }, orderDoc()),
      { type: 'refuse', reason: 'other bytes' },
    ],
    [
      'a package database with complaints',
      (w) => having(w, { host: Object.assign(w.host, { auditText: 'half-configured' }) }, orderDoc()),
      { type: 'failed' },
    ],
    [
      'there already',
      (w) => having(w, { host: createFakeHost({ app: '3', lib: '2' }) }, orderDoc()),
      { type: 'satisfied' },
    ],
    ['a version that can not be compared', () => orderDoc({ updates: [update('app', '1', 'x')] }), { type: 'failed' }],
    [
      'a hook that must succeed',
      (w) =>
        having(
          w,
          { hookFails: 'drain' },
          orderDoc({ hooks: [{ name: 'drain', when: 'before', onFailure: 'fail', timeoutSeconds: 1 }] }),
        ),
      { type: 'failed', cause: 'before the start, hook drain failed' },
    ],
  ];
  test.each(ended)('%s', async (name, set, last) => {
    const w = world();
    const doc = set(w);
    if (name.startsWith('a version')) Object.assign(w.host.provider, { compareVersions: () => null });
    const entry = await worked(w, doc);
    expect(entry.reports.at(-1)).toMatchObject(name.startsWith('a version') ? { type: 'refuse' } : last);
    expect(w.host.runs).toEqual([]);
  });

  test('a server that can not be reached for content: waits and tries again', async () => {
    const w = world();
    w.fetchFails = new TransportError('no route');
    const agent = boot(w);
    offer(agent.ledger, orderDoc());
    await agent.executor.work();
    expect(agent.ledger.entry(ORDER).core.state).toBe('accepted');
    expect(agent.executor.retryInMs()).toBe(2_000);
    w.fetchFails = null;
    w.time += 2_000;
    await agent.executor.work();
    agent.close();
    expect(agent.ledger.entry(ORDER).core.state).toBe('succeeded');
  });

  test('a deadline that passes: dropped, nothing reported', async () => {
    const w = world();
    const entry = await worked(w, orderDoc({ expiresAt: w.time + 1 }), null);
    expect(entry.core.state).toBe('staged');
    w.time += 1;
    const agent = boot(w);
    await agent.executor.work();
    agent.close();
    expect(agent.ledger.entry(ORDER)).toMatchObject({
      dropped: 'its deadline passed before it began',
      core: { state: 'staged' },
    });
  });
});

describe('partly there already', () => {
  test('only the rest is installed, and only that is reverted', async () => {
    const w = world(createFakeHost({ app: '1', lib: '2' }));
    await toTheEnd(w, orderDoc());
    const agent = boot(w);
    const revert = orderDoc({ orderId: ORDER.replace(/1$/, '2'), kind: 'revert', reverts: ORDER });
    offer(agent.ledger, revert);
    await agent.executor.work();
    agent.close();
    expect(agent.ledger.entry(revert.orderId).core.state).toBe('reverted');
    expect(Object.fromEntries(w.host.versions)).toEqual({ app: '1', lib: '2' });
  });
});

describe('a revert order', () => {
  const revertDoc = orderDoc({ orderId: ORDER.replace(/1$/, '2'), kind: 'revert', reverts: ORDER });
  const revertAfter = async (w: World, touch: (w: World) => void, doc = revertDoc) => {
    await toTheEnd(w, orderDoc({ updates: [update('app', '1', '2'), update('lib', '1', '2', 'other')] }));
    touch(w);
    const agent = boot(w);
    offer(agent.ledger, doc);
    await agent.executor.work();
    agent.close();
    return agent.ledger.entry(doc.orderId);
  };

  test('puts back what the change installed', async () => {
    const w = world();
    const entry = await revertAfter(w, () => undefined);
    expect(entry.reports.map((r) => r.type)).toEqual(['accept', 'staged', 'revertBegun', 'reverted']);
    expect(Object.fromEntries(w.host.versions)).toEqual({ app: '1', lib: '1' });
  });

  test('never undoes what came later; the rest goes back', async () => {
    const w = world();
    await revertAfter(w, () => w.host.versions.set('lib', '3'));
    expect(Object.fromEntries(w.host.versions)).toEqual({ app: '1', lib: '3' });
  });

  test('is moot where everything is newer', async () => {
    const entry = await revertAfter(world(), (w) => w.host.versions.set('lib', '3').set('app', '3'));
    expect(entry.reports.at(-1)).toMatchObject({ type: 'moot', reason: expect.stringContaining('app is 3') });
  });

  test('fails before it begins when an old file is missing', async () => {
    const entry = await revertAfter(world(), () => undefined, { ...revertDoc, previous: [] });
    expect(entry.reports.at(-1)).toMatchObject({ type: 'failed', cause: 'the order has no file of app 1' });
  });
});

test('a scan keeps its id over a crash, so it is taken in once', async () => {
  const w = world();
  const doc = orderDoc({ kind: 'scan' });
  const { types } = await toTheEnd(w, doc, { at: 5, when: 'before' });
  expect(types).toEqual(['accept', 'scanned']);
  expect(new Set(w.scans).size).toBe(1);
});
