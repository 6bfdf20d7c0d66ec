import { rmSync } from 'node:fs';
import { afterEach, describe, expect, test } from '@jest/globals';
import type { OrderDocument } from '../../protocol/messages.js';
import { boot, offer, permit, removeWorlds, toTheEnd, type World, world } from '../../test/helpers/agent-rig.js';
import { ORDER, old, orderDoc } from '../../test/helpers/fake-host.js';

afterEach(removeWorlds);

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
    rmSync(w.dir, { recursive: true, force: true });
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

test('a scan keeps its id over a crash, so it is taken in once', async () => {
  const w = world();
  const doc = orderDoc({ kind: 'scan' });
  const { types } = await toTheEnd(w, doc, { at: 5, when: 'before' });
  expect(types).toEqual(['accept', 'scanned']);
  expect(new Set(w.scans).size).toBe(1);
});
