import { describe, expect, test } from '@jest/globals';
import { classifyUpdates, type InstalledPackage, worstOf } from './reversibility.js';
import type { PackageUpdate } from './update-set.js';

const update = (name: string, from: string | null, to: string, source = name): PackageUpdate => ({
  name,
  arch: 'amd64',
  from,
  to,
  source,
  sha256: 'a'.repeat(64),
  size: 1,
});
const installed = (name: string, version: string, source = name): InstalledPackage => ({
  name,
  arch: 'amd64',
  version,
  source,
});
const verdict = (updates: PackageUpdate[], others: InstalledPackage[] = []) =>
  classifyUpdates({ updates, installed: others }).get(`${updates[0]?.name}:amd64`);

describe('classifyUpdates', () => {
  test.each([
    ['curl', '7.88.1-10', '7.88.1-11', 'reversible', 'default'],
    ['curl', '7.88.1-10', '8.0.0-1', 'reversible', 'default'],
    ['linux-image-6.1.0-40-amd64', null, '6.1.153-1', 'irreversible', 'kernel'],
    ['linux-image-amd64', '6.1.140-1', '6.1.153-1', 'irreversible', 'kernel'],
    ['linux-libc-dev', '6.1.140-1', '6.1.153-1', 'reversible', 'default'],
    ['grub-efi-amd64-signed', '1+2.06', '1+2.07', 'irreversible', 'boot-chain'],
    ['shim-signed', '1.39', '1.44', 'irreversible', 'boot-chain'],
    ['postgresql', '15+248', '16+260', 'irreversible', 'database-major'],
    ['postgresql-15', '15.8-0+deb12u1', '15.14-0+deb12u1', 'reversibleButData', 'database-minor'],
    ['postgresql-client-15', '15.8-0+deb12u1', '15.14-0+deb12u1', 'reversible', 'default'],
    ['mariadb-server', '1:10.11.6-0', '1:10.11.14-0', 'reversibleButData', 'database-minor'],
    ['mariadb-server', '1:10.11.6-0', '1:11.4.1-1', 'irreversible', 'database-major'],
    ['mariadb-server', '1:10.5.6-0', '1:10.11.1-1', 'irreversible', 'database-major'],
    ['mysql-server-8.0', '8.0.35-1', '8.4.0-1', 'irreversible', 'database-major'],
    ['redis-server', '5:7.0.15-1', '5:7.0.16-1', 'reversibleButData', 'database-minor'],
    ['postgresql-15', 'rubbish!', '15.14-0+deb12u1', 'irreversible', 'database-major'],
    ['libfoo1', null, '1.0-1', 'reversible', 'new-package'],
  ])('%s %s → %s is %s (%s)', (name, from, to, expected, rule) => {
    expect(verdict([update(name, from, to)])).toMatchObject({ class: expected, rule });
  });

  test('a new database package beside an older one of its family is a major change', () => {
    const fresh = update('postgresql-16', null, '16.4-1');
    expect(verdict([fresh], [installed('postgresql-15', '15.8-1')])).toMatchObject({ rule: 'database-major' });
    expect(verdict([fresh])).toMatchObject({ rule: 'new-package' });
  });

  test('libc6 goes back only when all its source’s binaries move together', () => {
    const libc = update('libc6', '2.36-9', '2.36-10', 'glibc');
    const bin = installed('libc-bin', '2.36-9', 'glibc');
    expect(verdict([libc], [bin])).toMatchObject({ class: 'irreversible', rule: 'source-split' });
    expect(verdict([libc], [bin])?.reason).toContain('libc-bin:amd64');
    const both = [libc, update('libc-bin', '2.36-9', '2.36-10', 'glibc')];
    expect(verdict(both, [bin, installed('libc6', '2.36-9', 'glibc')])).toMatchObject({ class: 'reversible' });
  });

  test('a leftover of another version of the source does not move anyway', () => {
    const ssl = update('libssl3', '3.0.14-1', '3.0.15-1', 'openssl');
    expect(verdict([ssl], [installed('libssl1.1', '1.1.1w-0', 'openssl')])).toMatchObject({ class: 'reversible' });
  });

  test('without the old file there is no way back', () => {
    const updates = [update('curl', '1', '2'), update('libnew', null, '1')];
    const verdicts = classifyUpdates({ updates, installed: [], oldFileAvailable: () => false });
    expect(verdicts.get('curl:amd64')).toMatchObject({ class: 'irreversible', rule: 'old-file-missing' });
    expect(verdicts.get('libnew:amd64')).toMatchObject({ class: 'reversible' });
  });

  test('worstOf', () => {
    const verdicts = classifyUpdates({
      updates: [update('curl', '1', '2'), update('redis', '7.0', '7.1')],
      installed: [],
    });
    expect(worstOf(verdicts.values())).toBe('reversibleButData');
    expect(worstOf([])).toBe('reversible');
  });
});
