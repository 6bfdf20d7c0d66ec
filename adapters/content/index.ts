/**
 * Obtaining content: a store of files by their SHA-256, what a package file says of itself, and one folder per kind of
 * repository. All failures are {@link ContentError}s with a code.
 */
export * as apt from './apt/index.js';
export { type ChangelogLimits, type PackageChangelog, readChangelog } from './changelog.js';
export { ContentError, type ContentErrorCode } from './errors.js';
export {
  type ContentStore,
  type ContentStoreOptions,
  openContentStore,
  type PutInput,
  type StoredContent,
} from './store.js';
