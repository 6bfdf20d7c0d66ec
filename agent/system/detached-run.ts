/**
 * A run that outlives the agent: a session of its own under a small shell, which leaves its exit status
 * in a file. After a restart the agent finds a run by the order's folder on some process's command line, and joins it.
 */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { RunOutcome } from '../providers/provider.js';
import { syncPath } from './files.js';
import { listOrNone, readOr } from './lenient-reads.js';
import { CHILD_ENV } from './run.js';

/** Fixed text; everything variable is an argument. */
const RUNNER =
  'dir=$1; shift; "$@" >"$dir/output" 2>&1 </dev/null; echo $? >"$dir/rc.new" && mv "$dir/rc.new" "$dir/rc"';
const POLL_MS = 150;
const OUTPUT_TAIL = 1_500;

/** apt's and dpkg's own words for "my child was killed": half done, not failed. */
const CUT_SHORT = /received (?:a segmentation fault|signal \d+)|exited unexpectedly|dpkg was interrupted/;

export interface RunFolder {
  readonly dir: string;
  readonly number: number;
}

/** All runs of this name in the order's folder, the first one first. */
export function runsOf(txDir: string, name: string): readonly RunFolder[] {
  const numbers = listOrNone(txDir).flatMap((entry) => {
    const match = new RegExp(`^run-${name}-(\\d+)$`).exec(entry);
    return match?.[1] === undefined ? [] : [Number(match[1])];
  });
  return numbers.sort((a, b) => a - b).map((number) => ({ dir: join(txDir, `run-${name}-${number}`), number }));
}

/** The newest of {@link runsOf}. */
export function latestRun(txDir: string, name: string): RunFolder | null {
  return runsOf(txDir, name).at(-1) ?? null;
}

/** The end of what a run that ended by itself has said; null: it is under way, or was cut short. */
export function endOf(run: RunFolder): string | null {
  return /^\d+\s*$/.test(readOr(join(run.dir, 'rc'))) ? tailOf(join(run.dir, 'output')) : null;
}

/** Starts `argv` detached and waits for its end. */
export async function startRun(args: {
  readonly txDir: string;
  readonly name: string;
  readonly argv: readonly string[];
}): Promise<RunOutcome> {
  const number = (latestRun(args.txDir, args.name)?.number ?? 0) + 1;
  const dir = join(args.txDir, `run-${args.name}-${number}`);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  syncPath(args.txDir);
  const child = spawn('/bin/sh', ['-c', RUNNER, 'ringmaster-run', dir, ...args.argv], {
    detached: true,
    stdio: 'ignore',
    env: { ...CHILD_ENV, NEEDRESTART_SUSPEND: '1' },
  });
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('spawn', () => resolve());
  });
  child.unref();
  return joinRun(args.txDir, { dir, number });
}

/** Waits until nobody works on the order any more, then says how the run ended. */
export async function joinRun(txDir: string, run: RunFolder): Promise<RunOutcome> {
  await waitForNobody(txDir);
  const output = endOf(run);
  if (output === null) return { interrupted: true, output: tailOf(join(run.dir, 'output')) };
  return { interrupted: CUT_SHORT.test(output), output };
}

/** Resolves when no process has the order's folder on its command line. */
export async function waitForNobody(txDir: string): Promise<void> {
  while (isSomebodyAt(txDir)) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}

/** The runner's shell, apt, dpkg with its helpers, and fixes; a person who reads the order's files is not in the way. */
const WORKERS = new Set(['sh', 'apt-get', 'dpkg', 'dpkg-deb', 'dpkg-split', 'bash']);

function isSomebodyAt(txDir: string): boolean {
  return listOrNone('/proc').some((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    const [program = '', ...args] = readOr(`/proc/${pid}/cmdline`).split('\0');
    return WORKERS.has(basename(program)) && args.some((arg) => arg.includes(`${txDir}/`));
  });
}

function tailOf(path: string): string {
  try {
    const size = statSync(path).size;
    const buffer = Buffer.alloc(Math.min(size, OUTPUT_TAIL));
    const fd = openSync(path, 'r');
    try {
      readSync(fd, buffer, 0, buffer.length, size - buffer.length);
    } finally {
      closeSync(fd);
    }
    return buffer.toString('utf8').trim();
  } catch {
    return '';
  }
}
