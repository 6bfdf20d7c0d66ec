/** A configured apt repository: one suite and architecture of it. What is not configured is never fetched from. */
export interface AptRepository {
  readonly id: string;
  /** Base of the repository: `http:`, `https:` or `file:`; user and password, if any, are sent as basic authentication. */
  readonly uri: string;
  readonly suite: string;
  /** Further names its Release may go by. */
  readonly suiteAliases?: readonly string[];
  readonly components: readonly string[];
  readonly architecture: string;
  readonly keyring: KeySource;
  /** For snapshots of the past: an expired Valid-Until is accepted. */
  readonly tolerateExpired?: boolean;
  /** Hosts, beside its own, to which its server may redirect. */
  readonly redirectHosts?: readonly string[];
}

/** Whose signatures a repository's index must bear. */
export interface KeySource {
  /** Key files, binary or armored. */
  readonly files?: readonly string[];
  /** Armored keys. */
  readonly armored?: string;
  /** Only these keys of the above: fingerprints in hex, of the primary key or of a subkey. */
  readonly fingerprints?: readonly string[];
}
