/** The web tier as a process of its own, built from the sources as they are, for tests that stop what it depends on. */
import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { build } from 'esbuild';
import { freePorts } from './ports.js';
import { repositoryRoot } from './repository.js';

const FOLDERS = ['adapters', 'api', 'db', 'domain', 'protocol', 'web', 'workflows'];

export interface BuiltApi {
  readonly main: string;
  readonly remove: () => void;
}

export async function buildApi(): Promise<BuiltApi> {
  mkdirSync(join(repositoryRoot, '.cache'), { recursive: true });
  const directory = mkdtempSync(join(repositoryRoot, '.cache/test-api-'));
  const files = FOLDERS.flatMap((folder) =>
    readdirSync(join(repositoryRoot, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name)),
  );
  await build({
    entryPoints: files.filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts')),
    outdir: directory,
    outbase: repositoryRoot,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    logLevel: 'warning',
  });
  for (const file of files.filter((name) => !name.endsWith('.ts'))) {
    const to = join(directory, relative(repositoryRoot, file));
    mkdirSync(dirname(to), { recursive: true });
    cpSync(file, to);
  }
  return { main: join(directory, 'api/main.js'), remove: () => rmSync(directory, { recursive: true, force: true }) };
}

export interface ApiProcess {
  readonly url: string;
  readonly child: ChildProcess;
  /** Everything it has written so far. */
  readonly output: () => string;
  /** The exit code, or the signal's name. */
  readonly exit: Promise<number | string>;
  readonly stop: () => Promise<number | string>;
}

export async function startApiProcess(main: string, env: Record<string, string>): Promise<ApiProcess> {
  const [port] = await freePorts(1);
  const child = spawn(process.execPath, [main], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH ?? '', RINGMASTER_PORT: String(port), ...env },
  });
  let written = '';
  child.stdout.on('data', (data) => {
    written += data;
  });
  child.stderr.on('data', (data) => {
    written += data;
  });
  const exit = new Promise<number | string>((resolve) =>
    child.once('exit', (code, signal) => resolve(code ?? signal ?? 'unknown')),
  );
  return {
    url: `http://127.0.0.1:${port}`,
    child,
    output: () => written,
    exit,
    stop: () => {
      child.kill('SIGTERM');
      return exit;
    },
  };
}

/** Asks again and again until the answer is as wanted. @throws Error with the last answer after `seconds` */
export async function eventually<T>(ask: () => Promise<T>, wanted: (value: T) => boolean, seconds = 60): Promise<T> {
  let last: unknown;
  for (const end = Date.now() + seconds * 1_000; Date.now() < end; ) {
    try {
      const value = await ask();
      if (wanted(value)) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`not within ${seconds} s; last: ${last instanceof Error ? last.message : JSON.stringify(last)}`);
}
