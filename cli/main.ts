#!/usr/bin/env node
import { Command } from 'commander';
import { registerAudit } from './commands/audit.js';
import { registerBackup } from './commands/backup.js';
import { registerMigrate } from './commands/migrate.js';
import { registerUp } from './commands/up.js';
import { UpError } from './up/errors.js';

const program = new Command('ringmaster')
  .description('From "a patch exists" to "proven installed, or undone"')
  .showHelpAfterError();
registerUp(program);
registerAudit(program);
registerBackup(program);
registerMigrate(program);

// After kill -9 of a terminal or a pager our output may have nowhere to go; that must not end what we keep running.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

program.parseAsync().catch((error: unknown) => {
  if (error instanceof UpError) {
    process.stderr.write(`error: ${error.message}\n${error.help.map((line) => `  ${line}\n`).join('')}`);
  } else {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : error}\n`);
  }
  process.exit(1);
});
