import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';

/** Exit code when the chain does not hold; 1 stays for "could not look". */
const BROKEN = 2;

export function registerAudit(program: Command): void {
  const audit = program.command('audit').description('Read and check the audit log');
  audit
    .command('verify')
    .description('Walk the whole hash chain; exits 2 and names the first entry that does not hold')
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
        const { check, unsealed } = await verifyAudit(pool);
        if (options.json === true) process.stdout.write(`${JSON.stringify({ ...check, unsealed })}\n`);
        else if (check.ok)
          process.stdout.write(
            `The chain holds: ${check.entries} entries, head ${check.head}. ${unsealed} not yet sealed.\n`,
          );
        else process.stderr.write(`The chain is broken at entry ${check.at}: ${check.reason}.\n`);
        process.exitCode = check.ok ? 0 : BROKEN;
      } finally {
        await pool.end();
      }
    });
}

async function databaseUrl(): Promise<string> {
  const [{ readSettings }, { databaseUrlOf }] = await Promise.all([
    import('../up/settings.js'),
    import('../up/database-url.js'),
  ]);
  const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
  return databaseUrlOf(readSettings({ env: process.env, root, programsDir: join(root, 'dist') }), 'worker');
}
