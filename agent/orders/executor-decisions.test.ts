import { afterEach, describe, expect, test } from '@jest/globals';
import type { OrderDocument, PermitDocument } from '../../protocol/messages.js';
import {
  boot,
  having,
  offer,
  permit,
  removeWorlds,
  toTheEnd,
  type World,
  world,
} from '../../test/helpers/agent-rig.js';
import { createFakeHost, ORDER, orderDoc, update } from '../../test/helpers/fake-host.js';
import { NO_LIMITS } from '../limits/limits.js';
import { KEPT } from '../providers/provider.js';
import { ContentDiffers } from '../transport/content.js';
import { TransportError } from '../transport/http.js';

afterEach(removeWorlds);

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
        return KEPT;
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

  test('no snapshot, no start: declined with the reason, before hooks and anything else', async () => {
    const w = world();
    Object.assign(w.host.provider, { snapshot: async () => ({ ok: false, reason: 'no snapshot: the disk is full' }) });
    const hook = { name: 'drain', when: 'before' as const, onFailure: 'fail' as const, timeoutSeconds: 5 };
    const { core, reports } = await worked(w, orderDoc({ hooks: [hook] }), permit());
    expect([core.state, reports.at(-1)]).toEqual([
      'skipped',
      expect.objectContaining({ type: 'decline', reason: 'no snapshot: the disk is full' }),
    ]);
    expect([w.hooksRun, w.host.runs]).toEqual([[], []]);
  });

  test('of items that have nothing to do with each other, one that can not be done is left out, with the reason; the rest is done', async () => {
    const w = world();
    const reason = 'lib could not be put back';
    const simulate = async () => ({ ok: true, declined: [{ name: 'lib', reason }] });
    Object.assign(w.host.provider, { separable: true, simulate });
    const { core, reports } = await worked(w, orderDoc(), permit());
    expect([core.state, w.host.versions]).toEqual([
      'succeeded',
      new Map([
        ['app', '2'],
        ['lib', '1'],
      ]),
    ]);
    const detailOf = (type: string) => reports.find((report) => report.type === type)?.detail;
    expect(detailOf('staged')).toMatchObject({ packages: 1, declined: [{ name: 'lib', reason }] });
    expect(detailOf('apply')).toMatchObject({ packages: [{ name: 'app' }], declined: [{ name: 'lib', reason }] });
    expect(detailOf('healthy')).toMatchObject({ versions: [{ name: 'app', version: '2' }] });
  });

  test('when none of them can be done, the order is declined with the reasons, and nothing is begun', async () => {
    const w = world();
    w.limits = { ...NO_LIMITS, neverTouch: ['app'] };
    const simulate = async () => ({ ok: true, declined: [{ name: 'lib', reason: 'no way back' }] });
    Object.assign(w.host.provider, { separable: true, simulate });
    const { core, reports } = await worked(w, orderDoc(), permit());
    const declined = [
      { name: 'app', reason: 'app is never to be touched (app)' },
      { name: 'lib', reason: 'no way back' },
    ];
    expect([core.state, reports.at(-1), w.host.runs]).toEqual([
      'skipped',
      expect.objectContaining({
        type: 'decline',
        reason: 'app is never to be touched (app); lib: no way back',
        detail: { declined },
      }),
      [],
    ]);
  });

  test('what a snapshot could not keep is said when it begins', async () => {
    const w = world();
    Object.assign(w.host.provider, { snapshot: async () => ({ ok: true, notKept: ['a pipe'] }) });
    const { reports } = await worked(w, orderDoc(), permit());
    expect(reports.find((report) => report.type === 'apply')?.detail).toMatchObject({ notKept: ['a pipe'] });
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
