/** The exact command lines. Only the bytes named on them can be installed: apt sees no repository and no network. */
import { join } from 'node:path';
import type { Direction, Transaction } from '../provider.js';

/** Settles questions about changed configuration files without asking: keep the owner's. */
const KEEP_CONFIG = ['--force-confdef', '--force-confold'];
/** Seconds to wait for another package manager to finish. */
const LOCK_SECONDS = 600;

/** Folders a transaction needs below its own. */
export const workFolders = (tx: Transaction) => ({
  debs: join(tx.dir, 'debs'),
  lists: join(tx.dir, 'lists'),
  archives: join(tx.dir, 'archives'),
});

function isolated(tx: Transaction): string[] {
  const { lists, archives } = workFolders(tx);
  return [
    ['Dir::Etc::sourcelist', '/dev/null'],
    ['Dir::Etc::sourceparts', '/dev/null'],
    ['Dir::State::lists', lists],
    ['Dir::Cache::archives', archives],
    ['Dir::Cache::pkgcache', ''],
    ['Dir::Cache::srcpkgcache', ''],
    ['APT::Sandbox::User', 'root'],
    ['APT::Get::AutomaticRemove', 'false'],
    ['DPkg::Lock::Timeout', String(LOCK_SECONDS)],
    ['Dpkg::Use-Pty', '0'],
    ['quiet', '1'],
  ].flatMap(([name, value]) => ['-o', `${name}=${value}`]);
}

/** `files` lie in the transaction's own folder. `--no-remove` always: a downgrade may otherwise take packages along. */
export function aptInstall(args: {
  readonly tx: Transaction;
  readonly direction: Direction;
  readonly files: readonly string[];
  readonly simulate: boolean;
}): string[] {
  return [
    'apt-get',
    ...(args.simulate ? ['-s', '-o', 'Debug::NoLocking=true'] : ['-y']),
    '--no-remove',
    '--no-install-recommends',
    ...(args.direction === 'back' ? ['--allow-downgrades'] : []),
    ...isolated(args.tx),
    ...KEEP_CONFIG.flatMap((option) => ['-o', `Dpkg::Options::=${option}`]),
    'install',
    ...args.files,
  ];
}

/** Past apt: for a database so broken that apt does not want to touch it. dpkg removes nothing by itself. */
export const dpkgInstall = (files: readonly string[]): string[] => ['dpkg', ...KEEP_CONFIG, '-i', ...files];
export const dpkgUnpack = (files: readonly string[]): string[] => ['dpkg', ...KEEP_CONFIG, '--unpack', ...files];
export const dpkgConfigureAll = (): string[] => ['dpkg', ...KEEP_CONFIG, '--configure', '-a'];
export const dpkgAudit = (): string[] => ['dpkg', '--audit'];
export const dpkgVerify = (names: readonly string[]): string[] => ['dpkg', '--verify', ...names];

/** Fetches the host's own package indexes; without "any" a repository that can't be reached counts as success. */
export const aptUpdate = (): string[] => [
  'apt-get',
  '-q',
  'update',
  '-o',
  'APT::Update::Error-Mode=any',
  '-o',
  'DPkg::Lock::Timeout=120',
  '-o',
  'Acquire::http::Timeout=30',
];

/** What the host would upgrade by itself, without removing anything. Reads only. */
export const aptPending = (): string[] => [
  'apt-get',
  '-s',
  '-o',
  'Debug::NoLocking=true',
  '--no-remove',
  '-o',
  'APT::Get::AutomaticRemove=false',
  'upgrade',
  '--with-new-pkgs',
];
