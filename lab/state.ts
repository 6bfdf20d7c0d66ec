// What is on disk of a lab: enough for any later process to use it, and to remove it when its maker is gone.
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ProcessIdentity } from './process.js';

/** One lab as its state file describes it. */
export type LabState = {
  id: string;
  /** The middle number of 10.N.0.0/24. */
  subnet: number;
  /** The process that serves the relay and hears magic packets. */
  controller: ProcessIdentity;
  relayPort: number;
  hosts: HostState[];
  /** Base layers, uppermost first. */
  layers: string[];
};

export type HostState = {
  index: number;
  mac: string;
  address: string;
  /** IANA name. */
  zone: string;
};

/** Where labs keep their hosts' disks: RINGMASTER_LAB_DIR, else a folder below /var/tmp. Created if absent. */
export function labRoot(): string {
  const root = process.env.RINGMASTER_LAB_DIR ?? '/var/tmp/ringmaster-lab';
  mkdirSync(root, { recursive: true, mode: 0o700 });
  return root;
}

/** Lab ids end up in interface names, which hold 15 characters. */
export function checkLabId(id: string): string {
  if (!/^[a-z0-9]{1,7}$/.test(id)) throw new RangeError(`lab id ${JSON.stringify(id)}: 1 to 7 of a-z and 0-9`);
  return id;
}

export const labDir = (id: string) => join(labRoot(), id);
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
