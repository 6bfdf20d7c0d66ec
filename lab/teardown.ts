// Removal of a lab by its id alone: what is left of one is found by name, so it works after any crash of its maker.
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cgroupProcesses, cgroupsNamed, killCgroup, removeCgroup } from './cgroups.js';
import { restoreInotifyLimit } from './inotify.js';
import { withLock } from './lock.js';
import { linksOf, namespacesOf, removeNetwork } from './network.js';
import { isAlive, mustRun, signal, waitUntil } from './process.js';
import { controllerLog, labDir, labIds, labRoot, namePrefix, readState } from './state.js';

/** The lock under which labs are made and removed. */
export const labLock = () => join(labRoot(), '.lock');

/** Something of a removed lab is still there. */
export class LabLeftovers extends Error {
  constructor(
    id: string,
    readonly left: readonly string[],
  ) {
    super(`lab ${id} left behind: ${left.join('; ')}`);
    this.name = 'LabLeftovers';
  }
}

/**
 * Ends every host of the lab at once and removes all it made: processes, mounts, namespaces, control groups, bridge and
 * folder; with the last lab, also the raised kernel limit. A controller in another process is ended too.
 * @throws LabLeftovers when something could not be removed.
 */
export async function teardown(id: string): Promise<void> {
  const controller = readState(id)?.controller;
  if (controller !== undefined && controller.pid !== process.pid && isAlive(controller)) {
    signal(controller.pid, 'SIGTERM');
    await waitUntil('end of the controller', 5_000, () => !isAlive(controller)).catch(() =>
      signal(controller.pid, 'SIGKILL'),
    );
  }
  await withLock(labLock(), () => removeAll(id));
}

/** Removes labs whose controlling process died without doing so. Call under the lab lock. */
export async function removeDeadLabs(): Promise<void> {
  for (const id of labIds()) {
    const state = readState(id);
    if (state === undefined || !isAlive(state.controller)) await removeAll(id);
  }
}

async function removeAll(id: string): Promise<void> {
  for (const group of cgroupsNamed(namePrefix(id))) {
    await killCgroup(group);
    removeCgroup(group);
  }
  await removeNetwork(id);
  await mustRun(['rm', '-rf', '--one-file-system', labDir(id)]); // tens of thousands of files
  rmSync(controllerLog(id), { force: true });
  const left = await leftovers(id);
  if (left.length > 0) throw new LabLeftovers(id, left);
  if (labIds().length === 0) restoreInotifyLimit();
}

/** What of a lab exists on this machine, in words; empty after a clean removal. */
export async function leftovers(id: string): Promise<string[]> {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(`${labDir(id)}/`) || line.includes(`/${namePrefix(id)}`));
  return [
    ...cgroupsNamed(namePrefix(id)).flatMap((group) => [
      `control group ${group}`,
      ...cgroupProcesses(group).map((pid) => `process ${pid} of ${group}`),
    ]),
    ...processesMentioning(id).map((pid) => `process ${pid}`),
    ...namespacesOf(id).map((name) => `network namespace ${name}`),
    ...(await linksOf(id)).map((name) => `interface ${name}`),
    ...mounts.map((line) => `mount ${line.split(' ')[4]}`),
    ...(existsSync(labDir(id)) ? [`folder ${labDir(id)}`] : []),
  ];
}

/** Processes outside any host that were started for one: their arguments name its disk. */
function processesMentioning(id: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(join(labDir(id), 'hosts'));
      } catch {
        return false;
      }
    });
}
