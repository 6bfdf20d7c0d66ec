// A snapshot of real folders, and what is put back of them: contents, owners, modes, times, links, attributes and ACLs, what was added
// and what was taken away; and what happens when it can not be taken, or is cut short on the way back.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type AttributeAccess, attributeAccess } from '../../system/attributes.js';
import { flagAccess } from '../../system/inode-flags.js';
import { run } from '../../system/run.js';
import { goBackTo, noteAfter, type SnapshotDeps, takeSnapshot, wayBack } from './snapshot.js';

let dir: string;
let deps: SnapshotDeps;
const attributes = attributeAccess(run);
const flags = flagAccess(run);
const at = (path: string) => join(dir, path);
const place = () => ({ dir: at('snapshot'), at: at('order') });

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ringmaster-snapshot-'));
  for (const folder of ['etc/ssh', 'log', 'order']) mkdirSync(at(folder), { recursive: true });
  writeFileSync(at('etc/ssh/sshd_config'), 'Port 22\n', { mode: 0o600 });
  writeFileSync(at('etc/gone'), 'was here\n');
  writeFileSync(at('log/big'), 'not kept\n', { mode: 0o644 });
  symlinkSync('../a', at('etc/link'));
  for (const path of ['etc/ssh/sshd_config', 'etc/gone', 'etc/ssh', 'etc']) utimesSync(at(path), 1_000, 1_000_000.123);
  deps = { run, attributes, flags, large: at('large'), roots: { content: [at('etc')], modes: [at('log')] } };
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const take = () => takeSnapshot(deps, at('snapshot'));
const mode = (path: string) => (lstatSync(at(path)).mode & 0o7777).toString(8);
const short = (paths: readonly string[]) => paths.map((path) => path.slice(dir.length + 1));
const attributesOf = async (path: string) => (await attributes.read([at(path)]))?.[at(path)];
/** `user::rw-`, `user:<id>:r--`, `group::r--`, `mask::r--`, `other::---` as the kernel keeps it (acl(5), posix_acl_xattr.h). */
const acl = (user: number) => {
  const entry = (tag: number, permissions: number, id: number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt16LE(tag, 0);
    bytes.writeUInt16LE(permissions, 2);
    bytes.writeUInt32LE(id, 4);
    return bytes;
  };
  const none = 0xffff_ffff;
  const version = Buffer.from([2, 0, 0, 0]);
  const entries = [entry(1, 6, none), entry(2, 4, user), entry(4, 4, none), entry(16, 4, none), entry(32, 0, none)];
  return Buffer.concat([version, ...entries]).toString('hex');
};

test('puts back what changed, takes away what was added, and touches nothing else', async () => {
  expect(await take()).toEqual({ ok: true, notKept: [] });
  writeFileSync(at('etc/ssh/sshd_config'), 'Nonsense yes\n');
  chmodSync(at('etc/ssh/sshd_config'), 0o644);
  chmodSync(at('etc/ssh'), 0o700);
  rmSync(at('etc/gone'));
  rmSync(at('etc/link'));
  writeFileSync(at('etc/link'), 'a file now');
  mkdirSync(at('etc/new.d'));
  writeFileSync(at('etc/new.d/one'), '1');
  chmodSync(at('log/big'), 0o600);
  await noteAfter(deps, at('snapshot'));
  // Others go on meanwhile.
  writeFileSync(at('log/big'), 'goes on');
  writeFileSync(at('log/another'), 'of others');
  writeFileSync(at('etc/of-others'), 'too');
  const { ours, foreign } = await wayBack(deps, place());
  expect(short(ours)).toEqual([
    'etc',
    'etc/gone',
    'etc/link',
    'etc/new.d',
    'etc/new.d/one',
    'etc/ssh',
    'etc/ssh/sshd_config',
    'log/big',
  ]);
  expect(foreign).toEqual([]);
  expect(await goBackTo(deps, place())).toEqual([]);
  expect(readFileSync(at('etc/ssh/sshd_config'), 'utf8')).toBe('Port 22\n');
  expect([mode('etc/ssh/sshd_config'), mode('etc/ssh'), mode('log/big')]).toEqual(['600', '755', '644']);
  expect(['etc/ssh/sshd_config', 'etc/gone', 'etc/ssh', 'etc'].map((path) => lstatSync(at(path)).mtimeMs)).toEqual([
    1_000_000_123, 1_000_000_123, 1_000_000_123, 1_000_000_123,
  ]);
  expect(readFileSync(at('etc/gone'), 'utf8')).toBe('was here\n');
  expect(readlinkSync(at('etc/link'))).toBe('../a');
  expect(existsSync(at('etc/new.d'))).toBe(false);
  // Of logs only modes and owners are kept: what was written since stays, and so does what others added.
  expect(readFileSync(at('log/big'), 'utf8')).toBe('goes on');
  expect([existsSync(at('log/another')), existsSync(at('etc/of-others'))]).toEqual([true, true]);
});

test('what others changed after the fixes is left alone and named', async () => {
  await take();
  writeFileSync(at('etc/gone'), 'by the fix');
  writeFileSync(at('etc/ssh/sshd_config'), 'by the fix');
  mkdirSync(at('etc/new.d'));
  writeFileSync(at('etc/new.d/by-the-fix'), '');
  await noteAfter(deps, at('snapshot'));
  writeFileSync(at('etc/gone'), 'by its owner');
  writeFileSync(at('etc/new.d/by-its-owner'), 'kept');
  expect(await goBackTo(deps, place())).toEqual([]);
  expect(short((await wayBack(deps, place())).foreign)).toEqual(['etc/gone', 'etc/new.d']);
  expect(['by-the-fix', 'by-its-owner'].map((name) => existsSync(at(`etc/new.d/${name}`)))).toEqual([false, true]);
  expect(readFileSync(at('etc/gone'), 'utf8')).toBe('by its owner');
  expect(readFileSync(at('etc/ssh/sshd_config'), 'utf8')).toBe('Port 22\n');
});

test('a folder in place of a file, and a file in place of a folder, come back as they were', async () => {
  await take();
  rmSync(at('etc/ssh'), { recursive: true });
  writeFileSync(at('etc/ssh'), 'a file');
  rmSync(at('etc/gone'));
  mkdirSync(at('etc/gone/deep'), { recursive: true });
  expect(await goBackTo(deps, place())).toEqual([]);
  expect([readFileSync(at('etc/gone'), 'utf8'), mode('etc/ssh/sshd_config')]).toEqual(['was here\n', '600']);
});

describe('extended attributes and ACLs', () => {
  test('come back: changed, taken away, added, and lost with the file; a fix that touches nothing else is noticed', async () => {
    const wanted = {
      'user.origin': Buffer.from('by "hand"\n\0').toString('hex'),
      'system.posix_acl_access': acl(1234),
    };
    expect(await attributes.write(new Map([[at('etc/gone'), wanted]]))).toEqual([]);
    expect((await run(['ls', '-l', at('etc/gone')])).stdout).toMatch(/^-rw-r-----\+/);
    await attributes.write(new Map([[at('log/big'), { 'user.kept': '00' }]]));
    await take();
    const changed = { 'user.origin': '00', 'user.new': '01', 'system.posix_acl_access': acl(99) };
    await attributes.write(new Map([[at('etc/gone'), changed]]));
    await attributes.write(new Map([[at('etc/ssh'), { 'system.posix_acl_default': acl(7) }]]));
    await attributes.write(new Map([[at('log/big'), {}]]));
    await noteAfter(deps, at('snapshot'));
    expect(short((await wayBack(deps, place())).ours)).toEqual(['etc/gone', 'etc/ssh', 'log/big']);
    expect(await goBackTo(deps, place())).toEqual([]);
    expect(await attributesOf('etc/gone')).toEqual(wanted);
    expect(await attributesOf('etc/ssh')).toBeUndefined();
    expect(await attributesOf('log/big')).toEqual({ 'user.kept': '00' });

    rmSync(at('etc/gone'));
    rmSync(at('order/decided-back.json'));
    rmSync(at('snapshot/after.json'));
    expect(await goBackTo(deps, place())).toEqual([]);
    expect(await attributesOf('etc/gone')).toEqual(wanted);
    expect(mode('etc/gone')).toBe('640');
  });

  test('are not followed through links, nor written through a folder that became one', async () => {
    symlinkSync(at('etc/gone'), at('etc/to-gone'));
    mkdirSync(at('home'));
    writeFileSync(at('home/gone'), '');
    await attributes.write(new Map([[at('etc/to-gone'), {}]]));
    expect(await attributesOf('etc/to-gone')).toBeUndefined();
    rmSync(at('home'), { recursive: true });
    symlinkSync('etc', at('home'));
    const problems = await attributes.write(new Map([[at('home/gone'), { 'user.evil': '00' }]]));
    expect(problems).toEqual([`user.evil of ${at('home/gone')}: is not where it was`]);
    expect(await attributesOf('etc/gone')).toBeUndefined();
  });

  const having = (found: Record<string, Record<string, string>> | null): AttributeAccess => ({
    read: async () => found,
    write: async () => [],
  });

  test('that can not be put back: declined before anything is touched; where contents are not kept, said', async () => {
    deps = { ...deps, attributes: having({ [at('etc/gone')]: { 'security.evm': '00' } }) };
    expect(await take()).toEqual({
      ok: false,
      reason: `no snapshot: can not put back security.evm of ${at('etc/gone')}`,
    });
    deps = { ...deps, attributes: having({ [at('log/big')]: { 'system.nfs4_acl': '00' } }) };
    expect(await take()).toEqual({ ok: true, notKept: [`system.nfs4_acl of ${at('log/big')}`] });
  });

  test('that can not even be looked at are named as not kept', async () => {
    deps = { ...deps, attributes: having(null) };
    expect(await take()).toEqual({
      ok: true,
      notKept: [expect.stringMatching(/^extended attributes, ACLs and flags \(chattr\)/)],
    });
    const gone = attributeAccess(async () => ({ code: 127, stdout: '', stderr: 'ENOENT', timedOut: false }));
    expect(await gone.read([at('etc')])).toBeNull();
    expect(await attributeAccess(run, 'mips').read([at('etc')])).toBeNull();
  });
});

describe('flags (chattr)', () => {
  const IMMUTABLE = 0x10;
  const APPEND_ONLY = 0x20;
  /** Where tests run there may be a filesystem without them, or nobody who may set them. */
  const probe = mkdtempSync(join(tmpdir(), 'ringmaster-flags-'));
  const able = spawnSync('chattr', ['+i', probe]).status === 0;
  if (able) spawnSync('chattr', ['-i', probe]);
  rmSync(probe, { recursive: true });
  const whereAble = able ? test : test.skip;
  const set = async (wanted: Record<string, number>) =>
    expect(await flags.write(new Map(Object.entries(wanted).map(([path, value]) => [at(path), value])))).toEqual([]);
  const look = async () => {
    const found = (await flags.read(['etc', 'etc/ssh', 'etc/ssh/sshd_config', 'etc/gone', 'log/big'].map(at))) ?? {};
    return Object.fromEntries(Object.entries(found).map(([path, value]) => [path.slice(dir.length + 1), value]));
  };
  afterEach(async () => {
    await flags.write(new Map(Object.keys(await look()).map((path) => [at(path), 0])));
  });

  whereAble('come back, also of what nobody may write, and of folders in which nobody may make anything', async () => {
    await set({
      'etc/ssh/sshd_config': IMMUTABLE,
      'etc/ssh': IMMUTABLE,
      'etc/gone': APPEND_ONLY,
      'log/big': IMMUTABLE,
    });
    const before = await look();
    expect(Object.keys(before)).toHaveLength(4);
    expect(await take()).toEqual({ ok: true, notKept: [] });
    // As fixes do that know about flags: off, the change, and some of them on again.
    await set({ 'etc/ssh/sshd_config': 0, 'etc/ssh': 0, 'etc/gone': 0, 'log/big': 0 });
    writeFileSync(at('etc/ssh/sshd_config'), 'by the fix');
    writeFileSync(at('etc/ssh/new'), 'by the fix');
    chmodSync(at('log/big'), 0o600);
    rmSync(at('etc/gone'));
    await set({ 'etc/ssh/sshd_config': APPEND_ONLY, 'etc/ssh/new': IMMUTABLE, 'etc/ssh': IMMUTABLE, etc: IMMUTABLE });
    await noteAfter(deps, at('snapshot'));
    for (let times = 0; times < 2; times += 1) expect(await goBackTo(deps, place())).toEqual([]);
    expect(await look()).toEqual(before);
    expect([readFileSync(at('etc/ssh/sshd_config'), 'utf8'), existsSync(at('etc/ssh/new'))]).toEqual([
      'Port 22\n',
      false,
    ]);
    expect([readFileSync(at('etc/gone'), 'utf8'), mode('log/big')]).toEqual(['was here\n', '644']);
  });

  whereAble('that are all a fix has changed are noticed, and go back', async () => {
    await take();
    await set({ 'etc/gone': IMMUTABLE });
    await noteAfter(deps, at('snapshot'));
    expect(short((await wayBack(deps, place())).ours)).toEqual(['etc/gone']);
    expect(await goBackTo(deps, place())).toEqual([]);
    expect(await look()).toEqual({});
  });

  test('a link is not followed, and where nothing can set them that is said', async () => {
    symlinkSync('gone', at('etc/to-gone'));
    expect(await flags.write(new Map([[at('etc/to-gone'), IMMUTABLE]]))).toEqual([
      expect.stringMatching(/^flags of .*to-gone: /),
    ]);
    expect(await look()).toEqual({});
    const none = flagAccess(async () => ({ code: 127, stdout: '', stderr: 'ENOENT', timedOut: false }));
    expect([await none.read([at('etc')]), await none.write(new Map([[at('etc'), IMMUTABLE]]))]).toEqual([
      null,
      ['flags of files (chattr) can not be set on this host'],
    ]);
  });
});

describe('large files', () => {
  const large = () => {
    writeFileSync(at('etc/large'), 'begins');
    truncateSync(at('etc/large'), 24 * 1024 * 1024 + 1);
  };

  test('come back whole', async () => {
    large();
    await take();
    writeFileSync(at('etc/large'), 'x', { flag: 'r+' });
    await noteAfter(deps, at('snapshot'));
    expect(await goBackTo(deps, place())).toEqual([]);
    expect(lstatSync(at('etc/large')).size).toBe(24 * 1024 * 1024 + 1);
    expect(readFileSync(at('etc/large')).subarray(0, 6).toString()).toBe('begins');
  });

  test('are read once, while they are copied', async () => {
    const read = () => Number(/^rchar: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);
    large();
    const before = read();
    await take();
    expect(read() - before).toBeLessThan(1.5 * 24 * 1024 * 1024);
  });

  test('that do not fit: declined with how much and which, and nothing is copied', async () => {
    large();
    let asked = 0;
    deps = {
      ...deps,
      spaceObjection: (writes) => {
        asked = writes.reduce((sum, { bytes }) => sum + bytes, 0);
        return 'not enough disk space on /var: much needed, little free';
      },
    };
    expect(await take()).toEqual({
      ok: false,
      reason: `no snapshot: not enough disk space on /var: much needed, little free; the largest of what would be copied is ${at('etc/large')} with 25165825 bytes`,
    });
    // And as much again for the way back.
    expect(asked).toBe(2 * (25_165_825 + 'Port 22\n'.length + 'was here\n'.length));
    expect(existsSync(at('snapshot/files'))).toBe(false);
  });

  test('that have not changed are one copy, however many snapshots there are', async () => {
    large();
    await take();
    expect(await takeSnapshot(deps, at('another'))).toEqual({ ok: true, notKept: [] });
    const copy = lstatSync(at('another/files') + at('etc/large'));
    expect([copy.nlink, copy.ino]).toEqual([3, lstatSync(at('snapshot/files') + at('etc/large')).ino]);
    expect(readdirSync(at('large'))).toHaveLength(1);
  });

  test('a copy that was damaged is not put back', async () => {
    await take();
    writeFileSync(at('snapshot/files') + at('etc/gone'), 'rotten');
    writeFileSync(at('etc/gone'), 'by the fix');
    await noteAfter(deps, at('snapshot'));
    await expect(goBackTo(deps, place())).rejects.toThrow(`what was kept of ${at('etc/gone')} is damaged`);
    expect(readFileSync(at('etc/gone'), 'utf8')).toBe('by the fix');
  });
});

test('pipes and sockets are named as not kept, and neither opened nor waited for', async () => {
  await run(['mkfifo', at('etc/pipe')]);
  expect(await take()).toEqual({ ok: true, notKept: [`neither file, folder nor link: ${at('etc/pipe')}`] });
});

test('a snapshot that an agent before this one took, of entries alone, is gone back to all the same', async () => {
  await take();
  const { entries } = JSON.parse(readFileSync(at('snapshot/before.json'), 'utf8'));
  writeFileSync(at('snapshot/before.json'), JSON.stringify(entries));
  writeFileSync(at('etc/gone'), 'by the fix');
  writeFileSync(at('snapshot/after.json'), JSON.stringify({ ...entries, [at('etc/gone')]: entryOf('by the fix') }));
  expect(await goBackTo(deps, place())).toEqual([]);
  expect(readFileSync(at('etc/gone'), 'utf8')).toBe('was here\n');

  function entryOf(text: string): string {
    const [kind, , ...owner] = entries[at('etc/gone')].split(' ');
    return [kind, createHash('sha256').update(text).digest('hex'), ...owner].join(' ');
  }
});

describe('killed', () => {
  test('while the snapshot is taken: there is none, and the next try is whole', async () => {
    mkdirSync(at('snapshot/files'), { recursive: true });
    writeFileSync(at('snapshot/files/half'), 'of it');
    await expect(wayBack(deps, place())).rejects.toThrow('there is no snapshot to go back to');
    await take();
    expect(existsSync(at('snapshot/files/half'))).toBe(false);
  });

  test('at any point on the way back: done again, it ends as before', async () => {
    await take();
    writeFileSync(at('etc/ssh/sshd_config'), 'by the fix\n');
    chmodSync(at('etc/ssh'), 0o700);
    rmSync(at('etc/gone'));
    mkdirSync(at('etc/new.d'));
    await noteAfter(deps, at('snapshot'));
    await wayBack(deps, place());
    // Half of it: a folder whose mode is neither, a new file that has not taken its place, one that has, one still to go.
    chmodSync(at('etc/ssh'), 0o711);
    writeFileSync(at('etc/ssh/sshd_config.ringmaster-new'), 'Por');
    writeFileSync(at('etc/gone'), 'was here\n');
    linkSync(at('etc/gone'), at('etc/gone.ringmaster-new'));
    expect(await goBackTo(deps, place())).toEqual([]);
    expect([mode('etc/ssh'), readFileSync(at('etc/ssh/sshd_config'), 'utf8')]).toEqual(['755', 'Port 22\n']);
    expect(
      ['etc/new.d', 'etc/ssh/sshd_config.ringmaster-new', 'etc/gone.ringmaster-new'].map((p) => existsSync(at(p))),
    ).toEqual([false, false, false]);
    expect(await goBackTo(deps, place())).toEqual([]);
  });
});
