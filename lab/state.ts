// What is on disk of a lab: enough for any later process to use it, and to remove it when its maker is gone.
import { mkdirSync, readdirSync, readFileSync, renameSync, statfsSync, writeFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import type { Target } from './forward.js';
import type { ProcessIdentity } from './process.js';

/** One lab as its state file describes it. */
export type LabState = {
  id: string;
  /** The middle number of 10.N.0.0/24. */
  subnet: number;
  /** The process that serves the relay and hears magic packets. */
  controller: ProcessIdentity;
  relayPort: number;
  /** On the bridge: leads to `server`. */
  gatewayPort: number;
  /** The Ringmaster on this machine that the hosts reach, once there is one. */
  server?: Target;
  hosts: HostState[];
  /** Base layers, uppermost first. */
  layers: string[];
  /** Whether hosts sync to disk. */
  sync: boolean;
};

export type HostState = {
  index: number;
  mac: string;
  address: string;
  /** IANA name. */
  zone: string;
};

const gibibyte = 2 ** 30;

/**
 * Where labs keep their hosts' disks: RINGMASTER_LAB_DIR; else in memory on a machine with plenty of it (a host writes
 * 0.3 GB in all its upgrades, and removing tens of thousands of files from some disks takes minutes); else below
 * /var/tmp. Created if absent. The choice depends on the machine only, so every process makes the same.
 */
export function labRoot(): string {
  const root = process.env.RINGMASTER_LAB_DIR ?? join(memoryDiskFits() ? '/dev/shm' : '/var/tmp', 'ringmaster-lab');
  mkdirSync(root, { recursive: true, mode: 0o700 });
  return root;
}

function memoryDiskFits(): boolean {
  const mount = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .find((line) => line.split(' ')[1] === '/dev/shm');
  const [, , kind, options = ''] = mount?.split(' ') ?? [];
  if (kind !== 'tmpfs' || /\b(noexec|ro)\b/.test(options)) return false;
  const size = statfsSync('/dev/shm');
  return totalmem() >= 12 * gibibyte && size.blocks * size.bsize >= 8 * gibibyte;
}

/** Lab ids end up in interface names, which hold 15 characters. */
export function checkLabId(id: string): string {
  if (!/^[a-z0-9]{1,7}$/.test(id)) throw new RangeError(`lab id ${JSON.stringify(id)}: 1 to 7 of a-z and 0-9`);
  return id;
}

export const labDir = (id: string) => join(labRoot(), id);
/** What the command line's controller of a lab says. */
export const controllerLog = (id: string) => join(labRoot(), `${id}.log`);
export const hostDir = (id: string, index: number) => join(labDir(id), 'hosts', String(index));
export const bridgeName = (id: string) => `rml-${id}`;
export const linkName = (id: string, index: number) => `rml-${id}-${index}`;
export const namespaceName = (id: string, index: number) => `rmlab-${id}-${index}`;
/** Also the name of the host's control group, and of its machine for systemd-nspawn. */
export const machineName = namespaceName;
/** What every namespace, control group and machine of a lab starts with. */
export const namePrefix = (id: string) => `rmlab-${id}-`;

/** The state of a lab, or undefined when there is none by this id (or its maker died before writing it). */
export function readState(id: string): LabState | undefined {
  try {
    return JSON.parse(readFileSync(join(labDir(id), 'state.json'), 'utf8')) as LabState;
  } catch {
    return undefined;
  }
}

export function writeState(state: LabState): void {
  const file = join(labDir(state.id), 'state.json');
  writeFileSync(`${file}.new`, JSON.stringify(state, null, 2));
  renameSync(`${file}.new`, file);
}

/** Ids of every lab with a folder on this machine, whether or not it still runs. */
export function labIds(): string[] {
  return readdirSync(labRoot(), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && /^[a-z0-9]{1,7}$/.test(entry.name))
    .map((entry) => entry.name);
}
