/** This machine and this process on it. */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { readMachineId } from './system/boot.js';
import { readTextIfThere } from './system/files.js';

/** Names the machine for as long as it lives; where there is no /etc/machine-id its name has to do. */
export function machineIdHere(): string {
  return readMachineId() ?? createHash('sha256').update(hostname()).digest('hex').slice(0, 32);
}

/** Two agents on one journal would each believe the other's half. @throws Error when another one runs. */
export function claimStateDir(stateDir: string): void {
  mkdirSync(stateDir, { recursive: true, mode: 0o711 });
  const path = join(stateDir, 'agent.pid');
  const pid = Number(readTextIfThere(path) ?? '');
  if (Number.isInteger(pid) && pid > 1 && pid !== process.pid && isAgent(pid)) {
    throw new Error(`another agent (process ${pid}) works on ${stateDir}`);
  }
  writeFileSync(path, `${process.pid}\n`, { mode: 0o644 });
}

function isAgent(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('ringmaster-agent');
  } catch {
    return false;
  }
}
