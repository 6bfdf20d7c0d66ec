import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, realpathSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type Account, canEnter, isRoot, makePrivateDirectory, unprivilegedAccount } from './account.js';
import { reasonOf, UpError } from './errors.js';

/** Who runs PostgreSQL, and where its files are. */
export type PostgresPlace = Readonly<{
  /** A folder of its own, in which the cluster is the folder `data`. A real path. */
  home: string;
  /** Undefined: as ourselves. */
  account: Account | undefined;
  /** Put before PostgreSQL's programs when setting the account is not enough. */
  prefix: readonly string[];
}>;

/** Outside of any home folder, so that an unprivileged account can get there. */
export const SYSTEM_HOME = '/var/lib/ringmaster';

/**
 * Chooses where PostgreSQL lives, making its folder when new.
 *
 * As a normal user: `<dataDir>/postgres`, as ourselves. As root PostgreSQL gets an unprivileged account, and its files
 * must be where that account can get at them:
 * 1. `<dataDir>/postgres`, when every folder above it may be passed by others;
 * 2. else (a checkout below /root, say) a new folder in `/var/lib/ringmaster`, with `<dataDir>/postgres` as a link to it.
 *    Its name is random, not derived from the checkout's path: a checkout deleted and cloned anew must not find the
 *    old one's data under new passwords;
 * 3. else, where /var/lib can't be written, in place inside a user namespace: PostgreSQL then sees another user id but
 *    keeps root's access to root's files, which is why this comes last.
 * @throws UpError when none of them works.
 */
export function placePostgres(dataDir: string): PostgresPlace {
  const home = join(dataDir, 'postgres');
  const existing = lstatSync(home, { throwIfNoEntry: false });
  if (!isRoot()) return { home: ownPlace(home, existing !== undefined), account: undefined, prefix: [] };

  const account = accountFor(home);
  if (account && existing && existsSync(home)) {
    const real = realpathSync(home);
    if (canEnter(account, real)) return { home: real, account, prefix: [] };
    return { home: real, account: undefined, prefix: namespacePrefix(account) };
  }
  if (existing) throw new UpError(`${home} is a link to a folder that is gone`, ['Restore it, or remove the link.']);
  if (account && canEnter(account, dataDir)) {
    makePrivateDirectory(home, account);
    return { home: realpathSync(home), account, prefix: [] };
  }
  if (!account) throw new UpError('PostgreSQL must not run as root, and there is no user "ringmaster" or "nobody"');
  try {
    mkdirSync(SYSTEM_HOME, { recursive: true, mode: 0o711 });
    const elsewhere = join(SYSTEM_HOME, randomBytes(6).toString('hex'));
    makePrivateDirectory(elsewhere, account);
    if (!canEnter(account, elsewhere)) throw new Error(`${account.uid} cannot enter ${elsewhere}`);
    symlinkSync(elsewhere, home);
    return { home: elsewhere, account, prefix: [] };
  } catch (error) {
    const prefix = namespacePrefix(account, reasonOf(error));
    makePrivateDirectory(home, undefined);
    return { home: realpathSync(home), account: undefined, prefix };
  }
}

function ownPlace(home: string, exists: boolean): string {
  if (!exists) makePrivateDirectory(home, undefined);
  const { uid } = statSync(home);
  if (uid !== process.getuid?.())
    throw new UpError(`${home} belongs to user id ${uid}, not to you`, [
      'Start as the user (or root) who did so before.',
    ]);
  return realpathSync(home);
}

/** Whoever owns the existing data keeps it: data made by a normal user can be started by root. */
function accountFor(home: string): Account | undefined {
  const owner = existsSync(home) ? statSync(home) : undefined;
  return owner && owner.uid !== 0 ? { uid: owner.uid, gid: owner.gid } : unprivilegedAccount();
}

function namespacePrefix(account: Account, whyNotElsewhere?: string): string[] {
  const prefix = ['unshare', '--user', `--map-user=${account.uid}`, `--map-group=${account.gid}`, '--'];
  const probe = spawnSync(prefix[0] as string, [...prefix.slice(1), 'true'], { encoding: 'utf8', timeout: 5_000 });
  if (probe.status === 0) return prefix;
  throw new UpError('PostgreSQL must not run as root, and no unprivileged account can get at its files', [
    ...(whyNotElsewhere ? [`tried: a folder in ${SYSTEM_HOME}: ${whyNotElsewhere}`] : []),
    `tried: a user namespace: ${probe.error?.message ?? probe.stderr.trim()}`,
    'Start as a normal user, or from a folder others may pass through (chmod o+x), or set DATABASE_URL.',
  ]);
}
