// The launcher as the shell runs it, with a stand-in for the runtime; and killed at each of its steps.
import { spawnSync } from 'node:child_process';
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
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { BUNDLE_NAME, launcherText, TRIAL_STARTS } from './launcher.js';

let dir: string;
let slots: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ringmaster-launcher-'));
  slots = join(dir, 'slots');
  for (const slot of ['a', 'b']) mkdirSync(join(slots, slot), { recursive: true });
  // The "runtime" runs the "agent" as a shell script, whatever flags it is given.
  writeFileSync(
    join(dir, 'node'),
    '#!/bin/sh\nwhile case $1 in --*) true ;; *) false ;; esac; do shift; done\nexec sh "$@"\n',
    { mode: 0o755 },
  );
  writeFileSync(join(dir, 'installed.mjs'), says('installed'));
  launcher();
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const says = (name: string) => `echo "${name} $* slot=$RINGMASTER_AGENT_SLOT"\n`;
const launcher = (edit = (text: string) => text, trialSeconds = 20) => {
  const places = { node: join(dir, 'node'), bundle: join(dir, 'installed.mjs'), slots, trialSeconds };
  writeFileSync(join(dir, 'launch'), edit(launcherText(places)), { mode: 0o755 });
};
const agent = (slot: 'a' | 'b', script: string) => writeFileSync(join(slots, slot, BUNDLE_NAME), script);
const current = (slot: 'a' | 'b') => symlinkSync(slot, join(slots, 'current'));
const trial = (target: string, previous: string, tries?: number) => {
  writeFileSync(join(slots, 'trial'), `${target} ${previous}\n`);
  if (tries !== undefined) writeFileSync(join(slots, 'tries'), `${tries}\n`);
};
const launch = (...args: string[]) => {
  const { status, stdout, signal } = spawnSync(join(dir, 'launch'), args, { encoding: 'utf8', timeout: 15_000 });
  return { status, stdout: stdout.trim(), signal };
};
const there = (name: string) => existsSync(join(slots, name));
const linked = () => {
  try {
    return readlinkSync(join(slots, 'current'));
  } catch {
    return 'installed';
  }
};

describe('which agent starts', () => {
  test('the installed one, where there never was an update', () => {
    rmSync(slots, { recursive: true });
    expect(launch('run')).toMatchObject({ status: 0, stdout: 'installed run slot=installed' });
  });

  test.each(['a', 'b'] as const)('the one in slot %s once it has proven itself', (slot) => {
    agent(slot, says(slot));
    current(slot);
    expect(launch('run', '--config', 'x y')).toMatchObject({ stdout: `${slot} run --config x y slot=${slot}` });
  });

  test.each([
    ['an empty slot', () => current('a')],
    ['a link to anywhere else', () => symlinkSync('../../etc', join(slots, 'current'))],
  ])('the installed one instead of %s', (_, make) => {
    make();
    expect(launch('run').stdout).toBe('installed run slot=installed');
  });

  test('other commands than run neither count nor wait', () => {
    agent('a', says('a'));
    current('a');
    trial('a', 'installed');
    expect(launch('status').stdout).toBe('a status slot=a');
    expect([there('tries'), there('trial')]).toEqual([false, true]);
  });
});

describe('a trial', () => {
  test('that the new agent ends in time is over', () => {
    agent('a', `${says('a')}rm "${slots}/trial"\n`);
    current('a');
    trial('a', 'installed');
    expect(launch('run')).toMatchObject({ status: 0, stdout: 'a run slot=a' });
    expect([there('trial'), linked()]).toEqual([false, 'a']);
  });

  test.each([
    ['installed', 'installed'],
    ['a', 'a'],
  ] as const)('of one that ends each time goes back to %s after its starts, and says why', (previous, slot) => {
    agent('a', says('a'));
    agent('b', 'exit 7\n');
    current('b');
    trial('b', previous);
    for (let start = 0; start < TRIAL_STARTS; start++) expect(launch('run').status).toBe(7);
    expect(launch('run')).toMatchObject({ status: 0, stdout: `${slot} run slot=${slot}` });
    expect([linked(), there('trial'), there('tries')]).toEqual([previous, false, false]);
    expect(readFileSync(join(slots, 'failed'), 'utf8')).toMatch(/^b did not reach the server in 3 starts/);
  });

  test('of one that hangs is cut short', () => {
    launcher(undefined, 1);
    agent('a', 'exec sleep 30\n');
    current('a');
    trial('a', 'installed');
    expect(launch('run').status).toBe(137);
    expect(readFileSync(join(slots, 'tries'), 'utf8')).toBe('1\n');
  });

  test('whose switch never happened is forgotten', () => {
    agent('a', says('a'));
    trial('a', 'installed');
    expect(launch('run').stdout).toBe('installed run slot=installed');
    expect(there('trial')).toBe(false);
  });

  test.each(['', 'x', '-1'])('with a damaged count (%j) goes back rather than on for ever', (count) => {
    agent('a', 'exit 7\n');
    current('a');
    trial('a', 'installed');
    writeFileSync(join(slots, 'tries'), count);
    expect(launch('run').stdout).toBe('installed run slot=installed');
  });

  test('a power cut at any step of the way back: the next start finishes it', () => {
    const steps = launcherText({ node: '/n', bundle: '/b', slots: '/s' })
      .split('\n')
      .flatMap((line, at) => (/^\s*(sync|mv |echo \$|echo "|rm |case \$previous|exec "\$0")/.test(line) ? [at] : []));
    expect(steps.length).toBeGreaterThan(7);
    for (const at of steps) {
      for (const name of ['trial', 'tries', 'failed', 'current']) rmSync(join(slots, name), { force: true });
      agent('a', says('a'));
      agent('b', 'exit 7\n');
      current('b');
      trial('b', 'a', TRIAL_STARTS);
      launcher((text) => text.split('\n').toSpliced(at, 0, 'kill -KILL $$').join('\n'));
      launch('run');
      launcher();
      expect({ at, said: launch('run').stdout }).toEqual({ at, said: 'a run slot=a' });
      expect({ at, linked: linked(), trial: there('trial') }).toEqual({ at, linked: 'a', trial: false });
      expect(there('failed')).toBe(true);
    }
  });
});

test('a path that a shell would read differently is refused', () => {
  expect(() => launcherText({ node: "/a'b", bundle: '/b', slots: '/s' })).toThrow('is not a plain path');
});
