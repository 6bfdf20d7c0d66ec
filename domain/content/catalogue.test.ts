import { describe, expect, test } from '@jest/globals';
import { catalogueEntry, pocketOf } from './catalogue.js';

const CONTEXT = {
  repositoryId: 'r1',
  suite: 'river',
  pocket: 'release',
  component: 'main',
  origin: 'Example',
} as const;
const FIELDS = {
  package: 'libssl3',
  source: 'openssl (3.0.15-1)',
  version: '3.0.15-1+b1',
  architecture: 'amd64',
  sha256: 'b'.repeat(64),
  size: '2000',
  filename: './pool/main/o/openssl/libssl3_3.0.15-1+b1_amd64.deb',
  priority: 'optional',
  section: 'libs',
  'installed-size': '6000',
  description: 'toolkit\nlong text',
};
const entry = (
  changes: Partial<
    Record<keyof typeof FIELDS | 'essential' | 'important' | 'pre-depends' | 'depends' | 'provides', string>
  >,
) => catalogueEntry({ line: 7, fields: new Map(Object.entries({ ...FIELDS, ...changes })) }, CONTEXT);

describe('catalogueEntry', () => {
  test('takes a binary rebuild with its source version', () => {
    expect(entry({})).toEqual({
      ok: true,
      entry: {
        ...CONTEXT,
        name: 'libssl3',
        arch: 'amd64',
        version: '3.0.15-1+b1',
        source: 'openssl',
        sourceVersion: '3.0.15-1',
        sha256: 'b'.repeat(64),
        size: 2000,
        filename: 'pool/main/o/openssl/libssl3_3.0.15-1+b1_amd64.deb',
        priority: 'optional',
        section: 'libs',
        essential: false,
        protected: false,
        installedKiB: 6000,
        summary: 'toolkit',
        depends: '',
        provides: '',
      },
    });
  });

  test('what it needs first and what it needs are one list, folded or not', () => {
    const over = {
      'pre-depends': 'dpkg (>= 1.15)',
      depends: 'libc6 (>= 2.34),\n libssl3 |\n libssl1.1',
      provides: 'ssl,\n tls (= 3)',
    };
    expect(entry(over)).toMatchObject({
      entry: { depends: 'dpkg (>= 1.15), libc6 (>= 2.34), libssl3 | libssl1.1', provides: 'ssl, tls (= 3)' },
    });
    expect(entry({ 'pre-depends': 'dpkg' })).toMatchObject({ entry: { depends: 'dpkg' } });
  });

  test('without Source, the package is its own; flags are read', () => {
    const result = entry({ source: '', essential: 'yes', important: 'yes' });
    expect(result).toMatchObject({
      entry: { source: 'libssl3', sourceVersion: '3.0.15-1+b1', essential: true, protected: true },
    });
  });

  test.each([
    ['package', 'Bad_Name', 'Package'],
    ['package', '', 'Package'],
    ['architecture', '', 'Architecture'],
    ['version', 'latest', 'Version'],
    ['source', 'openssl (v3)', 'Source'],
    ['source', 'open ssl', 'Source'],
    ['sha256', 'b'.repeat(63), 'SHA256'],
    ['sha256', 'B'.repeat(64), 'SHA256'],
    ['size', '-1', 'Size'],
    ['size', '0', 'Size'],
    ['size', '1e9', 'Size'],
    ['filename', '/etc/shadow', 'Filename'],
    ['filename', '../../x.deb', 'Filename'],
    ['filename', 'http://evil.example/x.deb', 'Filename'],
  ])('refuses %s = %j by name', (field, value, named) => {
    const result = entry({ [field]: value });
    expect(!result.ok && result.reason).toContain(`(line 7): ${named}`);
  });
});

test.each([
  ['bookworm', null, 'release'],
  ['bookworm-security', null, 'security'],
  ['buster/updates', null, 'security'],
  ['stable', 'Debian-Security', 'security'],
  ['bookworm-updates', null, 'updates'],
  ['bookworm-proposed-updates', null, 'proposed'],
  ['noble-proposed', null, 'proposed'],
  ['bookworm-backports', null, 'backports'],
])('pocketOf %s (%s) is %s', (suite, label, pocket) => {
  expect(pocketOf(suite, label)).toBe(pocket);
});
