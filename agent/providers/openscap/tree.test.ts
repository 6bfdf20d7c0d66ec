// A snapshot of folders, and what is put back of them: contents, modes, links, what was added and what was taken away.
import {
  chmodSync,
  existsSync,
  lstatSync,
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
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { copyTree, differences, listTree, putBack } from './tree.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ringmaster-tree-'));
  mkdirSync(join(dir, 'etc/ssh'), { recursive: true });
  mkdirSync(join(dir, 'log'));
  writeFileSync(join(dir, 'etc/ssh/sshd_config'), 'Port 22\n', { mode: 0o600 });
  writeFileSync(join(dir, 'etc/gone'), 'was here\n');
  writeFileSync(join(dir, 'log/big'), 'not kept\n', { mode: 0o644 });
  symlinkSync('../a', join(dir, 'etc/link'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const list = () => listTree([join(dir, 'etc')], [join(dir, 'log')]);
const mode = (path: string) => (lstatSync(join(dir, path)).mode & 0o7777).toString(8);

test('puts back what changed, takes away what was added, and touches nothing else', () => {
  const before = list();
  copyTree(before, join(dir, 'copies'));
  writeFileSync(join(dir, 'etc/ssh/sshd_config'), 'Nonsense yes\n');
  chmodSync(join(dir, 'etc/ssh/sshd_config'), 0o644);
  chmodSync(join(dir, 'etc/ssh'), 0o700);
  rmSync(join(dir, 'etc/gone'));
  rmSync(join(dir, 'etc/link'));
  writeFileSync(join(dir, 'etc/link'), 'a file now');
  mkdirSync(join(dir, 'etc/new.d'));
  writeFileSync(join(dir, 'etc/new.d/one'), '1');
  chmodSync(join(dir, 'log/big'), 0o600);
  writeFileSync(join(dir, 'log/big'), 'goes on');
  const paths = differences(before, list());
  expect(paths.map((path) => path.slice(dir.length + 1))).toEqual([
    'etc/gone',
    'etc/link',
    'etc/new.d',
    'etc/new.d/one',
    'etc/ssh',
    'etc/ssh/sshd_config',
    'log/big',
  ]);
  putBack({ paths, before, copies: join(dir, 'copies') });
  expect(differences(before, list())).toEqual([]);
  expect(readFileSync(join(dir, 'etc/ssh/sshd_config'), 'utf8')).toBe('Port 22\n');
  expect([mode('etc/ssh/sshd_config'), mode('log/big')]).toEqual(['600', '644']);
  expect(readFileSync(join(dir, 'etc/gone'), 'utf8')).toBe('was here\n');
  expect(readlinkSync(join(dir, 'etc/link'))).toBe('../a');
  expect(existsSync(join(dir, 'etc/new.d'))).toBe(false);
  // Of logs only modes and owners are kept: what was written since stays.
  expect(readFileSync(join(dir, 'log/big'), 'utf8')).toBe('goes on');
  putBack({ paths, before, copies: join(dir, 'copies') });
  expect(differences(before, list())).toEqual([]);
});

test('a folder in place of a file, and a file in place of a folder, come back as they were', () => {
  const before = list();
  copyTree(before, join(dir, 'copies'));
  rmSync(join(dir, 'etc/ssh'), { recursive: true });
  writeFileSync(join(dir, 'etc/ssh'), 'a file');
  rmSync(join(dir, 'etc/gone'));
  mkdirSync(join(dir, 'etc/gone/deep'), { recursive: true });
  putBack({ paths: differences(before, list()), before, copies: join(dir, 'copies') });
  expect(differences(before, list())).toEqual([]);
});
