import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { debianArchitecture, discoverRepositories } from './discover.js';
import { parseDeb822Sources, parseOneLineSources } from './sources.js';

const ARMORED = '-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabcd\n=1234\n-----END PGP PUBLIC KEY BLOCK-----\n';

describe('one-line sources', () => {
  test('options, comments, several components', () => {
    const text = `# a comment
deb http://example.org/debian river main contrib # trailing
deb-src http://example.org/debian river main

deb [ arch=amd64,arm64 signed-by=/k.gpg,ABCD check-valid-until=no ] https://example.org/x river/updates main
`;
    expect(parseOneLineSources('f', text)).toEqual({
      sources: [
        {
          uri: 'http://example.org/debian',
          suite: 'river',
          components: ['main', 'contrib'],
          architectures: [],
          signedBy: null,
          checkValidUntil: null,
        },
        {
          uri: 'https://example.org/x',
          suite: 'river/updates',
          components: ['main'],
          architectures: ['amd64', 'arm64'],
          signedBy: { files: ['/k.gpg'], fingerprints: ['ABCD'] },
          checkValidUntil: false,
        },
      ],
      problems: [],
    });
  });

  test.each([
    ['deb http://example.org', 'is not'],
    ['deb cdrom:[Debian]/ river main', 'cdrom: sources'],
    ['deb cdrom:x river main', 'cdrom: sources'],
    ['deb ./ river main', 'not an address'],
    ['deb http://example.org ./', 'flat repository'],
    ['deb http://example.org river', 'no components'],
  ])('%s is a problem with its line', (line, reason) => {
    const { sources, problems } = parseOneLineSources('f', `\n${line}\n`);
    expect(sources).toEqual([]);
    expect(problems).toEqual([{ file: 'f', line: 2, reason: expect.stringContaining(reason) }]);
  });
});

describe('deb822 sources', () => {
  test('every address with every suite; keys inline; what is disabled is left out', () => {
    const key = ARMORED.trim()
      .split('\n')
      .map((line) => ` ${line === '' ? '.' : line}`)
      .join('\n');
    const text = `Types: deb deb-src
URIs: http://a.example.org/ http://b.example.org/
Suites: river river-updates
Components: main
Signed-By:
${key}

# off
Enabled: no
Types: deb
URIs: http://c.example.org/
Suites: river
Components: main
`;
    const { sources, problems } = parseDeb822Sources('f', text);
    expect(problems).toEqual([]);
    expect(sources.map((s) => `${s.uri} ${s.suite}`)).toEqual([
      'http://a.example.org/ river',
      'http://a.example.org/ river-updates',
      'http://b.example.org/ river',
      'http://b.example.org/ river-updates',
    ]);
    expect(sources[0]?.signedBy).toEqual({ armored: ARMORED });
  });

  test('what is malformed or incomplete is a problem with its line', () => {
    expect(parseDeb822Sources('f', 'Types: deb\nnonsense\n')).toMatchObject({
      sources: [],
      problems: [{ file: 'f', line: 2 }],
    });
    expect(parseDeb822Sources('f', 'Types: deb\n').problems.map((p) => p.reason)).toEqual([
      'has no URIs',
      'has no Suites',
    ]);
  });
});

describe('discoverRepositories', () => {
  let root: string;
  const file = (path: string, text: string): void => {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'discover-'));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));
  const discover = () => discoverRepositories({ root, architecture: 'amd64' });

  test('both forms, keys beside, merged components, architectures', async () => {
    file(
      'etc/apt/sources.list',
      'deb http://u:p@example.org/debian/ river main\ndeb http://u:p@example.org/debian river contrib\n',
    );
    file(
      'etc/apt/sources.list.d/x.sources',
      'Types: deb\nURIs: http://x.example.org\nSuites: $(ARCH)\nComponents: main\nSigned-By: /usr/k.gpg\n',
    );
    file('etc/apt/sources.list.d/y.list', 'deb [arch=arm64] http://y.example.org river main\ndeb cdrom:x river main\n');
    file('etc/apt/sources.list.d/z.list.off', 'deb http://z.example.org river main\n');
    file('etc/apt/trusted.gpg.d/a.asc', ARMORED);
    file('etc/apt/trusted.gpg.d/note.txt', '');
    const { repositories, problems } = await discover();
    expect(repositories).toEqual([
      {
        name: 'http://example.org/debian river amd64',
        uri: 'http://u:p@example.org/debian',
        suite: 'river',
        architecture: 'amd64',
        components: ['main', 'contrib'],
        keyring: { files: [join(root, 'etc/apt/trusted.gpg.d/a.asc')] },
        tolerateExpired: false,
      },
      expect.objectContaining({
        name: 'http://x.example.org amd64 amd64',
        keyring: { files: [join(root, 'usr/k.gpg')] },
      }),
    ]);
    expect(problems).toEqual([
      { file: join(root, 'etc/apt/sources.list.d/y.list'), line: 2, reason: expect.stringContaining('cdrom') },
    ]);
  });

  test('the distribution’s keyring, where nothing else is trusted', async () => {
    file('etc/apt/sources.list', 'deb [signed-by=ABCD] http://example.org/debian river main\n');
    file('usr/share/keyrings/debian-archive-keyring.gpg', '');
    file('usr/share/keyrings/vendor.gpg', '');
    const { repositories } = await discover();
    const files = [join(root, 'usr/share/keyrings/debian-archive-keyring.gpg')];
    expect(repositories[0]?.keyring).toEqual({ files, fingerprints: ['ABCD'] });
  });

  test.each([
    ['Acquire::Check-Valid-Until "false";\n', true],
    ['Acquire::Check-Valid-Until false;\n', true],
    ['// Acquire::Check-Valid-Until "false";\n', false],
    ['Acquire::Check-Valid-Until "true";\n', false],
  ])('apt’s own word on expiry: %j', async (text, tolerated) => {
    file('etc/apt/apt.conf.d/snapshot', text);
    file(
      'etc/apt/sources.list',
      'deb http://example.org/ river main\ndeb [check-valid-until=yes] http://x.example.org/ river main\n',
    );
    expect((await discover()).repositories.map((r) => r.tolerateExpired)).toEqual([tolerated, false]);
  });

  test('a machine without apt has nothing', async () => {
    expect(await discover()).toEqual({ repositories: [], problems: [] });
  });
});

test.each([
  ['x64', 'amd64'],
  ['arm64', 'arm64'],
  ['ia32', 'i386'],
  ['riscv64', 'riscv64'],
])('debianArchitecture %s is %s', (node, debian) => expect(debianArchitecture(node)).toBe(debian));
