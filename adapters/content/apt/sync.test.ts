import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createCleartextMessage, generateKey, type PrivateKey, readPrivateKey, sign } from 'openpgp';
import { type CatalogueEntry, INDEX_READING } from '../../../domain/content/catalogue.js';
import { DAY } from '../../../domain/time.js';
import { createRepositoryReader } from './reader.js';
import type { AptRepository } from './repository.js';
import { type CatalogueSink, type SyncState, syncRepository } from './sync.js';

// Whole seconds, as a Release's dates are.
const NOW = Math.floor(Date.now() / 1_000) * 1_000;
const sha = (bytes: string | Buffer): string => createHash('sha256').update(bytes).digest('hex');
const DEB = Buffer.from('the bytes of a package');
const stanza = (name: string, changes: Record<string, string> = {}): string =>
  Object.entries({
    Package: name,
    Version: '1.0-1',
    Architecture: 'amd64',
    Filename: `pool/main/${name}_1.0-1_amd64.deb`,
    Size: String(DEB.length),
    SHA256: sha(DEB),
    ...changes,
  })
    .map(([key, value]) => `${key}: ${value}\n`)
    .join('');
const PACKAGES = `${stanza('curl')}\n${stanza('libcurl4', { Source: 'curl', Essential: 'yes' })}`;

const newKey = async () => {
  const { privateKey, publicKey } = await generateKey({
    userIDs: [{ name: 'Test', email: 'test@example.org' }],
    format: 'armored',
    date: new Date(NOW - 30 * DAY),
  });
  return { privateKey: await readPrivateKey({ armoredKey: privateKey }), publicKey };
};
let ours: { privateKey: PrivateKey; publicKey: string };
let theirs: typeof ours;

// A repository served on loopback: path → bytes, every request noted.
const files = new Map<string, Buffer>();
let requests: string[] = [];
let server: Server;
let base: string;
let scratch: string;
beforeAll(async () => {
  [ours, theirs] = await Promise.all([newKey(), newKey()]);
  scratch = mkdtempSync(join(tmpdir(), 'apt-sync-'));
  server = createServer((request, response) => {
    const path = decodeURIComponent((request.url ?? '').slice('/debian/'.length));
    const bytes = files.get(path);
    requests.push(path);
    if (bytes === undefined) return response.writeHead(404).end();
    const etag = `"${sha(bytes)}"`;
    if (request.headers['if-none-match'] === etag) return response.writeHead(304).end();
    return response.writeHead(200, { etag }).end(bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/debian`;
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(scratch, { recursive: true, force: true });
});

interface Shape {
  packages: Record<string, string | Buffer>;
  key: PrivateKey;
  suite: string;
  date: number;
  validUntil: number | null;
  extra: string;
}
/** Publishes a repository; files that the Release names but that are served otherwise are changed afterwards by the test. */
async function publish(changes: Partial<Shape> = {}): Promise<void> {
  const shape: Shape = {
    packages: { 'main/binary-amd64/Packages.gz': gzipSync(PACKAGES), 'main/binary-amd64/Packages': PACKAGES },
    key: ours.privateKey,
    suite: 'river',
    date: NOW - DAY,
    validUntil: NOW + DAY,
    extra: '',
    ...changes,
  };
  files.clear();
  files.set('pool/main/curl_1.0-1_amd64.deb', DEB);
  const lines = Object.entries(shape.packages).map(([path, content]) => {
    const bytes = Buffer.from(content);
    // As real mirrors do, the plain index is named but not served.
    if (path.endsWith('.gz')) files.set(`dists/river/${path}`, bytes);
    return ` ${sha(bytes)} ${bytes.length} ${path}\n`;
  });
  const until = shape.validUntil === null ? '' : `Valid-Until: ${new Date(shape.validUntil).toUTCString()}\n`;
  const date = new Date(shape.date).toUTCString();
  const text = `Origin: Test\nSuite: ${shape.suite}\nDate: ${date}\n${until}${shape.extra}SHA256:\n${lines.join('')}`;
  const message = await createCleartextMessage({ text });
  const signingDate = new Date(NOW - 1_000);
  files.set('dists/river/InRelease', Buffer.from(await sign({ message, signingKeys: shape.key, date: signingDate })));
}
const edit = (path: string, change: (text: string) => string): void => {
  files.set(path, Buffer.from(change((files.get(path) as Buffer).toString('latin1')), 'latin1'));
};

let catalogue: CatalogueEntry[];
let events: string[];
let saved: SyncState | null;
const sink: CatalogueSink = {
  begin: async (id) => {
    const fresh: CatalogueEntry[] = [];
    events.push(`begin ${id}`);
    return {
      add: async (entries) => void fresh.push(...entries),
      commit: async (state) => {
        events.push('commit');
        catalogue = fresh;
        saved = state;
      },
      rollback: async () => void events.push('rollback'),
    };
  },
  saveState: async (_, state) => {
    events.push('saveState');
    saved = state;
  },
};
beforeEach(() => {
  catalogue = [];
  events = [];
  saved = null;
  requests = [];
});
const repository = (changes: Partial<AptRepository> = {}): AptRepository => ({
  id: 'r1',
  uri: base,
  suite: 'river',
  components: ['main'],
  architecture: 'amd64',
  keyring: { armored: ours.publicKey },
  ...changes,
});
const reader = createRepositoryReader();
const sync = (changes: Partial<AptRepository> = {}, now = NOW) =>
  syncRepository(repository(changes), saved, { reader, sink, now: () => now });

describe('syncRepository', () => {
  test('takes what a verified index names', async () => {
    await publish();
    const outcome = await sync();
    expect(outcome).toMatchObject({ kind: 'synced', signers: [expect.stringMatching(/^[0-9a-f]{40}$/)] });
    expect(outcome).toMatchObject({ indexes: [{ path: 'main/binary-amd64/Packages', entries: 2, refused: 0 }] });
    expect(catalogue).toMatchObject([
      {
        repositoryId: 'r1',
        suite: 'river',
        pocket: 'release',
        component: 'main',
        origin: 'Test',
        name: 'curl',
        sha256: sha(DEB),
      },
      { name: 'libcurl4', source: 'curl', essential: true },
    ]);
    expect(events).toEqual(['begin r1', 'commit']);
  });

  test('an index of which less was kept than today is read anew, though nothing has changed; older Releases stay refused', async () => {
    await publish({ packages: { 'main/binary-amd64/Packages.gz': gzipSync(stanza('curl', { Depends: 'libcurl4' })) } });
    await sync();
    const { reading, ...before } = saved as unknown as SyncState;
    expect(reading).toBe(INDEX_READING);
    saved = before;
    expect(await sync()).toMatchObject({ kind: 'synced' });
    expect(catalogue).toMatchObject([{ name: 'curl', depends: 'libcurl4', provides: '' }]);
    expect(saved).toMatchObject({ reading: INDEX_READING });
    expect(await sync()).toMatchObject({ kind: 'unchanged' });
    saved = before;
    await publish({ date: NOW - 3 * DAY });
    await expect(sync()).rejects.toMatchObject({ code: 'releaseReplayed' });
  });

  test('asks again only for what changed', async () => {
    await publish();
    await sync();
    requests = [];
    expect(await sync()).toMatchObject({ kind: 'unchanged' });
    expect(requests).toEqual(['dists/river/InRelease']);
    // A Release that was only signed anew: the indexes stand.
    await publish({ date: NOW - 1_000 });
    expect(await sync()).toMatchObject({ kind: 'unchanged' });
    expect(events).toEqual(['begin r1', 'commit', 'saveState']);
    // Other packages.
    const other = gzipSync(stanza('curl', { Version: '2.0-1' }));
    await publish({ date: NOW, packages: { 'main/binary-amd64/Packages.gz': other } });
    expect(await sync()).toMatchObject({ kind: 'synced' });
    expect(catalogue.map((e) => e.version)).toEqual(['2.0-1']);
  });

  test('another configuration starts anew', async () => {
    const universe = gzipSync(stanza('extra'));
    await publish({
      packages: { 'main/binary-amd64/Packages.gz': gzipSync(PACKAGES), 'universe/binary-amd64/Packages.gz': universe },
    });
    await sync();
    expect(await sync({ components: ['main', 'universe'] })).toMatchObject({ kind: 'synced' });
    expect(catalogue.map((e) => [e.component, e.name])).toEqual([
      ['main', 'curl'],
      ['main', 'libcurl4'],
      ['universe', 'extra'],
    ]);
  });

  test('indexes by hash, and packages for all architectures kept apart', async () => {
    const [own, all] = [gzipSync(stanza('curl')), gzipSync(stanza('docs', { Architecture: 'all' }))];
    await publish({
      extra: 'Acquire-By-Hash: yes\nArchitectures: amd64 all\n',
      packages: { 'main/binary-amd64/Packages.gz': own, 'main/binary-all/Packages.gz': all },
    });
    files.delete('dists/river/main/binary-amd64/Packages.gz');
    files.set(`dists/river/main/binary-amd64/by-hash/SHA256/${sha(own)}`, own);
    await sync();
    expect(catalogue.map((e) => e.name)).toEqual(['curl', 'docs']);
  });

  test('an entry that is wrong is left out and named; the others stand', async () => {
    const packages = gzipSync(
      `${PACKAGES}\n${stanza('odd', { Version: 'latest' })}\n${stanza('out', { Filename: '../x.deb' })}`,
    );
    await publish({ packages: { 'main/binary-amd64/Packages.gz': packages } });
    const outcome = await sync();
    expect(outcome).toMatchObject({
      indexes: [{ entries: 2, refused: 2, refusedReasons: [/odd/, /Filename/].map((r) => expect.stringMatching(r)) }],
    });
  });

  test('from a folder', async () => {
    await publish();
    for (const [path, bytes] of files) {
      mkdirSync(join(scratch, 'mirror', dirname(path)), { recursive: true });
      writeFileSync(join(scratch, 'mirror', path), bytes);
    }
    const uri = pathToFileURL(join(scratch, 'mirror')).href;
    expect(await sync({ uri })).toMatchObject({ kind: 'synced' });
    expect(await sync({ uri })).toMatchObject({ kind: 'unchanged' });
  });

  const gz = 'dists/river/main/binary-amd64/Packages.gz';
  test.each([
    [
      'a changed digest',
      () => edit('dists/river/InRelease', (t) => t.replace(/\n [0-9a-f]{8}/, '\n 00000000')),
      {},
      'badSignature',
    ],
    [
      'a changed date',
      () => edit('dists/river/InRelease', (t) => t.replace('Origin: Test', 'Origin: Fest')),
      {},
      'badSignature',
    ],
    ['no signature', () => files.set('dists/river/InRelease', Buffer.from('Suite: river\n')), {}, 'notSigned'],
    [
      'a page instead of an index',
      () => files.set('dists/river/InRelease', Buffer.from('<html>log in</html>')),
      {},
      'notSigned',
    ],
    ['somebody else’s key', () => publish({ key: theirs.privateKey }), {}, 'unknownKey'],
    [
      'a key of another fingerprint',
      () => undefined,
      { keyring: { fingerprints: ['AB'.repeat(20)] } },
      'keyringUnusable',
    ],
    ['no keys', () => undefined, { keyring: {} }, 'keyringUnusable'],
    ['an expired Release', () => publish({ validUntil: NOW - 1 }), {}, 'releaseExpired'],
    ['a Release from the future', () => publish({ date: NOW + DAY }), {}, 'releaseFromTheFuture'],
    ['another suite', () => publish({ suite: 'delta' }), {}, 'suiteMismatch'],
    ['no InRelease', () => files.delete('dists/river/InRelease'), {}, 'missing'],
    [
      'no digest for the index',
      () => publish({ packages: { 'main/binary-arm64/Packages.gz': gzipSync('') } }),
      {},
      'indexMissing',
    ],
    ['a component that is not there', () => undefined, { components: ['main', 'contrib'] }, 'indexMissing'],
    ['an index that is named but not served', () => files.delete(gz), {}, 'indexMissing'],
    ['an index of another size', () => edit(gz, (t) => `${t}x`), {}, 'sizeMismatch'],
    ['an index cut short', () => edit(gz, (t) => t.slice(0, -1)), {}, 'sizeMismatch'],
    ['an index of other bytes', () => edit(gz, (t) => `x${t.slice(1)}`), {}, 'digestMismatch'],
    [
      'an index that does not unpack',
      () => publish({ packages: { 'main/binary-amd64/Packages.gz': 'no gzip' } }),
      {},
      'compressionBroken',
    ],
    [
      'an index that is none',
      () => publish({ packages: { 'main/binary-amd64/Packages.gz': gzipSync('<html>') } }),
      {},
      'indexMalformed',
    ],
    [
      'a plain index that is another',
      () =>
        publish({
          packages: {
            'main/binary-amd64/Packages.gz': gzipSync(PACKAGES),
            'main/binary-amd64/Packages': `${PACKAGES.slice(0, -2)}x\n`,
          },
        }),
      {},
      'digestMismatch',
    ],
    ['a protocol nobody reads', () => undefined, { uri: 'ftp://example.org/debian' }, 'uriUnsupported'],
    ['no address', () => undefined, { uri: 'debian' }, 'uriUnsupported'],
    ['a suite that climbs out', () => undefined, { suite: '../../x' }, 'uriUnsupported'],
  ] as [string, () => unknown, Partial<AptRepository>, string][])(
    'refuses %s, and changes nothing',
    async (_, spoil, config, code) => {
      await publish();
      await spoil();
      const withKeys = config.keyring?.fingerprints
        ? { ...config, keyring: { ...config.keyring, armored: ours.publicKey } }
        : config;
      await expect(sync(withKeys)).rejects.toMatchObject({ name: 'ContentError', code });
      expect(events).not.toContain('commit');
      expect(events.filter((e) => e === 'rollback')).toHaveLength(events.filter((e) => e.startsWith('begin')).length);
    },
  );

  test('refuses an older Release than the one known, and one that expired since', async () => {
    await publish();
    await sync();
    await publish({ date: NOW - 2 * DAY });
    await expect(sync()).rejects.toMatchObject({ code: 'releaseReplayed' });
    await publish();
    await expect(sync({}, NOW + 2 * DAY)).rejects.toMatchObject({ code: 'releaseExpired' });
  });

  test('an expired snapshot, where that is tolerated', async () => {
    await publish({ validUntil: NOW - DAY / 2 });
    expect(await sync({ tolerateExpired: true })).toMatchObject({ kind: 'synced' });
    expect(await sync({ tolerateExpired: true })).toMatchObject({ kind: 'unchanged' });
  });
});
