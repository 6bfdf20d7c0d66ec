/** The exact command lines. Only the bytes named on them can be installed: apt sees no repository and no network. */
import { join } from 'node:path';
import type { Direction, Transaction } from '../provider.js';

/** Settles questions about changed configuration files without asking: keep the owner's. */
const KEEP_CONFIG = ['--force-confdef', '--force-confold'];
/** Seconds to wait for another package manager to finish, where work has begun or nothing is changed. */
const LOCK_SECONDS = 600;

/** Folders a transaction needs below its own. */
export const workFolders = (tx: Transaction) => ({
  debs: join(tx.dir, 'debs'),
  lists: join(tx.dir, 'lists'),
  archives: join(tx.dir, 'archives'),
});

function isolated(tx: Transaction, lockSeconds: number): string[] {
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
    ['DPkg::Lock::Timeout', String(lockSeconds)],
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
  /** Gives up at once when another package manager has dpkg's lock: its permit to start may be over by the time it is free. */
  readonly orNotAtAll?: boolean;
}): string[] {
  return [
    'apt-get',
    ...(args.simulate ? ['-s', '-o', 'Debug::NoLocking=true'] : ['-y']),
    '--no-remove',
    '--no-install-recommends',
    ...(args.direction === 'back' ? ['--allow-downgrades'] : []),
    ...isolated(args.tx, args.orNotAtAll === true ? 0 : LOCK_SECONDS),
    ...KEEP_CONFIG.flatMap((option) => ['-o', `Dpkg::Options::=${option}`]),
    'install',
    ...args.files,
  ];
}

/** Changes nothing, but takes dpkg's lock for a moment, and fails where it can't. */
export const aptCheck = (tx: Transaction): string[] => ['apt-get', ...isolated(tx, 0), 'check'];

const NEW_PACKAGES = ['--no-remove', '--no-install-recommends', '-o', 'APT::Get::AutomaticRemove=false'];

/** What the host's own repositories would install for these names. Reads only. */
export const aptResolve = (names: readonly string[]): string[] => [
  'apt-get',
  '-s',
  '-o',
  'Debug::NoLocking=true',
  ...NEW_PACKAGES,
  'install',
  ...names,
];

/** Fetches the files of exactly these (`name=version`) from the host's own repositories, checked by their signed indexes. */
export const aptFetch = (args: {
  readonly tx: Transaction;
  readonly specs: readonly string[];
  readonly bytesPerSecond: number | null;
}): string[] => [
  'apt-get',
  '-y',
  '--download-only',
  ...NEW_PACKAGES,
  ...fetching(args.tx, args.bytesPerSecond),
  'install',
  ...args.specs,
];

/** The same for one that is installed, into the current folder. */
export const aptFetchInstalled = (args: {
  readonly tx: Transaction;
  readonly spec: string;
  readonly bytesPerSecond: number | null;
}): string[] => ['apt-get', '-y', ...fetching(args.tx, args.bytesPerSecond), 'download', args.spec];

function fetching(tx: Transaction, bytesPerSecond: number | null): string[] {
  const limit = bytesPerSecond === null ? [] : [`Dl-Limit=${Math.max(1, Math.floor(bytesPerSecond / 1024))}`];
  return [
    `Dir::Cache::archives=${workFolders(tx).archives}`,
    'APT::Sandbox::User=root',
    'APT::Get::AllowUnauthenticated=false',
    `DPkg::Lock::Timeout=${LOCK_SECONDS}`,
    'quiet=1',
    ...['http', 'https'].flatMap((method) => [
      `Acquire::${method}::Timeout=30`,
      ...limit.map((option) => `Acquire::${method}::${option}`),
    ]),
  ].flatMap((option) => ['-o', option]);
}

/** Takes exactly these away, and keeps their configuration. What it would take along is for the caller to look at first. */
export const aptRemove = (args: {
  readonly tx: Transaction;
  readonly names: readonly string[];
  readonly simulate: boolean;
  /** As in {@link aptInstall}. */
  readonly orNotAtAll?: boolean;
}): string[] => [
  'apt-get',
  ...(args.simulate ? ['-s', '-o', 'Debug::NoLocking=true'] : ['-y']),
  ...isolated(args.tx, args.orNotAtAll === true ? 0 : LOCK_SECONDS),
  'remove',
  ...args.names,
];

/** Of packages that are removed already: their configuration too. */
export const dpkgPurge = (names: readonly string[]): string[] => ['dpkg', '--purge', ...names];

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
