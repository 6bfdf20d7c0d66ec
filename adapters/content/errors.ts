/** Every way obtaining content fails, by name: so that a person knows what to do, and a retry policy whether to try again. */
export type ContentErrorCode =
  // Reaching the repository
  | 'unreachable'
  | 'timedOut'
  | 'httpStatus'
  | 'redirectRefused'
  | 'missing'
  | 'tooLarge'
  | 'uriUnsupported'
  // Believing it
  | 'keyringUnusable'
  | 'notSigned'
  | 'unknownKey'
  | 'badSignature'
  | 'releaseMalformed'
  | 'releaseExpired'
  | 'releaseFromTheFuture'
  | 'releaseReplayed'
  | 'suiteMismatch'
  | 'indexMissing'
  | 'indexMalformed'
  | 'repositoryUnknown'
  // The bytes
  | 'sizeMismatch'
  | 'digestMismatch'
  | 'compressionBroken'
  | 'archiveMalformed'
  // The store
  | 'noSpace'
  | 'notStored'
  | 'badDigest'
  | 'storeUnusable';

/** What may be gone when tried again later, without anybody doing anything. A mirror in the middle of an update mismatches. */
const TRANSIENT: ReadonlySet<ContentErrorCode> = new Set([
  'unreachable',
  'timedOut',
  'httpStatus',
  'sizeMismatch',
  'digestMismatch',
  'missing',
]);

/** The typed error of all content adapters. `message` begins with what was being read. */
export class ContentError extends Error {
  override readonly name = 'ContentError';
  readonly code: ContentErrorCode;
  /** Whether trying again later may help. */
  readonly transient: boolean;
  /** Machine-readable particulars: expected and found digests, bytes needed and available, … */
  readonly details: Readonly<Record<string, string | number | readonly string[]>>;

  constructor(
    code: ContentErrorCode,
    message: string,
    details: Readonly<Record<string, string | number | readonly string[]>> = {},
    cause?: unknown,
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.transient = TRANSIENT.has(code);
    this.details = details;
  }
}

/** The text of anything thrown. */
export const messageOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : '';
  return `${error.message}${cause}`;
};
