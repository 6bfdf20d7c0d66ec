/** This machine and this process on it. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { AgentConfig } from './config.js';
import { createRunChecks, type RunChecks } from './health/checks.js';
import type { Provider } from './providers/provider.js';
import { readBootId, readMachineId, startTicksOf } from './system/boot.js';
import { readTextIfThere } from './system/files.js';
import { run } from './system/run.js';
import type { Moment } from './transport/clock.js';

/** What the agent knows of the machine it is on, and can do to it. */
export interface Machine {
  readonly id: string;
  readonly bootId: string;
  readonly simulated: boolean;
  /** False: only scans. */
  readonly mayChange: boolean;
  /** Null: none that we know. */
  readonly provider: Provider | null;
  now(): Moment;
  readonly runChecks: RunChecks;
  /** Returns when it is going down, or not at all. @throws when it refuses to. */
  reboot(): Promise<void>;
}

/** The machine the configuration names: this one, unless it asks for a simulated one. */
export async function openMachine(
  config: AgentConfig,
  log: (message: string, fields?: Readonly<Record<string, unknown>>) => void,
): Promise<Machine> {
  if (config.provider === 'simulated') {
    const { simulatedMachine } = await import('./providers/simulated/index.js');
    return simulatedMachine(config.stateDir);
  }
  const provider = await findProvider(log);
  return {
    id: machineIdHere(),
    bootId: readBootId(),
    simulated: false,
    mayChange: process.getuid?.() === 0 && provider !== null,
    provider,
    now: () => ({ mono: performance.now(), wall: Date.now() }),
    runChecks: createRunChecks({ run, checksDir: config.checksDir, ownerUid: 0 }),
    async reboot() {
      const result = await run(['systemctl', 'reboot'], { timeoutMs: 60_000 });
      if (result.code !== 0) throw new Error(`systemctl reboot: ${result.stderr.slice(0, 300)}`);
    },
  };
}

async function findProvider(
  log: (message: string, fields?: Readonly<Record<string, unknown>>) => void,
): Promise<Provider | null> {
  try {
    const { createAptProvider } = await import('./providers/apt/index.js');
    return await createAptProvider({ run, now: Date.now, log });
  } catch (error) {
    log('no package manager', { reason: (error as Error).message });
    return null;
  }
}

/** Names the machine for as long as it lives; where there is no /etc/machine-id its name has to do. */
export function machineIdHere(): string {
  return readMachineId() ?? createHash('sha256').update(hostname()).digest('hex').slice(0, 32);
}

/** Two agents on one journal would each believe the other's half. @throws Error when another one runs. */
export function claimStateDir(stateDir: string): void {
  mkdirSync(stateDir, { recursive: true, mode: 0o711 });
  const path = join(stateDir, 'agent.pid');
  const [pid = '', started = ''] = (readTextIfThere(path) ?? '').trim().split(' ');
  // The start time tells a live agent from a stranger that got the number of one that was killed.
  if (Number(pid) !== process.pid && started !== '' && startTicksOf(Number(pid)) === started) {
    throw new Error(`another agent (process ${pid}) works on ${stateDir}`);
  }
  writeFileSync(path, `${process.pid} ${startTicksOf(process.pid) ?? ''}\n`, { mode: 0o644 });
}
