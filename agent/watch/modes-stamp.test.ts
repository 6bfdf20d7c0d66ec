// Which rules make modes and owners be looked at and where, and what makes their stamp differ.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { createModesStamp, type ModesDeps, modeRootsOf } from './modes-stamp.js';

describe('of rules', () => {
  const rule = (name: string) => `xccdf_org.ssgproject.content_rule_${name}`;
  test.each([
    ['file_permissions_binary_dirs', '/usr/bin'],
    ['file_permissions_binary_dirs', '/usr/local/sbin'],
    ['accounts_users_home_files_ownership', '/home'],
    ['file_permissions_home_dirs', '/root'],
    ['file_owner_var_log_syslog', '/var/log'],
    ['rsyslog_files_permissions', '/var/log'],
    ['file_permissions_library_dirs', '/usr/lib'],
    ['file_permissions_unauthorized_world_writable', '/usr/bin'],
    ['of_another_benchmark', '/home'],
  ])('%s looks at %s', (name, root) => expect(modeRootsOf([rule(name)])).toContain(root));

  test.each([
    'sysctl_fs_suid_dumpable',
    'sshd_disable_root_login',
    'file_permissions_etc_shadow',
    'mount_option_home_nosuid',
    'package_aide_installed',
    'audit_rules_privileged_commands_sudo',
  ])('%s looks at none', (name) => expect(modeRootsOf([rule(name)])).toEqual([]));

  test('libraries are looked at for the sake of their own rules only', () => {
    expect(modeRootsOf([rule('of_another_benchmark'), rule('file_permissions_home_dirs')])).not.toContain('/usr/lib');
  });
});

let dir: string;
let at: number;
let said: unknown[];
let mounts: string;
const stamps = (more: Partial<ModesDeps> = {}) => {
  const make = createModesStamp({ now: () => at, log: (_, fields) => said.push(fields), mounts, ...more });
  return async () => {
    at += 30_000;
    return make([join(dir, 'home')]);
  };
};
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ringmaster-modes-'));
  [at, said, mounts] = [0, [], join(dir, 'mountinfo')];
  mkdirSync(join(dir, 'home/ann/deep/deeper'), { recursive: true });
  writeFileSync(join(dir, 'home/ann/.bashrc'), '');
  writeFileSync(join(dir, 'home/ann/deep/deeper/file'), '');
  writeFileSync(mounts, '');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test.each<[string, () => void]>([
  ['a mode', () => chmodSync(join(dir, 'home/ann/.bashrc'), 0o666)],
  ['the mode of a folder', () => chmodSync(join(dir, 'home/ann'), 0o777)],
  ['one far below', () => chmodSync(join(dir, 'home/ann/deep/deeper/file'), 0o4755)],
  ['a file more', () => writeFileSync(join(dir, 'home/ann/new'), '')],
])('differs with %s', async (_, change) => {
  const stamp = stamps();
  const before = await stamp();
  expect(await stamp()).toBe(before);
  change();
  expect(await stamp()).not.toBe(before);
});

test('stays with what is written into files', async () => {
  const stamp = stamps();
  const before = await stamp();
  writeFileSync(join(dir, 'home/ann/.bashrc'), 'more');
  expect(await stamp()).toBe(before);
});

test('is made anew twice a minute, and of no roots not at all', async () => {
  const make = createModesStamp({ now: () => at, log: () => undefined, mounts });
  const roots = [join(dir, 'home')];
  const before = await make(roots);
  chmodSync(join(dir, 'home/ann'), 0o777);
  at += 29_999;
  expect(await make(roots)).toBe(before);
  at += 1;
  expect(await make(roots)).not.toBe(before);
  expect(await make([])).toBe('');
});

test('beyond its bounds nothing is looked at, which is told once; what is nearest comes first', async () => {
  const stamp = stamps({ bounds: { paths: 4, ms: 60_000 } });
  const before = await stamp();
  chmodSync(join(dir, 'home/ann/deep/deeper/file'), 0o666);
  expect(await stamp()).toBe(before);
  chmodSync(join(dir, 'home/ann/.bashrc'), 0o666);
  expect(await stamp()).not.toBe(before);
  expect(said).toEqual([{ below: join(dir, 'home'), looked: 4 }]);
});

test('where time has run out it is cut off at the same place from then on', async () => {
  const bounds = { paths: 100, ms: -1 };
  const stamp = stamps({ bounds });
  const before = await stamp();
  bounds.ms = 60_000;
  expect(await stamp()).toBe(before);
  expect(said).toEqual([{ below: join(dir, 'home'), looked: 0 }]);
  at += 3_600_000;
  expect(await stamp()).not.toBe(before);
});

test('other machines’ file systems are left alone', async () => {
  writeFileSync(mounts, `40 22 0:50 / ${join(dir, 'home/ann/deep')} rw - nfs4 server:/export rw\n`);
  const stamp = stamps();
  const before = await stamp();
  chmodSync(join(dir, 'home/ann/deep'), 0o700);
  expect(await stamp()).toBe(before);
  chmodSync(join(dir, 'home/ann'), 0o700);
  expect(await stamp()).not.toBe(before);
});

test('homes that are a link are looked at where they are', async () => {
  symlinkSync(join(dir, 'home'), join(dir, 'link'));
  const make = createModesStamp({ now: () => at, log: () => undefined, mounts });
  const before = await make([join(dir, 'link')]);
  at += 30_000;
  chmodSync(join(dir, 'home/ann'), 0o700);
  expect(await make([join(dir, 'link')])).not.toBe(before);
});
