import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import type { KeyPlace, KeyState } from '../../worker/key-care.js';
import { CliError, EXIT } from '../exit-codes.js';
import type { OutputOptions } from '../output/screen.js';
import { confirmed } from './confirm.js';

interface Options extends OutputOptions {
  readonly root?: string;
  readonly yes?: boolean;
}

/** Works on the keys folder and the database themselves, where a worker runs: the web tier has no part in it. */
export function registerKeys(program: Command): void {
  const keys = program.command('keys').description('The keys orders are signed with (docs/keys.md)');
  const common = (command: Command) =>
    command
      .option('--json', 'print JSON for programs (docs/cli.md has the shapes)')
      .option('--utc', 'show times in UTC instead of your own zone');
  const changing = (command: Command) =>
    common(command)
      .option('--root <file>', 'the root key, where it does not rest in the keys folder')
      .option('--yes', 'do not ask');
  common(keys.command('list').description('What endpoints trust, and which of it signs')).action(
    async (options: Options) => {
      await atKeys(options, 'list', async () => undefined);
    },
  );
  changing(keys.command('rotate').description('Sign with a new key; the one before is trusted for a week more')).action(
    async (options: Options) => {
      await atKeys(options, 'Sign with a new key from now on?', async (place) => {
        const { rotateKey } = await import('../../worker/key-care.js');
        await rotateKey(place);
      });
    },
  );
  changing(
    keys
      .command('revoke')
      .description('Nothing this key signed is believed any more; what was not begun is signed anew')
      .argument('<key>', 'its id, or the first characters of it'),
  ).action(async (key: string, options: Options) => {
    await atKeys(options, `Revoke ${key}? There is no way back.`, async (place) => {
      const { listKeys, revokeKey } = await import('../../worker/key-care.js');
      const { keys: listed } = await listKeys(place);
      const found = listed.filter(({ keyid }) => keyid.startsWith(key));
      const [one] = found;
      if (one === undefined) throw new CliError(EXIT.notFound, `the key set names no key ${key}`);
      if (found.length > 1) throw new CliError(EXIT.refused, `${key} fits ${found.map((k) => k.keyid).join(', ')}`);
      await revokeKey({ ...place, keyid: one.keyid });
    });
  });
}

async function atKeys(options: Options, question: string, work: (place: KeyPlace) => Promise<void>): Promise<void> {
  const [
    { openScreen },
    { createPool },
    { listKeys, KeysUnavailable },
    { readSettings },
    { databaseUrlOf },
    { placeOf },
  ] = await Promise.all([
    import('../output/screen.js'),
    import('../../db/pool.js'),
    import('../../worker/key-care.js'),
    import('../up/settings.js'),
    import('../up/database-url.js'),
    import('../backup/place.js'),
  ]);
  const screen = openScreen(options);
  if (question !== 'list') await confirmed(screen, { question, yes: options.yes });
  const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
  const settings = readSettings({ env: process.env, root, programsDir: join(root, 'dist') });
  const pool = createPool({ url: databaseUrlOf(settings, 'worker'), applicationName: 'ringmaster keys', max: 2 });
  const by = `${userInfo().username} (ringmaster keys)`;
  const dir = placeOf(settings, process.env).keysDir;
  try {
    await work({ pool, dir, now: Date.now(), by, root: options.root });
    const found = await listKeys({ pool, dir });
    if (screen.json) return screen.value(found);
    const state = (key: KeyState) => (key.revoked ? 'revoked' : key.signs ? 'signs' : 'trusted');
    screen.table({
      columns: [{ title: 'KEY' }, { title: 'STATE' }, { title: 'FROM' }, { title: 'UNTIL' }],
      rows: found.keys.map((key) => [
        key.keyid,
        state(key),
        screen.zone.show(new Date(key.notBefore).toISOString()),
        screen.zone.show(new Date(key.notAfter).toISOString()),
      ]),
    });
    screen.line(`Key set ${found.version}. Times are ${screen.zone.name}.`);
  } catch (error) {
    if (error instanceof KeysUnavailable) throw new CliError(EXIT.refused, error.message);
    throw error;
  } finally {
    await pool.end();
  }
}
