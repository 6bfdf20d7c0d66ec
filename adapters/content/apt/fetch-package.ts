import { ContentError, messageOf } from '../errors.js';
import type { ContentStore, StoredContent } from '../store.js';
import { type RepositoryReader, withoutSecrets } from './reader.js';
import type { AptRepository } from './repository.js';

/** A file that verified indexes name, and where they say it is. */
export interface WantedPackage extends StoredContent {
  /** `name version arch`, for messages. */
  readonly what: string;
  /** Tried in turn; each a configured repository and a path below its base. */
  readonly places: readonly { readonly repositoryId: string; readonly filename: string }[];
}

interface Place {
  readonly repository: AptRepository;
  readonly filename: string;
}

export interface PackageFetcher {
  /**
   * Brings a package file into the store, once: whoever asks for one that is on its way waits for the same. Space is checked before the
   * first byte, size and digest before the file has a name.
   * @throws ContentError of the last place tried; `repositoryUnknown` when no place is configured.
   */
  fetchPackage(wanted: WantedPackage): Promise<StoredContent>;
}

export function createPackageFetcher(deps: {
  readonly store: Pick<ContentStore, 'put' | 'touch'>;
  readonly reader: RepositoryReader;
  /** The configured repository of an id, or null. */
  readonly repository: (id: string) => Promise<AptRepository | null>;
}): PackageFetcher {
  const { store, reader } = deps;
  const underWay = new Map<string, Promise<StoredContent>>();

  /** Opened only when first read: the store looks whether it has the file, and the room, before that. */
  const bytesOf = async function* (wanted: WantedPackage, place: Place): AsyncGenerator<Uint8Array> {
    const opened = await reader.open({
      base: place.repository.uri,
      path: place.filename,
      // Room for the store to see, and name, a file that is longer than it should be.
      maxBytes: wanted.size + 1_048_576,
      ...(place.repository.redirectHosts === undefined ? {} : { redirectHosts: place.repository.redirectHosts }),
    });
    if (opened.kind !== 'ok') {
      throw new ContentError(
        'missing',
        `${wanted.what}: ${withoutSecrets(place.repository.uri)} has no ${place.filename}`,
      );
    }
    yield* opened.body;
  };

  const obtain = async (wanted: WantedPackage): Promise<StoredContent> => {
    const { sha256, size } = wanted;
    // Also from a repository that is no longer configured: the digest was verified when it was stored.
    if (await store.touch({ sha256, size })) return { sha256, size };
    let last: unknown = new ContentError('repositoryUnknown', `${wanted.what}: no index names a place`);
    for (const { repositoryId, filename } of wanted.places) {
      try {
        const repository = await deps.repository(repositoryId);
        if (repository === null) {
          throw new ContentError('repositoryUnknown', `${wanted.what}: repository ${repositoryId} is not configured`);
        }
        const what = `${wanted.what} from ${withoutSecrets(repository.uri)}`;
        await store.put({ what, sha256, size, stream: bytesOf(wanted, { repository, filename }) });
        return { sha256, size };
      } catch (error) {
        // No other place helps against a full disk.
        if (error instanceof ContentError && error.code === 'noSpace') throw error;
        last = error;
      }
    }
    throw last instanceof ContentError
      ? last
      : new ContentError('unreachable', `${wanted.what}: ${messageOf(last)}`, {}, last);
  };

  return {
    fetchPackage(wanted) {
      const running = underWay.get(wanted.sha256);
      if (running !== undefined) return running;
      const started = obtain(wanted).finally(() => underWay.delete(wanted.sha256));
      underWay.set(wanted.sha256, started);
      return started;
    },
  };
}
