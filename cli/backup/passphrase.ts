/** The passphrase of a backup's keys: from a file, or asked for at a terminal, unseen. Never from the command line itself. */
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { secretFile } from '../../db/secret-files.js';
import { UpError } from '../up/errors.js';
import { SHORTEST_PASSPHRASE } from './secrets.js';

/** @param options.twice asked for again, so that a slip of the finger does not lock the keys away */
export async function readPassphrase(options: {
  readonly file: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly twice: boolean;
}): Promise<string> {
  const passphrase = given(options) ?? (await ask(options.twice));
  if (passphrase.length < SHORTEST_PASSPHRASE)
    throw new UpError(`the passphrase must have at least ${SHORTEST_PASSPHRASE} characters`);
  return passphrase;
}

function given({
  file,
  env,
}: {
  readonly file: string | undefined;
  readonly env: NodeJS.ProcessEnv;
}): string | undefined {
  try {
    if (file !== undefined) return secretFile(file, '--passphrase-file');
    return secretFile(env.RINGMASTER_BACKUP_PASSPHRASE_FILE, 'RINGMASTER_BACKUP_PASSPHRASE_FILE');
  } catch (cause) {
    throw new UpError((cause as Error).message, [], { cause });
  }
}

async function ask(twice: boolean): Promise<string> {
  if (!process.stdin.isTTY) {
    throw new UpError('there is no passphrase for the keys', [
      '--passphrase-file FILE (or RINGMASTER_BACKUP_PASSPHRASE_FILE) names a file that holds it.',
      '--without-keys leaves the keys out: they must then be kept elsewhere.',
    ]);
  }
  const first = await hidden('Passphrase for the keys: ');
  if (twice && (await hidden('Once more: ')) !== first) throw new UpError('the two passphrases differ');
  return first;
}

function hidden(question: string): Promise<string> {
  process.stderr.write(question);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  return new Promise((resolve) =>
    lines.question('', (answer) => {
      lines.close();
      process.stderr.write('\n');
      resolve(answer);
    }),
  );
}
