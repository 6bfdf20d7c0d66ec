import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';

const code = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** This file is built into `dist/`, beside the other programs. */
const built = basename(code) === 'dist';

export function registerUp(program: Command): void {
  program
    .command('up')
    .description('Start PostgreSQL, Temporal, the worker, the API and an agent for this machine, and keep them running')
    .action(async () => {
      // Loaded only now: other commands shall not pay for what only this one needs.
      const [{ readSettings }, { up }] = await Promise.all([import('../up/settings.js'), import('../up/up.js')]);
      const root = built ? dirname(code) : code;
      await up(readSettings({ env: process.env, root, programsDir: join(root, 'dist') }), {
        say: (line) => process.stdout.write(`${line}\n`),
        untilAskedToEnd,
      });
      // Connections that are being closed would keep an otherwise finished program alive.
      process.exit(0);
    });
}

/** SIGHUP too: a closed terminal means stop, because nobody could press Ctrl-C any more. */
function untilAskedToEnd(again: () => void): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        if (asked) again();
        asked = true;
        resolve();
      });
    }
  });
}
