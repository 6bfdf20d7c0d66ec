/** What the program's end tells scripts; docs/cli.md lists them, and tests hold both to it. */
export const EXIT = {
  ok: 0,
  /** What was asked for did not come out: a change failed, a chain is broken, `--dry-run` found differences. */
  failed: 1,
  /** The command line, a file or a value in it is not valid. */
  usage: 2,
  /** No server answered, or it can't work now. */
  unreachable: 3,
  /** Not signed in, or not allowed to. */
  denied: 4,
  notFound: 5,
  /** Refused in the present state: closed, stale, ambiguous, not confirmed. */
  refused: 6,
  timedOut: 7,
  /** Ctrl-C, as shells count signals. */
  interrupted: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** An end that is understood: a sentence for people, more lines of help, and the code for scripts. Never a stack. */
export class CliError extends Error {
  override readonly name = 'CliError';
  constructor(
    readonly code: ExitCode,
    message: string,
    readonly help: readonly string[] = [],
  ) {
    super(message);
  }
}
