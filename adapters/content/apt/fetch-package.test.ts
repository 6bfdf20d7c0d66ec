import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { openContentStore } from '../store.js';
import { createPackageFetcher } from './fetch-package.js';
import { createRepositoryReader, type RepositoryReader } from './reader.js';
import type { AptRepository } from './repository.js';

const sha = (bytes: string | Buffer): string => createHash('sha256').update(bytes).digest('hex');
const DEB = Buffer.from('the bytes of a package');
let scratch: string;
let requests: string[];
const publish = (): void => {
  mkdirSync(join(scratch, 'mirror/pool/main'), { recursive: true });
  writeFileSync(join(scratch, 'mirror/pool/main/curl_1.0-1_amd64.deb'), DEB);
};
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'fetch-package-'));
  requests = [];
  publish();
});
afterEach(() => rmSync(scratch, { recursive: true, force: true }));
const files = createRepositoryReader();
const reader: RepositoryReader = {
  open: async (input) => {
    requests.push(input.path);
    return files.open(input);
  },
};
const repository = (): AptRepository => ({
  id: 'r1',
  uri: pathToFileURL(join(scratch, 'mirror')).href,
  suite: 'river',
  components: ['main'],
  architecture: 'amd64',
  keyring: {},
});

describe('fetchPackage', () => {
  const places = [{ repositoryId: 'r1', filename: 'pool/main/curl_1.0-1_amd64.deb' }];
  const wanted = { what: 'curl 1.0-1 amd64', sha256: sha(DEB), size: DEB.length, places };
  const fetcher = async (free = 1e9) => {
    const root = mkdtempSync(join(scratch, 'store-'));
    const store = await openContentStore({ root, reserveBytes: 0, freeBytes: async () => free });
    const known = async (id: string) => (id === 'r1' ? repository() : null);
    return { store, ...createPackageFetcher({ store, reader, repository: known }) };
  };

  test('fetches once, however many ask', async () => {
    const { store, fetchPackage } = await fetcher();
    const results = await Promise.all(Array.from({ length: 5 }, () => fetchPackage(wanted)));
    expect(new Set(results.map((r) => r.sha256))).toEqual(new Set([sha(DEB)]));
    await fetchPackage(wanted);
    // What is stored needs no repository any more.
    await fetchPackage({ ...wanted, places: [] });
    expect(requests).toEqual(['pool/main/curl_1.0-1_amd64.deb']);
    expect(await store.verify(sha(DEB))).toBe(true);
  });

  test('goes on to the next place', async () => {
    const { fetchPackage } = await fetcher();
    const elsewhere = [
      { repositoryId: 'r1', filename: 'pool/gone.deb' },
      { repositoryId: 'r0', filename: 'pool/x.deb' },
      ...places,
    ];
    expect(await fetchPackage({ ...wanted, places: elsewhere })).toEqual({ sha256: sha(DEB), size: DEB.length });
  });

  test.each([
    ['a tampered file', { sha256: sha('other') }, 1e9, 'digestMismatch'],
    ['a file of another size', { size: DEB.length + 1 }, 1e9, 'sizeMismatch'],
    ['a file that is longer', { size: DEB.length - 1 }, 1e9, 'sizeMismatch'],
    ['a file that is gone', { places: [{ repositoryId: 'r1', filename: 'pool/gone.deb' }] }, 1e9, 'missing'],
    [
      'a repository nobody configured',
      { places: [{ repositoryId: 'r0', filename: 'pool/x.deb' }] },
      1e9,
      'repositoryUnknown',
    ],
    [
      'an address instead of a path',
      { places: [{ repositoryId: 'r1', filename: 'http://example.org/x.deb' }] },
      1e9,
      'uriUnsupported',
    ],
    ['a path that climbs out', { places: [{ repositoryId: 'r1', filename: '../../secret' }] }, 1e9, 'uriUnsupported'],
    ['no place', { places: [] }, 1e9, 'repositoryUnknown'],
    ['a full disk', {}, 5, 'noSpace'],
  ])('refuses %s by name', async (_, changes, free, code) => {
    const { store, fetchPackage } = await fetcher(free);
    await expect(fetchPackage({ ...wanted, ...changes })).rejects.toMatchObject({ name: 'ContentError', code });
    expect(await store.has(sha(DEB))).toBe(false);
    if (code === 'noSpace') expect(requests).toEqual([]);
  });

  test('after a failure the next one tries anew', async () => {
    const { fetchPackage } = await fetcher();
    rmSync(join(scratch, 'mirror'), { recursive: true });
    await expect(fetchPackage(wanted)).rejects.toMatchObject({ code: 'missing' });
    publish();
    await fetchPackage(wanted);
  });
});
