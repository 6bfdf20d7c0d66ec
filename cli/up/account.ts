import { chownSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/** An operating system account, by number. */
export type Account = Readonly<{ uid: number; gid: number }>;

export const isRoot = () => process.getuid?.() === 0;

/**
 * The account PostgreSQL runs as when we are root (it refuses to run as root): `ringmaster` where somebody made such a
 * user, else `nobody`. Not a number without a name: initdb looks its own name up. Undefined when we are not root.
 */
export function unprivilegedAccount(): Account | undefined {
  if (!isRoot()) return undefined;
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  for (const name of ['ringmaster', 'nobody']) {
    const user = users.find((fields) => fields[0] === name);
    const [uid, gid] = [Number(user?.[2]), Number(user?.[3])];
    if (Number.isInteger(uid) && uid > 0 && Number.isInteger(gid)) return { uid, gid };
  }
  return undefined;
}

/** Whether an account may pass through every folder on the way to `path` and enter it; its groups don't count. */
export function canEnter(account: Account, path: string): boolean {
  for (let folder = path; ; folder = dirname(folder)) {
    const { mode, uid, gid } = statSync(folder);
    const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}

/** Makes a folder that only `account` (default: ourselves) can enter. */
export function makePrivateDirectory(path: string, account: Account | undefined): void {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  if (account) chownSync(path, account.uid, account.gid);
}
