import { createHash } from 'node:crypto';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { commandLine, isRunning, type ProcessIdentity } from './process-identity.js';

const pidFileSchema = z.object({
  identity: z.object({ pid: z.int().positive(), startTicks: z.string(), bootId: z.string() }),
  /** Text that the process's command line must contain. */
  marker: z.string().min(1),
  /** Digest of how it was started: equal means that a new start would give the same process. */
  spec: z.string(),
});

export type PidFile = z.infer<typeof pidFileSchema>;

/** @param spec everything that determines the process, as JSON can write it. */
export const specDigest = (spec: unknown) => createHash('sha256').update(JSON.stringify(spec)).digest('hex');

export function writePidFile(directory: string, name: string, file: PidFile): void {
  const path = join(directory, `${name}.json`);
  writeFileSync(`${path}.new`, `${JSON.stringify(file)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

export const removePidFile = (directory: string, name: string) =>
  rmSync(join(directory, `${name}.json`), { force: true });

/**
 * The process a pid file names, if it is still the same one and it runs: same id, start time and boot, and its command
 * line is what we started. A file that is missing, unreadable or names a process that is gone gives undefined.
 */
export function readLivePidFile(directory: string, name: string): PidFile | undefined {
  let file: PidFile;
  try {
    file = pidFileSchema.parse(JSON.parse(readFileSync(join(directory, `${name}.json`), 'utf8')));
  } catch {
    return undefined;
  }
  return isRunning(file.identity) && isOurs(file.identity, file.marker) ? file : undefined;
}

function isOurs(identity: ProcessIdentity, marker: string): boolean {
  return commandLine(identity.pid).some((argument) => argument.includes(marker));
}
