import { createHash } from 'node:crypto';
import { type CatalogueEntry, INDEX_READING, pocketOf } from '../../../domain/content/catalogue.js';
import {
  judgeRelease,
  parseRelease,
  type Release,
  type ReleaseFile,
  type ReleaseRefusal,
} from '../../../domain/content/release.js';
import type { EpochMs } from '../../../domain/time.js';
import { collect, limited, verified } from '../bytes.js';
import { compressionOf, decompress } from '../decompress.js';
import { ContentError, type ContentErrorCode } from '../errors.js';
import { verifyInRelease } from './in-release.js';
import { loadKeyring } from './keyring.js';
import { type IndexReport, readPackages } from './packages.js';
import { type RepositoryReader, withoutSecrets } from './reader.js';
import type { AptRepository } from './repository.js';

/** What is remembered between two syncs of a repository; plain JSON. */
export interface SyncState {
  readonly etag: string | null;
  readonly lastModified: string | null;
  /** Digest of the configuration this came from: under another one nothing of it holds. */
  readonly config: string;
  /** Date of the Release accepted last: an older one is a replay. */
  readonly releaseDate: EpochMs;
  /** Until when the Release accepted last may be believed. */
  readonly validUntil: EpochMs | null;
  /** Path of each index taken → its digest. */
  readonly indexes: Readonly<Record<string, string>>;
  /** How much of the indexes was kept (`INDEX_READING`); left out by releases that kept least. */
  readonly reading?: number;
}

/** Where entries go. Entries and state change together or not at all. */
export interface CatalogueSink {
  /**
   * Begins to replace everything known of a repository. What is not added again is withdrawn at the commit (kept for rollback,
   * no longer offered).
   */
  begin(repositoryId: string): Promise<CatalogueTransaction>;
  /** The entries known still stand; only the state is new. */
  saveState(repositoryId: string, state: SyncState): Promise<void>;
}

export interface CatalogueTransaction {
  add(entries: readonly CatalogueEntry[]): Promise<void>;
  commit(state: SyncState): Promise<void>;
  rollback(): Promise<void>;
}

export interface SyncDeps {
  readonly reader: RepositoryReader;
  readonly sink: CatalogueSink;
  readonly now: () => EpochMs;
}

export type SyncOutcome =
  | { readonly kind: 'unchanged'; readonly state: SyncState }
  | {
      readonly kind: 'synced';
      readonly state: SyncState;
      /** Fingerprints of the keys that signed. */
      readonly signers: readonly string[];
      readonly indexes: readonly ({ readonly path: string } & Readonly<IndexReport>)[];
    };

const MAX_RELEASE_BYTES = 16 * 1024 * 1024;
const MAX_INDEX_BYTES = 256 * 1024 * 1024;
const MAX_UNPACKED_BYTES = 1024 * 1024 * 1024;
/** Best first: native unpacking before WebAssembly before nothing. */
const ENDINGS = ['.gz', '.xz', ''];

/**
 * Brings the catalogue of one repository up to date: its InRelease is verified with the keyring, each index with the digest and size the
 * InRelease names; only then is anything believed.
 * @throws ContentError naming the repository and what is wrong; the catalogue is then as it was before.
 */
export async function syncRepository(
  repository: AptRepository,
  last: SyncState | null,
  deps: SyncDeps,
): Promise<SyncOutcome> {
  const { reader, sink } = deps;
  const config = configDigest(repository);
  const previous = last?.config === config ? last : null;
  const folder = `dists/${repository.suite.replace(/^\/+|\/+$/g, '')}`;
  const what = `${withoutSecrets(repository.uri)} ${repository.suite}: InRelease`;
  // An expired Release must be read again, to learn whether a fresh one is there and to refuse it by name if not.
  const stale =
    previous?.validUntil != null && previous.validUntil <= deps.now() && repository.tolerateExpired !== true;
  const whole = previous?.reading === INDEX_READING;
  const opened = await reader.open({
    ...from(repository),
    path: `${folder}/InRelease`,
    maxBytes: MAX_RELEASE_BYTES,
    ...(previous === null || stale || !whole ? {} : { known: previous }),
  });
  if (opened.kind === 'missing') throw new ContentError('missing', `${what}: is not there`);
  if (opened.kind === 'notModified') {
    if (previous === null)
      throw new ContentError('httpStatus', `${what}: "not modified" was answered to a plain request`);
    return { kind: 'unchanged', state: previous };
  }
  const bytes = await collect(opened.body);
  const now = deps.now();
  const { text, signers } = await verifyInRelease({ what, bytes, keys: await loadKeyring(repository.keyring), now });
  const release = accepted(text, { repository, previous, now, what });
  const wanted = wantedIndexes(repository, release, what);
  const state: SyncState = {
    etag: opened.etag,
    lastModified: opened.lastModified,
    config,
    releaseDate: release.date,
    validUntil: release.validUntil,
    indexes: Object.fromEntries(wanted.map(({ path, digest }) => [path, digest])),
    reading: INDEX_READING,
  };
  if (previous !== null && whole && sameIndexes(previous, state)) {
    await sink.saveState(repository.id, state);
    return { kind: 'unchanged', state };
  }
  const transaction = await sink.begin(repository.id);
  try {
    const indexes: ({ path: string } & IndexReport)[] = [];
    for (const index of wanted) {
      const report: IndexReport = { entries: 0, refused: 0, refusedReasons: [] };
      for await (const batch of readIndex({ repository, release, folder, index, report, reader }))
        await transaction.add(batch);
      indexes.push({ path: index.path, ...report });
    }
    await transaction.commit(state);
    return { kind: 'synced', state, signers, indexes };
  } catch (error) {
    await transaction.rollback();
    throw error;
  }
}

const from = (repository: AptRepository) => ({
  base: repository.uri,
  ...(repository.redirectHosts === undefined ? {} : { redirectHosts: repository.redirectHosts }),
});

function configDigest(repository: AptRepository): string {
  return createHash('sha256')
    .update(JSON.stringify(Object.entries(repository).sort()))
    .digest('hex');
}

const REFUSALS: Record<ReleaseRefusal, ContentErrorCode> = {
  malformed: 'releaseMalformed',
  noDate: 'releaseMalformed',
  noSha256: 'releaseMalformed',
  suiteMismatch: 'suiteMismatch',
  expired: 'releaseExpired',
  fromTheFuture: 'releaseFromTheFuture',
  olderThanKnown: 'releaseReplayed',
};

function accepted(
  text: string,
  at: { repository: AptRepository; previous: SyncState | null; now: EpochMs; what: string },
): Release {
  const { repository, previous, now, what } = at;
  const parsed = parseRelease(text);
  const judged = !parsed.ok
    ? parsed
    : judgeRelease(parsed.release, {
        suite: repository.suite,
        suiteAliases: repository.suiteAliases ?? [],
        now,
        tolerateExpired: repository.tolerateExpired === true,
        notBefore: previous?.releaseDate ?? null,
      });
  if (!judged.ok) throw new ContentError(REFUSALS[judged.code], `${what}: ${judged.reason}`, { refusal: judged.code });
  return judged.release;
}

interface WantedIndex {
  readonly component: string;
  /** Without an ending: `main/binary-amd64/Packages`. */
  readonly path: string;
  /** One digest standing for the index in all its packings. */
  readonly digest: string;
  readonly candidates: readonly { readonly path: string; readonly file: ReleaseFile }[];
}

function wantedIndexes(repository: AptRepository, release: Release, what: string): WantedIndex[] {
  const find = (component: string, architecture: string): WantedIndex | null => {
    const path = indexPath(component, architecture);
    const candidates = ENDINGS.flatMap((ending) => {
      const file = release.files.get(path + ending);
      return file === undefined ? [] : [{ path: path + ending, file }];
    });
    const all = createHash('sha256').update(candidates.map(({ file }) => file.sha256).join());
    return candidates.length === 0 ? null : { component, path, candidates, digest: all.digest('hex') };
  };
  // Packages for every architecture are in the index of each, unless the repository keeps them apart.
  const apart = !release.allInArchIndexes && release.architectures.includes('all');
  return repository.components.flatMap((component) => {
    const own = find(component, repository.architecture);
    if (own === null) {
      throw new ContentError(
        'indexMissing',
        `${what}: names no digest for ${indexPath(component, repository.architecture)} in a form that is read (gz, xz, plain)`,
        { component, architecture: repository.architecture },
      );
    }
    const shared = apart ? find(component, 'all') : null;
    return shared === null ? [own] : [own, shared];
  });
}

const indexPath = (component: string, architecture: string): string => `${component}/binary-${architecture}/Packages`;

function sameIndexes(a: SyncState, b: SyncState): boolean {
  const paths = Object.keys(b.indexes);
  return paths.length === Object.keys(a.indexes).length && paths.every((path) => a.indexes[path] === b.indexes[path]);
}

async function* readIndex(at: {
  repository: AptRepository;
  release: Release;
  folder: string;
  index: WantedIndex;
  report: IndexReport;
  reader: RepositoryReader;
}): AsyncGenerator<CatalogueEntry[]> {
  const { repository, release, folder, index, report } = at;
  const { path, bytes } = await fetchIndex(at);
  const what = `${withoutSecrets(repository.uri)} ${folder}/${path}`;
  const unpacked = limited(decompress(once(bytes), compressionOf(path), what), { what, maxBytes: MAX_UNPACKED_BYTES });
  // Where the Release also names the plain index, what was unpacked must be just that.
  const plain = release.files.get(index.path);
  const source = plain === undefined ? unpacked : verified(unpacked, { what: `${what}, unpacked`, ...plain });
  const { suite } = repository;
  const context = {
    repositoryId: repository.id,
    suite,
    pocket: pocketOf(suite, release.label),
    component: index.component,
    origin: release.origin,
  };
  yield* readPackages(source, { what, context, report });
}

/** An index, packed, verified. In memory: it is some megabytes, and no byte of it may be parsed before the last is checked. */
async function fetchIndex(at: {
  repository: AptRepository;
  release: Release;
  folder: string;
  index: WantedIndex;
  reader: RepositoryReader;
}): Promise<{ path: string; bytes: Buffer }> {
  const { repository, release, folder, index, reader } = at;
  for (const { path, file } of index.candidates) {
    const what = `${withoutSecrets(repository.uri)} ${folder}/${path}`;
    if (file.size > MAX_INDEX_BYTES)
      throw new ContentError('tooLarge', `${what}: is larger than ${MAX_INDEX_BYTES} bytes`);
    const byHash = `${path.slice(0, path.lastIndexOf('/'))}/by-hash/SHA256/${file.sha256}`;
    for (const place of release.acquireByHash ? [byHash, path] : [path]) {
      // The limit is the digest check's own; a byte more than announced must reach it to be named.
      const opened = await reader.open({ ...from(repository), path: `${folder}/${place}`, maxBytes: MAX_INDEX_BYTES });
      if (opened.kind === 'ok') return { path, bytes: await collect(verified(opened.body, { what, ...file })) };
    }
  }
  throw new ContentError(
    'indexMissing',
    `${withoutSecrets(repository.uri)} ${folder}/${index.path}: is named but not there`,
  );
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
