import type { Command } from 'commander';

export function registerMigrate(program: Command): void {
  program
    .command('migrate')
    .description('Prepare the database (roles, schema) and, if TEMPORAL_ADDRESS is set, Temporal; safe to repeat')
    .action(async () => {
      const [{ readMigrateSettings }, { prepareInstallation }] = await Promise.all([
        import('../migrate/settings.js'),
        import('../migrate/prepare.js'),
      ]);
      await prepareInstallation(readMigrateSettings(process.env), (line) => process.stdout.write(`${line}\n`));
      // gRPC's channels close a little later; nothing is left to wait for.
      process.exit(0);
    });
}
