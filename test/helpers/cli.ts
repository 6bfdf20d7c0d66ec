/** The built command line as a child process, the way people and scripts run it. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { repositoryRoot } from './repository.js';

export const cliMain = (): string =>
  join(process.env.RINGMASTER_PROGRAMS_DIR ?? join(repositoryRoot, 'dist'), 'cli/main.js');

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly url: string;
  readonly token?: string;
  readonly input?: string;
  /** Beside what every run has. */
  readonly env?: Readonly<Record<string, string>>;
  /** Sent once standard output holds `on`. */
  readonly signal?: { readonly name: NodeJS.Signals; readonly on: RegExp };
}

export function runCli(args: readonly string[], options: CliOptions): Promise<CliResult> {
  const child = spawn(process.execPath, [cliMain(), ...args], {
    env: {
      PATH: process.env.PATH ?? '',
      TZ: 'Europe/Berlin',
      RINGMASTER_URL: options.url,
      ...options.env,
      ...(options.token === undefined ? {} : { RINGMASTER_TOKEN: options.token }),
    },
    stdio: 'pipe',
    timeout: 60_000,
  });
  let { signal } = options;
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    if (signal?.on.test(stdout)) {
      child.kill(signal.name);
      signal = undefined;
    }
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.stdin.on('error', () => undefined).end(options.input ?? '');
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, stdout, stderr })));
}
