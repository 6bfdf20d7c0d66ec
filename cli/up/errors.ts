/**
 * Something the person at the terminal can act on. Printed as it is, without a stack trace.
 * `help` lines say what to do; each is printed on its own line.
 */
export class UpError extends Error {
  override readonly name = 'UpError';
  constructor(
    message: string,
    readonly help: readonly string[] = [],
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** What went wrong, in one line, whatever was thrown. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(reasonOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
