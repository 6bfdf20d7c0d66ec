/**
 * A simulated machine's disk: what it was made with (`machine.json`), how it is to behave (`behaviour.json`, read anew each
 * time so that a test can change it) and what really happened to it (`effects.jsonl`, append-only). Its state is the first
 * folded with the last, so the record can't differ from the truth.
 */
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { readTextIfThere } from '../../system/files.js';
import type { Direction } from '../provider.js';

export interface MachineFile {
  readonly machineId: string;
  readonly packages: readonly { readonly name: string; readonly version: string }[];
  /** What its repositories offer. */
  readonly available: readonly { readonly name: string; readonly version: string }[];
}

export interface Behaviour {
  /** How long the package manager works, milliseconds, there and back. */
  readonly applyMs: number;
  readonly revertMs: number;
  /** The package manager is at work and gets nowhere until this is lifted. */
  readonly hold: Direction | 'both' | null;
  /** What its repositories offer from now on; null: what it was made with. */
  readonly available: MachineFile['available'] | null;
  /** The package manager stops after the first package of a change. */
  readonly failApply: boolean;
  /** Checks fail as long as any package is newer than when the machine was made. */
  readonly unhealthyAfter: boolean;
  readonly rebootRequired: boolean;
  /** How long it is down, milliseconds. */
  readonly rebootMs: number;
  /** Added to its wall clock. */
  readonly clockOffsetMs: number;
  /** The package manager dies with the agent instead of outliving it. */
  readonly fragile: boolean;
}

export const USUAL: Behaviour = {
  applyMs: 50,
  revertMs: 50,
  hold: null,
  available: null,
  failApply: false,
  unhealthyAfter: false,
  rebootRequired: false,
  rebootMs: 200,
  clockOffsetMs: 0,
  fragile: false,
};

interface OfRun {
  readonly orderId: string;
  readonly direction: Direction;
  /** True time of this computer, epoch ms, whatever the machine's own clock shows. */
  readonly at: number;
}

export type Effect =
  | (OfRun & {
      readonly action: 'begin';
      /** Started again after it had been cut short. */
      readonly again: boolean;
      readonly pid: number;
      readonly ms: number;
      readonly fragile: boolean;
      readonly steps: readonly { readonly name: string; readonly version: string }[];
      /** How many of the steps it gets to before it gives up. */
      readonly reach: number;
    })
  | (OfRun & {
      readonly action: 'install';
      readonly name: string;
      readonly version: string;
      readonly was: string | null;
    })
  | (OfRun & { readonly action: 'end'; readonly interrupted: boolean })
  | { readonly action: 'reboot'; readonly at: number; readonly ms: number };

type Begin = Extract<Effect, { action: 'begin' }>;

export interface MachineState {
  readonly versions: ReadonlyMap<string, string>;
  readonly boots: number;
  /** When the last boot was over. */
  readonly upAt: number;
  /** The newest run of each order and direction. */
  readonly runs: ReadonlyMap<string, { readonly begin: Begin; readonly done: number; readonly end: Effect | null }>;
}

export interface Disk {
  readonly machine: MachineFile;
  behaviour(): Behaviour;
  effects(): readonly Effect[];
  append(effect: Effect): void;
}

export const runKey = (run: { readonly orderId: string; readonly direction: Direction }): string =>
  `${run.orderId} ${run.direction}`;

/** @throws Error when the machine was never made, or its files can't be read. */
export function openDisk(dir: string): Disk {
  const machineText = readTextIfThere(join(dir, 'machine.json'));
  if (machineText === null) throw new Error(`${dir}/machine.json: there is no simulated machine here`);
  return {
    machine: JSON.parse(machineText),
    behaviour: () => ({ ...USUAL, ...JSON.parse(readTextIfThere(join(dir, 'behaviour.json')) ?? '{}') }),
    effects: () => readEffects(dir),
    append(effect) {
      const fd = openSync(join(dir, 'effects.jsonl'), 'a', 0o600);
      try {
        writeSync(fd, `${JSON.stringify(effect)}\n`);
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
    },
  };
}

/** The machine's own record. A line torn by a kill never happened. */
export function readEffects(dir: string): readonly Effect[] {
  const lines = (readTextIfThere(join(dir, 'effects.jsonl')) ?? '').split('\n');
  return lines.slice(0, -1).map((line) => JSON.parse(line) as Effect);
}

export function stateOf(machine: MachineFile, effects: readonly Effect[]): MachineState {
  const versions = new Map(machine.packages.map((p) => [p.name, p.version]));
  const runs = new Map<string, { begin: Begin; done: number; end: Effect | null }>();
  let boots = 1;
  let upAt = 0;
  for (const effect of effects) {
    switch (effect.action) {
      case 'begin':
        runs.set(runKey(effect), { begin: effect, done: 0, end: null });
        break;
      case 'install': {
        versions.set(effect.name, effect.version);
        const run = runs.get(runKey(effect));
        if (run !== undefined) run.done += 1;
        break;
      }
      case 'end': {
        const run = runs.get(runKey(effect));
        if (run !== undefined) run.end = effect;
        break;
      }
      case 'reboot':
        boots += 1;
        upAt = effect.at + effect.ms;
    }
  }
  return { versions, boots, upAt, runs };
}
