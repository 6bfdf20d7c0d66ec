/**
 * Debian package repositories: find the configured ones, verify and read their signed indexes, fetch the package files they name.
 * Nothing here takes an address from an endpoint.
 */
export { type DiscoveredRepository, type Discovery, debianArchitecture, discoverRepositories } from './discover.js';
export { createPackageFetcher, type PackageFetcher, type WantedPackage } from './fetch-package.js';
export { type VerifiedText, verifyInRelease } from './in-release.js';
export { loadKeyring } from './keyring.js';
export { createRepositoryReader, type ReaderOptions, type RepositoryReader } from './reader.js';
export type { AptRepository, KeySource } from './repository.js';
export type { SourceProblem } from './sources.js';
export {
  type CatalogueSink,
  type CatalogueTransaction,
  type SyncDeps,
  type SyncOutcome,
  type SyncState,
  syncRepository,
} from './sync.js';
