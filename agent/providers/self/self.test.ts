// An update of the agent, cut short at each of its writes: whatever is on the disk then, the launcher starts one whole agent, and
// the order goes on to one outcome.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { SELF_PACKAGE } from '../../../protocol/messages.js';
import { BUNDLE_NAME } from '../../self/launcher.js';
import type { Transaction } from '../provider.js';
import { createSelfProvider, type Slot, selfPlace } from './index.js';

class Restarted extends Error {}

let dir: string;
let slotsDir: string;
let tx: Transaction;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ringmaster-self-'));
  slotsDir = join(dir, 'slots');
  for (const [name, text] of Object.entries({ 'old.mjs': 'import "old";\n', 'new.mjs': 'import "new";\n' }))
    writeFileSync(join(dir, name), text);
  const change = { name: SELF_PACKAGE, arch: 'all', source: 'ringmaster-agent', from: '1.0.0', to: '1.0.1' };
  tx = {
    orderId: 'o',
    dir: join(dir, 'order'),
    changes: [{ ...change, file: join(dir, 'new.mjs'), previousFile: join(dir, 'old.mjs') }],
  };
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const agent = (version: string, slot: Slot) =>
  createSelfProvider({
    place: { slotsDir, slot },
    version,
    program: join(dir, 'old.mjs'),
    restart: () => Promise.reject(new Restarted()),
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms / 20)),
    log: () => undefined,
  });
const at = (name: string) => join(slotsDir, name);
const current = () => {
  try {
    return readlinkSync(at('current'));
  } catch {
    return 'installed';
  }
};
const run = (version: string, slot: Slot, again = false) => agent(version, slot).run(tx, 'forward', { again });

describe('an update', () => {
  test('goes into the slot that is not in use, is on trial, and stays once the server has answered', async () => {
    expect(await agent('1.0.0', 'installed').simulate(tx, 'forward')).toEqual({ ok: true });
    await expect(run('1.0.0', 'installed')).rejects.toThrow(Restarted);
    expect(current()).toBe('a');
    expect(readFileSync(at(`a/${BUNDLE_NAME}`), 'utf8')).toBe('import "new";\n');
    expect(readFileSync(at('trial'), 'utf8')).toBe('a installed\n');

    const next = agent('1.0.1', 'a');
    expect(await next.judge(tx, 'forward')).toMatchObject({ ok: false });
    const ended = next.run(tx, 'forward', { again: false });
    next.checkedIn();
    expect(await ended).toMatchObject({ interrupted: false });
    expect(await next.judge(tx, 'forward')).toEqual({ ok: true });
    expect(existsSync(at('trial'))).toBe(false);
    // The one after that goes into the other slot.
    tx = {
      ...tx,
      orderId: 'p',
      dir: join(dir, 'p'),
      changes: tx.changes.map((c) => ({ ...c, from: '1.0.1', to: '1.0.2' })),
    };
    await expect(run('1.0.1', 'a')).rejects.toThrow(Restarted);
    expect([current(), readFileSync(at('trial'), 'utf8')]).toEqual(['b', 'b a\n']);
  });

  test('that the launcher took back is over, with its word for why; going back then has nothing left to do', async () => {
    await expect(run('1.0.0', 'installed')).rejects.toThrow(Restarted);
    for (const name of ['trial', 'current']) rmSync(at(name));
    writeFileSync(at('failed'), 'a did not reach the server in 3 starts of 120 s\n');
    expect(await run('1.0.0', 'installed')).toEqual({
      interrupted: false,
      output: expect.stringContaining('did not reach'),
    });
    const old = agent('1.0.0', 'installed');
    expect(await old.judge(tx, 'forward')).toMatchObject({
      reason: expect.stringContaining('did not reach the server'),
    });
    expect(await old.judge(tx, 'back')).toEqual({ ok: true });
    expect(await old.run(tx, 'back', { again: false })).toMatchObject({ interrupted: false });
    expect(current()).toBe('installed');
  });

  test.each([
    ['nothing yet', [], 'starts'],
    ['half a program', ['half'], 'starts'],
    ['the program', ['program'], 'starts'],
    ['the marker', ['program', 'marker'], 'cut short'],
    ['the trial', ['program', 'marker', 'trial'], 'cut short'],
    ['a link not renamed', ['program', 'marker', 'trial', 'link'], 'cut short'],
    ['the switch', ['program', 'marker', 'trial', 'switch'], 'starts'],
  ] as const)('cut short after %s goes on from what is there', async (_, left, what) => {
    for (const step of left) STEPS[step]();
    if (what === 'cut short') {
      expect(await run('1.0.0', 'installed')).toMatchObject({ interrupted: true });
      await expect(run('1.0.0', 'installed', true)).rejects.toThrow(Restarted);
    } else await expect(run('1.0.0', 'installed')).rejects.toThrow(Restarted);
    expect(current()).toBe('a');
    const next = agent('1.0.1', 'a');
    next.checkedIn();
    expect(await next.run(tx, 'forward', { again: false })).toMatchObject({ interrupted: false });
    expect(await next.judge(tx, 'forward')).toEqual({ ok: true });
  });

  const STEPS = {
    half: () => put(at(`a/${BUNDLE_NAME}.new`), 'imp'),
    program: () => put(at(`a/${BUNDLE_NAME}`), 'import "new";\n'),
    marker: () => put(join(tx.dir, 'self-forward'), 'a\n'),
    trial: () => put(at('trial'), 'a installed\n'),
    link: () => symlinkSync('a', at('current.new')),
    switch: () => symlinkSync('a', at('current')),
  };
  const put = (path: string, text: string) => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  };
});

describe('refused', () => {
  test('another package, a file that is no program, and an update on top of a trial', async () => {
    const self = agent('1.0.0', 'installed');
    const other = { ...tx, changes: tx.changes.map((c) => ({ ...c, name: 'bash' })) };
    expect(await self.simulate(other, 'forward')).toEqual({ ok: false, reason: 'bash is not this agent' });
    writeFileSync(join(dir, 'new.mjs'), '\x7fELF');
    expect(await self.simulate(tx, 'forward')).toEqual({ ok: false, reason: 'the file is no agent' });
    mkdirSync(slotsDir);
    writeFileSync(at('trial'), 'a installed\n');
    expect(await self.simulate(tx, 'forward')).toMatchObject({ ok: false });
  });

  test.each([
    [{}, null],
    [{ RINGMASTER_AGENT_SLOTS: 'relative', RINGMASTER_AGENT_SLOT: 'a' }, null],
    [{ RINGMASTER_AGENT_SLOTS: '/s', RINGMASTER_AGENT_SLOT: '../x' }, null],
    [
      { RINGMASTER_AGENT_SLOTS: '/s', RINGMASTER_AGENT_SLOT: 'b' },
      { slotsDir: '/s', slot: 'b' },
    ],
  ])('%j: %j', (env, place) => expect(selfPlace(env)).toEqual(place));
});

test('an agent that was not on trial, or is not the one on trial, ends nobody else’s', () => {
  mkdirSync(slotsDir);
  writeFileSync(at('trial'), 'b a\n');
  agent('1.0.0', 'a').checkedIn();
  expect(existsSync(at('trial'))).toBe(true);
});
