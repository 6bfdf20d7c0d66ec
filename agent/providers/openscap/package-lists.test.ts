// The lists of packages that were approved with what fixes install: by their digest, and nothing that is no list.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { packageListText } from '../../../domain/content/brings.js';
import { withLists } from './package-lists.js';
import type { RuleFix } from './package-plan.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ringmaster-lists-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const WANTED = { name: 'aide', arch: 'amd64', version: '0.18', sha256: 'a'.repeat(64) };
const LIBAIO = { name: 'libaio', arch: 'amd64', version: '0.3', sha256: 'b'.repeat(64) };

test('lists come by their digest; one that is none declines its rule alone', async () => {
  const texts = new Map([
    ['1'.repeat(64), packageListText([LIBAIO])],
    ['2'.repeat(64), 'rm -rf /\n'],
  ]);
  const asked: unknown[] = [];
  const ensure = async (file: { sha256: string; size: number }, options: object) => {
    asked.push({ ...file, ...options });
    const path = join(dir, `${file.sha256}.deb`);
    writeFileSync(path, texts.get(file.sha256) ?? '');
    return path;
  };
  const fix = (name: string, digit: string | null): RuleFix => ({
    rule: name,
    fix: { action: 'install', name, onlyIf: null },
    wanted: {
      ...WANTED,
      name,
      ...(digit === null ? {} : { brings: { sha256: digit.repeat(64), size: 100, packages: 1 } }),
    },
  });
  const of = [fix('aide', '1'), fix('nmap', '2'), fix('tree', null), { ...fix('telnet', null), wanted: null }];
  const { fixes, declined } = await withLists({ ensure }, { fixes: of, bytesPerSecond: 4096 });
  expect(fixes.map(({ rule, mayBring }) => [rule, mayBring])).toEqual([
    ['aide', [LIBAIO]],
    ['tree', undefined],
    ['telnet', undefined],
  ]);
  expect(declined).toEqual([
    {
      name: 'nmap',
      reason: 'what nmap may bring is not known: the list of packages does not say that it is one',
    },
  ]);
  expect(asked[0]).toMatchObject({ sha256: '1'.repeat(64), size: 100, bytesPerSecond: 4096 });
  const away = { ensure: () => Promise.reject(new Error('the server is away')) };
  await expect(withLists(away, { fixes: of, bytesPerSecond: null })).rejects.toThrow('the server is away');
});
