import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { build } from 'esbuild';
import {
  commandLine,
  identify,
  isRunning,
  type ProcessIdentity,
  signalProcess,
  waitForExit,
} from '../../cli/up/process-identity.js';
import { startOnLifeline } from '../helpers/lifeline.js';
import { freePortRange } from '../helpers/ports.js';
import { repositoryRoot } from '../helpers/repository.js';
import { testCacheDir } from '../helpers/temporal.js';
import { writeStubPrograms } from './stub-programs.js';

/** Builds the command line from the sources, so that a test never runs an older one from `dist/`. */
export async function buildCli(): Promise<{ main: string; remove: () => void }> {
  mkdirSync(join(repositoryRoot, '.cache'), { recursive: true });
  const directory = mkdtempSync(join(repositoryRoot, '.cache/test-cli-'));
  const files = ['cli', 'db', 'domain'].flatMap((folder) =>
    readdirSync(join(repositoryRoot, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name)),
  );
  const dist = join(directory, 'dist');
  await build({
    entryPoints: files.filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts')),
    outdir: dist,
    outbase: repositoryRoot,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    logLevel: 'warning',
  });
  for (const file of files.filter((name) => !name.endsWith('.ts'))) {
    const to = join(dist, relative(repositoryRoot, file));
    mkdirSync(dirname(to), { recursive: true });
    cpSync(file, to);
  }
  return { main: join(dist, 'cli/main.js'), remove: () => rmSync(directory, { recursive: true, force: true }) };
}

/** One data folder with ports of its own, and the supervisors started on it. */
export class Installation {
  private runs = 0;
  private constructor(
    private readonly cli: string,
    readonly root: string,
    readonly port: number,
  ) {}

  /** @param mode of the folder above the data: 0o700 is what a checkout below /root has. */
  static async create(cli: string, mode = 0o755): Promise<Installation> {
    const root = mkdtempSync(join(tmpdir(), 'ringmaster-up-'));
    writeStubPrograms(join(root, 'programs'));
    chmodSync(root, mode);
    return new Installation(cli, root, await freePortRange(5));
  }

  get data(): string {
    return join(this.root, 'data');
  }

  env(extra: Record<string, string> = {}): Record<string, string> {
    return {
      PATH: process.env.PATH ?? '',
      HOME: process.env.HOME ?? '/',
      RINGMASTER_PORT: `${this.port}`,
      RINGMASTER_DATA: this.data,
      RINGMASTER_PROGRAMS_DIR: join(this.root, 'programs'),
      RINGMASTER_CACHE: testCacheDir(),
      ...extra,
    };
  }

  /** Runs `up` in the expectation that it refuses. */
  upAndFail(extra: Record<string, string> = {}): { status: number | null; output: string } {
    const ran = spawnSync(process.execPath, [this.cli, 'up'], {
      env: this.env(extra),
      encoding: 'utf8',
      timeout: 60_000,
    });
    return { status: ran.status, output: ran.stdout + ran.stderr };
  }

  /**
   * Runs `up`, and returns when it says that it is up.
   * @param as what its command line is put behind, to run it as somebody else
   */
  async up(
    extra: Record<string, string> = {},
    as: readonly string[] = [],
  ): Promise<{ supervisor: number; output: () => string; stop: () => Promise<void> }> {
    const log = join(this.root, `up-${++this.runs}.log`);
    const lifeline = await startOnLifeline({
      argv: [...as, process.execPath, this.cli, 'up'],
      env: this.env(extra),
      cwd: this.root,
      signal: 'SIGTERM',
      killAfterMs: 40_000,
      log,
    });
    const output = () => readFileSync(log, 'utf8');
    while (!output().includes('Ctrl-C stops everything')) {
      if (!existsSync(`/proc/${lifeline.keeperPid}`)) throw new Error(`up ended:\n${output()}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return { supervisor: lifeline.serverPid, output, stop: lifeline.stop };
  }

  /** The process a pid file names. */
  process(name: string): ProcessIdentity {
    return JSON.parse(readFileSync(join(this.data, 'pids', `${name}.json`), 'utf8')).identity;
  }

  processes(): Record<string, ProcessIdentity> {
    const names = readdirSync(join(this.data, 'pids')).map((file) => file.replace('.json', ''));
    return Object.fromEntries(names.map((name) => [name, this.process(name)]));
  }

  runningNames(): string[] {
    return Object.entries(this.processes())
      .filter(([, identity]) => isRunning(identity))
      .map(([name]) => name)
      .sort();
  }

  readJson(...path: string[]): Record<string, unknown> {
    return JSON.parse(readFileSync(join(this.data, ...path), 'utf8'));
  }

  /** What a power cut of everything but the disk would leave. */
  async killAll(supervisor: number): Promise<void> {
    const processes = Object.values(this.processes());
    for (const pid of [supervisor, ...processes.map((identity) => identity.pid)]) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended with another one.
      }
    }
    for (const identity of processes) await waitForExit(identity, 10_000);
  }

  /** Command lines of all that runs and names our folder, whether or not a pid file knows it. */
  strays(): string[] {
    return processesMentioning(this.root).map(({ pid }) => `${pid} ${commandLine(pid).join(' ')}`);
  }

  /** Ends what may still run and removes every file. */
  async remove(): Promise<void> {
    const ownPids = processesMentioning(this.root);
    for (const identity of ownPids) signalProcess(identity, 'SIGKILL');
    for (const identity of ownPids) await waitForExit(identity, 10_000);
    const postgres = join(this.data, 'postgres');
    if (existsSync(postgres)) rmSync(realpathSync(postgres), { recursive: true, force: true });
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** By their environment or command line, because a test may have spoilt the pid files. */
function processesMentioning(root: string): ProcessIdentity[] {
  const mentions = (pid: string) =>
    ['cmdline', 'environ'].some((file) => {
      try {
        return readFileSync(`/proc/${pid}/${file}`, 'utf8').includes(root);
      } catch {
        return false;
      }
    });
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid && mentions(name))
    .map((name) => identify(Number(name)))
    .filter((identity) => identity !== undefined);
}
