// A host's stamp differs when something has changed that a rule may look at, and only then.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createHostStamp, HOST } from './host-state.js';

let dir: string;
let services: string[];
let stamp: () => string;
let clock: number;
let said: unknown[];
const deps = { now: () => clock, log: (_: string, fields?: object) => said.push(fields) };
const write = (path: string, text: string) => {
  mkdirSync(dirname(join(dir, path)), { recursive: true });
  writeFileSync(join(dir, path), text);
};
const MOUNTS = [
  '22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw',
  '31 22 0:25 / /tmp rw,nosuid,nodev,noexec shared:9 - tmpfs tmpfs rw',
];
const mounts = (...lines: string[]) => write('mountinfo', `${lines.join('\n')}\n`);
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ringmaster-host-'));
  services = ['ssh.service'];
  write('etc/ssh/sshd_config', 'PermitRootLogin no\n');
  write('sys/net/ipv4/ip_forward', '0\n');
  write('sys/net/ipv4/conf/all/rp_filter', '1\n');
  write('sys/net/ipv4/conf/veth1/rp_filter', '1\n');
  write('sys/kernel/random/uuid', 'a\n');
  write('dpkg', 'Package: aide\n');
  mounts(...MOUNTS);
  [clock, said] = [0, []];
  stamp = createHostStamp(
    {
      files: [join(dir, 'etc'), join(dir, 'missing')],
      settings: join(dir, 'sys'),
      mounts: [join(dir, 'none'), join(dir, 'mountinfo')],
      packages: join(dir, 'dpkg'),
      services: () => services,
    },
    deps,
  );
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe('differs with', () => {
  test.each<[string, () => void]>([
    ['a kernel setting', () => write('sys/net/ipv4/ip_forward', '1\n')],
    ['one that the kernel lowers by itself', () => write('sys/kernel/perf_event_max_sample_rate', '63000\n')],
    ['one of all interfaces', () => write('sys/net/ipv4/conf/all/rp_filter', '0\n')],
    ['a mount that lost an option', () => mounts(MOUNTS[0] as string, (MOUNTS[1] as string).replace(',noexec', ''))],
    ['a mount that is gone', () => mounts(MOUNTS[0] as string)],
    ['packages', () => write('dpkg', 'Package: telnetd\n')],
    ['a service that runs no more', () => services.pop()],
    ['a file', () => write('etc/sudoers.d/eve', 'eve ALL=ALL\n')],
    ['a mode', () => chmodSync(join(dir, 'etc/ssh/sshd_config'), 0o666)],
  ])('%s', (_, change) => {
    const before = stamp();
    expect(stamp()).toBe(before);
    change();
    expect(stamp()).not.toBe(before);
  });
});

describe('stays with', () => {
  test.each<[string, () => void]>([
    ['what is read and not set', () => write('sys/kernel/random/uuid', 'b\n')],
    ['an interface of a container', () => write('sys/net/ipv4/conf/veth2/rp_filter', '0\n')],
    ['a session’s mount', () => mounts(...MOUNTS, '40 22 0:50 / /run/user/1000 rw shared:3 - tmpfs tmpfs rw')],
    [
      'other numbers of the same mounts',
      () => mounts(...MOUNTS.map((line) => line.replace(/^\d+ \d+/, '99 98').replace(/shared:\d+/, 'shared:77'))),
    ],
  ])('%s', (_, change) => {
    const before = stamp();
    change();
    expect(stamp()).toBe(before);
  });
});

test('what was changed before the newest file was differs as well', () => {
  // Change times can't be set. So the change is made first, where nobody looks yet, and then comes to be where they look.
  write('as-it-was/sshd_config', 'PermitRootLogin no\n');
  write('changed/sshd_config', 'PermitRootLogin yes\n');
  symlinkSync(join(dir, 'as-it-was'), join(dir, 'now'));
  write('ahead/file', 'of a time when the clock was wrong\n');
  const files = [join(dir, 'now/sshd_config'), join(dir, 'ahead')];
  const look = createHostStamp({ ...HOST, files, settings: join(dir, 'none'), mounts: [], services: () => [] }, deps);
  const before = look();
  expect(look()).toBe(before);
  rmSync(join(dir, 'now'));
  symlinkSync(join(dir, 'changed'), join(dir, 'now'));
  expect(look()).not.toBe(before);
});

test('what differs at every look is taken for a reading for an hour, which is told; one that settles is a setting', () => {
  const turn = (n: number) => {
    write('sys/kernel/odd', `${n}\n`);
    return stamp();
  };
  turn(0);
  const looks = [1, 2, 3].map(turn);
  expect(new Set(looks).size).toBe(3);
  expect(said).toEqual([]);
  turn(4);
  const settled = turn(5);
  expect(turn(6)).toBe(settled);
  expect(turn(7)).toBe(settled);
  expect(said).toEqual([{ setting: 'kernel/odd' }]);
  write('sys/net/ipv4/ip_forward', '1\n');
  expect(stamp()).not.toBe(settled);
  clock += 3_600_000;
  const again = turn(7);
  expect(turn(8)).not.toBe(again);
});

test('of this very host nothing differs from one look to the next but what was changed', () => {
  const here = createHostStamp({ ...HOST, files: [], services: () => [] }, deps);
  const looks = [here(), here(), here()];
  expect(new Set(looks).size).toBe(1);
});
