import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The first administrator's API token, made here because nobody set `RINGMASTER_BOOTSTRAP_TOKEN`. */
export type FirstToken = Readonly<{
  token: string;
  /** Call when it was printed: it is then forgotten here, for good. */
  shown: () => void;
}>;

/**
 * Makes the token at the first start, and keeps it (mode 0600) only until it was printed: a start that fails before must
 * not leave an administrator whose token nobody ever saw.
 * @returns undefined when an earlier start printed it.
 */
export function firstAdminToken(keysDir: string): FirstToken | undefined {
  const kept = join(keysDir, 'first-admin-token');
  const done = join(keysDir, 'first-admin-token-was-shown');
  if (existsSync(done)) return undefined;
  if (!existsSync(kept)) {
    writeFileSync(`${kept}.new`, `rm_${randomBytes(24).toString('base64url')}`, { mode: 0o600 });
    renameSync(`${kept}.new`, kept);
  }
  return {
    token: readFileSync(kept, 'utf8').trim(),
    shown: () => {
      writeFileSync(done, '', { mode: 0o600 });
      rmSync(kept, { force: true });
    },
  };
}
