/** The catalogue: what verified indexes name, and the files we hold. */
export { addRepositories, loadRepositories, type RepositoryRow, recordSyncError } from './repositories.js';
export { createCatalogueSink } from './sync.js';
