/** Runs the command line and turns every end into an exit code. */
import { type Command, CommanderError } from 'commander';
import { CliError, EXIT } from './exit-codes.js';
import { UpError } from './up/errors.js';

export async function runProgram(program: Command, argv: readonly string[]): Promise<void> {
  throwInsteadOfExit(program);
  try {
    await program.parseAsync([...argv]);
  } catch (error) {
    // Not process.exit: what was written to a pipe must still get through.
    process.exitCode = codeAfterSaying(error);
    if (error instanceof UpError) process.exit(EXIT.failed);
  }
}

function codeAfterSaying(error: unknown): number {
  // commander has printed its own messages already; help and version are no failure.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof CliError || error instanceof UpError) {
    const lines = [`error: ${error.message}`, ...error.help.map((line) => `  ${line}`)];
    process.stderr.write(lines.map((line) => `${visible(line)}\n`).join(''));
    return error instanceof CliError ? error.code : EXIT.failed;
  }
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return EXIT.failed;
}

/** A server's words must not move the cursor of who reads them. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const visible = (line: string): string => line.replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, '\ufffd');

function throwInsteadOfExit(command: Command): void {
  command.exitOverride();
  for (const child of command.commands) throwInsteadOfExit(child);
}
