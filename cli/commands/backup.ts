import type { Command } from 'commander';
import { repeated } from './repeated.js';

const say = (line: string) => void process.stderr.write(`${line}\n`);
const print = (line: string) => void process.stdout.write(`${line}\n`);
const PASSPHRASE = 'file with the passphrase of the keys; else it is asked for';

export function registerBackup(program: Command): void {
  const backup = program
    .command('backup')
    .description(
      'Back up this installation into a folder, or look at what is there; the installation may run meanwhile',
    )
    .argument('<dir>', 'folder of backups: each adds only what is new')
    .option('--passphrase-file <file>', PASSPHRASE)
    .option('--without-keys', 'leave keys and passwords out')
    .option('--json', 'print the result as JSON')
    .action(async (dir: string, options: { passphraseFile?: string; withoutKeys?: boolean; json?: boolean }) => {
      const { runBackup } = await import('../backup/run.js');
      const { passphraseFile, withoutKeys, json } = options;
      const keys = withoutKeys !== true;
      const report = await runBackup(dir, { keys, ...(passphraseFile === undefined ? {} : { passphraseFile }) }, say);
      if (json === true) print(JSON.stringify(report));
      else
        print(
          `Backup ${report.id}: ${report.tables} tables, ${report.contentFiles} content files, ${report.newContentFiles} of them new.`,
        );
      process.exit(0);
    });

  backup
    .command('verify')
    .description('Read every byte of a backup and compare it with its digests')
    .argument('<dir>', 'folder of backups')
    .option('--backup <id>', 'which one; default: the newest')
    .action(async (dir: string, options: { backup?: string }) => {
      const { runVerify } = await import('../backup/run.js');
      const { id, at, files } = await runVerify(dir, options.backup);
      print(`Backup ${id} of ${new Date(at).toISOString()} is whole: ${files.length} files and the content they name.`);
      process.exit(0);
    });

  backup
    .command('list')
    .description('The backups in a folder, oldest first')
    .argument('<dir>', 'folder of backups')
    .action(async (dir: string) => {
      const { backupsIn } = await import('../backup/run.js');
      for (const id of backupsIn(dir)) print(id);
    });

  program
    .command('restore')
    .description('Restore a backup; nothing is let out to any endpoint afterwards until a person resumes')
    .argument('<dir>', 'folder of backups')
    .option('--backup <id>', 'which one; default: the newest')
    .option('--passphrase-file <file>', PASSPHRASE)
    .option('--without-keys', 'do not restore keys: they are there already, or come from elsewhere')
    .option('--replace', 'restore over what is there, which is put aside')
    .option(
      '--revoke <key>',
      'a signing key that was revoked since the backup: its id, or the first characters of it; may be given again',
      repeated,
    )
    .option('--none-revoked', 'no signing key was revoked since the backup')
    .action(
      async (
        dir: string,
        options: {
          backup?: string;
          passphraseFile?: string;
          withoutKeys?: boolean;
          replace?: boolean;
          revoke?: string[];
          noneRevoked?: boolean;
        },
      ) => {
        const { runRestore } = await import('../backup/run.js');
        const { withoutKeys, replace, revoke = [], noneRevoked = false, ...rest } = options;
        const asked = { ...rest, keys: withoutKeys !== true, replace: replace === true, revoke, noneRevoked };
        const told = await runRestore(dir, asked, say);
        for (const line of told) print(line);
        print('Restored. Start it, look at what is halted, and resume.');
        process.exit(0);
      },
    );
}
