/** dpkg's lock, with the real apt on a package database of its own; its dpkg is `false`, so nothing can be installed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { startRun } from '../../system/detached-run.js';
import { type Run, run } from '../../system/run.js';
import type { Provider, Transaction } from '../provider.js';
import { createAptProvider } from './index.js';
import { lockedOut } from './lock.js';

const HOLD =
  'use Fcntl; my $l = pack("s s l! l! i x4", F_WRLCK, 0, 0, 0, 0); open(F, ">>", $ARGV[0]); fcntl(F, F_SETLK, $l) or die; $| = 1; print "held"; sleep 60';
const aptHere = existsSync('/usr/bin/apt-get') && existsSync('/usr/bin/perl') && process.getuid?.() === 0;

let dir: string;
let tx: Transaction;
let holder: ChildProcess | null;
let started: string[][];
/** What stands in for apt's run, as a script; null: the real one. */
let instead: string | null;
let provider: Provider;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'apt-lock-'));
  for (const folder of ['dpkg', 'order', 'content']) mkdirSync(join(dir, folder));
  writeFileSync(join(dir, 'dpkg/status'), '');
  writeFileSync(join(dir, 'content/app.deb'), 'no package');
  writeFileSync(
    join(dir, 'apt.conf'),
    `Dir::State::status "${dir}/dpkg/status";\nDir::State::extended_states "${dir}/extended_states";\nDir::Bin::dpkg "/bin/false";\n`,
  );
  const change = { name: 'app', arch: 'all', from: '1', to: '2', source: 'app', previousFile: null };
  tx = { orderId: 'order', dir: join(dir, 'order'), changes: [{ ...change, file: join(dir, 'content/app.deb') }] };
  holder = null;
  started = [];
  instead = null;
  const here: Run = (argv, options) => run(argv, { ...options, env: { APT_CONFIG: join(dir, 'apt.conf') } });
  provider = await createAptProvider({
    run: here,
    now: Date.now,
    log: () => undefined,
    start: (args) => {
      started.push([...args.argv]);
      const argv = instead === null ? ['env', `APT_CONFIG=${dir}/apt.conf`, ...args.argv] : ['sh', '-c', instead];
      return startRun({ ...args, argv });
    },
  });
});
afterEach(() => {
  holder?.kill();
  rmSync(dir, { recursive: true, force: true });
});

/** Another process takes one of dpkg's locks as dpkg does. */
async function hold(lock: string): Promise<void> {
  const child = spawn('/usr/bin/perl', ['-e', HOLD, join(dir, 'dpkg', lock)], { stdio: ['ignore', 'pipe', 'inherit'] });
  holder = child;
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve());
    child.once('exit', (code) => reject(new Error(`the lock was not taken: exit ${code}`)));
  });
}

(aptHere ? describe : describe.skip)('with the real apt (as root)', () => {
  test.each(['lock-frontend', 'lock'])('%s is taken: who has it, and nothing begins', async (lock) => {
    expect(await provider.othersAtWork?.(tx)).toBe(null);
    await hold(lock);
    const who = `another package manager has dpkg's lock: process ${holder?.pid} (perl)`;
    expect(await provider.othersAtWork?.(tx)).toBe(who);
    expect(await provider.run(tx, 'forward', { again: false })).toMatchObject({ interrupted: false, notBegun: who });
    expect(started[0]).toContain('DPkg::Lock::Timeout=0');
    expect(await provider.hasBegun(tx, 'forward')).toBe(false);
  });
});

describe('a run that was locked out', () => {
  const LOCKED =
    'echo "E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?"; exit 100';
  test('is started again, and only then counts as begun; what has begun waits for the lock, and is not repeated', async () => {
    instead = LOCKED;
    for (const times of [1, 2]) {
      expect((await provider.run(tx, 'forward', { again: false })).notBegun).toBe(
        "another package manager has dpkg's lock",
      );
      expect([started.length, await provider.hasBegun(tx, 'forward')]).toEqual([times, false]);
    }
    instead = 'echo "Unpacking app"; exit 1';
    expect((await provider.run(tx, 'forward', { again: false })).notBegun).toBe(undefined);
    expect([started.length, await provider.hasBegun(tx, 'forward')]).toEqual([3, true]);
    instead = LOCKED;
    expect(await provider.run(tx, 'forward', { again: false })).toMatchObject({ output: 'Unpacking app' });
    expect(started).toHaveLength(3);
    expect((await provider.run(tx, 'forward', { again: true })).notBegun).toBe(undefined);
    expect(started[3]).toContain('DPkg::Lock::Timeout=600');
  });

  test('is, where going back was ordered, no beginning either; an undoing has begun with its change, and waits', async () => {
    instead = LOCKED;
    writeFileSync(join(dir, 'content/old.deb'), 'no package');
    const [change] = tx.changes as [Transaction['changes'][number]];
    tx = { ...tx, changes: [{ ...change, previousFile: join(dir, 'content/old.deb') }] };
    expect((await provider.run(tx, 'back', { again: false })).notBegun).toBe("another package manager has dpkg's lock");
    expect(await provider.hasBegun(tx, 'back')).toBe(false);
    expect(started.at(-1)).toContain('DPkg::Lock::Timeout=0');
    await provider.snapshot(tx);
    instead = 'echo "Unpacking app"; exit 1';
    expect((await provider.run(tx, 'back', { again: true })).notBegun).toBe(undefined);
    expect(
      started.find((argv) => argv.includes('--allow-downgrades') && argv.includes('DPkg::Lock::Timeout=600')),
    ).toBeDefined();
  });

  test.each(['frontend', 'database'])('is one of which dpkg says it, of its %s lock', (lock) => {
    const output = `dpkg: error: dpkg ${lock} lock was locked by another process with pid 7\nNote: removing the lock file is always wrong`;
    expect(lockedOut(output)).toBe("another package manager has dpkg's lock: process with pid 7");
    expect(lockedOut(`Removing app (1) ...\n${output}`)).toBe(null);
  });

  test.each([
    [
      'dpkg worked before',
      'Unpacking app (2) ...\nE: Unable to lock the administration directory (/var/lib/dpkg/), is another process using it?',
    ],
    ['nobody has it', 'E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), are you root?'],
    ['something else is wrong', 'E: Could not get lock /srv/archives/lock. It is held by process 1 (init)'],
  ])('is not one of which %s', (_, output) => {
    expect(lockedOut(output)).toBe(null);
  });
});
