import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import type { AuditEntry } from '../client/types.js';
import { CliError, EXIT } from '../exit-codes.js';
import { type ApiOptions, apiCommand, openApi } from './api-command.js';
import { firstOf, LIMIT_OPTION, noteMore } from './limit.js';

export function registerAudit(program: Command): void {
  const audit = program.command('audit').description('Read and check the audit log');
  apiCommand(audit.command('list'))
    .description('Entries, newest first')
    .option('--subject <subject>', 'about this, such as change/<id>')
    .option('--actor <actor>', 'by this person or program')
    .option('--action <action>', 'such as change.pause')
    .option(...LIMIT_OPTION)
    .action(list);
  audit
    .command('verify')
    .description('Walk the whole hash chain; exits 1 and names the first entry that does not hold')
    .option('--json', 'print the result as JSON')
    .action(async (options: { json?: boolean }) => {
      const [{ createPool }, { verifyAudit }] = await Promise.all([
        import('../../db/pool.js'),
        import('../../db/audit/verify.js'),
      ]);
      const pool = createPool({
        url: await databaseUrl(),
        applicationName: 'ringmaster audit verify',
        max: 1,
        statementTimeoutMs: 0,
      });
      try {
        const { check, unsealed } = await verifyAudit(pool).catch((error: Error) => {
          // Not the code of a broken chain: nobody could look.
          throw new CliError(EXIT.unreachable, `can't read the audit log: ${error.message}`);
        });
        if (options.json === true) process.stdout.write(`${JSON.stringify({ ...check, unsealed })}\n`);
        else if (check.ok)
          process.stdout.write(
            `The chain holds: ${check.entries} entries, head ${check.head}. ${unsealed} not yet sealed.\n`,
          );
        else process.stderr.write(`The chain is broken at entry ${check.at}: ${check.reason}.\n`);
        process.exitCode = check.ok ? EXIT.ok : EXIT.failed;
      } finally {
        await pool.end();
      }
    });
}

interface ListOptions extends ApiOptions {
  readonly subject?: string;
  readonly actor?: string;
  readonly action?: string;
  readonly limit?: string;
}

async function list(options: ListOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  const { subject, actor, action } = options;
  const found = await firstOf(client.pages<AuditEntry>('/v1/audit', { subject, actor, action }), options.limit);
  if (screen.json) return screen.value({ items: found.items, more: found.more });
  screen.table({
    columns: [
      { title: 'AT' },
      { title: 'ACTOR', shrinkTo: 10 },
      { title: 'ACTION', shrinkTo: 12 },
      { title: 'SUBJECT', shrinkTo: 12 },
      { title: 'DETAIL', shrinkTo: 10 },
    ],
    rows: found.items.map((entry) => [
      screen.zone.show(entry.at),
      entry.actor,
      entry.action,
      entry.subject,
      JSON.stringify(entry.detail),
    ]),
  });
  screen.line(`${found.items.length}${found.more ? '+' : ''} entries. Times are ${screen.zone.name}.`);
  noteMore(screen, found.more);
}

async function databaseUrl(): Promise<string> {
  const [{ readSettings }, { databaseUrlOf }] = await Promise.all([
    import('../up/settings.js'),
    import('../up/database-url.js'),
  ]);
  const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
  return databaseUrlOf(readSettings({ env: process.env, root, programsDir: join(root, 'dist') }), 'worker');
}
