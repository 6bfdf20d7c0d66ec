/** A machine that exists only as a folder, for tests and demonstrations of the real agent. It always says so. */
import { join } from 'node:path';
import type { Machine } from '../../machine.js';
import { createSimulatedProvider } from './package-manager.js';
import { openDisk, stateOf } from './state.js';

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** The machine in `DIR/simulated`. @throws Error when none was made there. */
export async function simulatedMachine(stateDir: string): Promise<Machine> {
  const disk = openDisk(join(stateDir, 'simulated'));
  const { upAt } = stateOf(disk.machine, disk.effects());
  // Nothing runs on a machine that is down.
  if (upAt > Date.now()) await sleep(upAt - Date.now());
  const { boots } = stateOf(disk.machine, disk.effects());
  const made = new Map(disk.machine.packages.map((p) => [p.name, p.version]));
  return {
    id: disk.machine.machineId,
    bootId: `simulated/${disk.machine.machineId}/${boots}`,
    simulated: true,
    mayChange: true,
    provider: createSimulatedProvider({ disk, now: Date.now, sleep }),
    now: () => ({ mono: performance.now(), wall: Date.now() + disk.behaviour().clockOffsetMs }),
    async runChecks(checks) {
      const { versions } = stateOf(disk.machine, disk.effects());
      const changed = [...versions].some(([name, version]) => made.get(name) !== version);
      const problem = disk.behaviour().unhealthyAfter && changed ? 'simulated: not well' : '';
      return checks.map((check) => ({ check: `simulated ${check.type}`, problem }));
    },
    async reboot() {
      disk.append({ action: 'reboot', at: Date.now(), ms: disk.behaviour().rebootMs });
      process.exit(0);
    },
  };
}
