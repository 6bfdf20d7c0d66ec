/** Where the server is and who asks, from options and environment. */
import { readFileSync, statSync } from 'node:fs';
import { type Command, Option } from 'commander';
import { CliError, EXIT } from '../exit-codes.js';

export const DEFAULT_URL = 'http://127.0.0.1:8420';
const DEFAULT_TIMEOUT_SECONDS = 30;

/** Options of every command that talks to a server. */
export interface ConnectionOptions {
  readonly url?: string;
  readonly tokenFile?: string;
  readonly requestTimeout?: string;
}

export interface Connection {
  readonly url: URL;
  /** Null: ask as nobody. */
  readonly token: string | null;
  /** For one request, milliseconds. */
  readonly timeoutMs: number;
}

/** Adds the options; the token itself is no option, because command lines can be read by everybody on a machine. */
export function withConnection(command: Command): Command {
  return command
    .addOption(new Option('--url <url>', `server (default: RINGMASTER_URL, else ${DEFAULT_URL})`))
    .addOption(new Option('--token-file <file>', 'file with the API token (default: RINGMASTER_TOKEN)'))
    .addOption(new Option('--request-timeout <seconds>', `for one request (default: ${DEFAULT_TIMEOUT_SECONDS})`));
}

/** @throws CliError when an option can't be used */
export function readConnection(options: ConnectionOptions, env: NodeJS.ProcessEnv): Connection {
  const text = options.url ?? env.RINGMASTER_URL ?? DEFAULT_URL;
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw new CliError(EXIT.usage, `not an http(s) address: ${text} (--url, RINGMASTER_URL)`);
  }
  const url = new URL(text.endsWith('/') ? text : `${text}/`);
  if (url.username !== '' || url.password !== '') {
    throw new CliError(
      EXIT.usage,
      'the address must not hold a user or password: use --token-file or RINGMASTER_TOKEN',
    );
  }
  const seconds = Number(options.requestTimeout ?? DEFAULT_TIMEOUT_SECONDS);
  if (!(seconds > 0 && seconds <= 3_600)) {
    throw new CliError(EXIT.usage, '--request-timeout: must be a number of seconds from 0 to 3600');
  }
  return { url, token: readToken(options, env), timeoutMs: seconds * 1_000 };
}

function readToken(options: ConnectionOptions, env: NodeJS.ProcessEnv): string | null {
  const { tokenFile } = options;
  const token = tokenFile === undefined ? env.RINGMASTER_TOKEN : tokenOf(tokenFile);
  if (token === undefined || token.trim() === '') {
    if (tokenFile !== undefined) throw new CliError(EXIT.usage, `${tokenFile} is empty`);
    return null;
  }
  // A line break inside would end the header; what it is must not be printed.
  if (!/^[\x21-\x7e]+$/.test(token.trim())) throw new CliError(EXIT.usage, 'the API token has characters no token has');
  return token.trim();
}

function tokenOf(path: string): string {
  try {
    if ((statSync(path).mode & 0o077) !== 0) {
      process.stderr.write(`warning: ${path} can be read by others; chmod 600 keeps the token yours\n`);
    }
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new CliError(EXIT.usage, `--token-file: can't read ${path}: ${(error as NodeJS.ErrnoException).code}`);
  }
}
