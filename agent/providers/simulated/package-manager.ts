/**
 * The package manager of a simulated machine. A run is a schedule: it installs its packages one by one over its time, and
 * whoever looks first writes down what must have happened by then. So it outlives the agent as a real one does, without a
 * process of its own. A fragile run is carried on by the process that began it alone, and found cut short by the next.
 */
import { compareDebVersionTexts } from '../../../domain/content/deb-version.js';
import {
  type Direction,
  type InstalledPackage,
  KEPT,
  type PackageChange,
  type PackageInventory,
  type Provider,
  type RunOutcome,
  type Transaction,
  type Verdict,
} from '../provider.js';
import { type Disk, type MachineState, runKey, stateOf } from './state.js';

export const SIMULATED = 'simulated';
const ARCH = 'amd64';
const LOOK_MS = 25;

export function createSimulatedProvider(deps: {
  readonly disk: Disk;
  /** True time, epoch ms. */
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
}): Provider {
  const { disk, now, sleep } = deps;

  const look = (): MachineState => {
    carryOn(disk, now());
    return stateOf(disk.machine, disk.effects());
  };

  const judge = (tx: Transaction, direction: Direction): Verdict => {
    const { versions } = look();
    for (const change of tx.changes) {
      const wanted = goal(change, direction);
      const is = versions.get(change.name);
      if (wanted === null || is === wanted) continue;
      if (direction === 'forward' && is !== undefined && compare(is, wanted) === 1) continue;
      return { ok: false, reason: `${change.name} is ${is ?? 'not installed'}, not ${wanted}` };
    }
    return { ok: true };
  };

  return {
    name: SIMULATED,
    compareVersions: compare,
    async installed(packages) {
      const { versions } = look();
      return new Map(
        packages.flatMap(({ name, arch }): [string, InstalledPackage][] => {
          const version = versions.get(name);
          return version === undefined ? [] : [[`${name}:${arch}`, { version, whole: true, held: false }]];
        }),
      );
    },
    audit: async () => '',
    async simulate(tx, direction) {
      const { versions } = look();
      const source = (change: PackageChange) => (direction === 'forward' ? change.from : change.to);
      const odd = tx.changes.find(
        (change) => ![source(change), goal(change, direction)].includes(versions.get(change.name) ?? null),
      );
      return odd === undefined
        ? { ok: true }
        : { ok: false, reason: `${odd.name} is ${versions.get(odd.name) ?? 'not installed'}` };
    },
    findOldFile: async () => null,
    snapshot: async () => KEPT,
    async run(tx, direction, { again }) {
      const key = runKey({ orderId: tx.orderId, direction });
      const earlier = look().runs.get(key);
      if (earlier === undefined || again) begin({ disk, tx, direction, again, at: now() });
      for (;;) {
        const run = look().runs.get(key);
        if (run === undefined) throw new Error(`the record of ${key} is gone`);
        if (run.end?.action === 'end') return outcome(run.end.interrupted);
        await sleep(LOOK_MS);
      }
    },
    hasBegun: async ({ orderId }, direction) => look().runs.has(runKey({ orderId, direction })),
    repair: async () => [],
    judge: async (tx, direction) => judge(tx, direction),
    async rebootNeed() {
      const required = disk.behaviour().rebootRequired;
      return { required, reasons: required ? ['it behaves so'] : [], onOldCode: [] };
    },
    inventory: async () => inventory(disk, look()),
  };
}

const compare: Provider['compareVersions'] = (a, b) => {
  const compared = compareDebVersionTexts(a, b);
  return compared.ok ? compared.order : null;
};

const goal = (change: PackageChange, direction: Direction) => (direction === 'forward' ? change.to : change.from);

const outcome = (interrupted: boolean): RunOutcome => ({
  interrupted,
  output: interrupted ? 'simulated: cut short' : 'simulated: done',
});

function begin(args: {
  readonly disk: Disk;
  readonly tx: Transaction;
  readonly direction: Direction;
  readonly again: boolean;
  readonly at: number;
}): void {
  const { disk, tx, direction, again, at } = args;
  const { applyMs, revertMs, failApply, fragile } = disk.behaviour();
  const { versions } = stateOf(disk.machine, disk.effects());
  const steps = tx.changes.flatMap((change) => {
    const version = goal(change, direction);
    return version === null || versions.get(change.name) === version ? [] : [{ name: change.name, version }];
  });
  disk.append({
    action: 'begin',
    orderId: tx.orderId,
    direction,
    at,
    again,
    pid: process.pid,
    ms: direction === 'forward' ? applyMs : revertMs,
    fragile,
    steps,
    reach: direction === 'forward' && failApply ? Math.min(1, steps.length) : steps.length,
  });
}

/** Writes down what every unfinished run must have done by `at`. */
function carryOn(disk: Disk, at: number): void {
  const { runs, versions } = stateOf(disk.machine, disk.effects());
  const { hold } = disk.behaviour();
  for (const { begin: run, done, end } of runs.values()) {
    if (end !== null) continue;
    const of = { orderId: run.orderId, direction: run.direction };
    if (run.fragile && run.pid !== process.pid) {
      disk.append({ ...of, action: 'end', at, interrupted: true });
      continue;
    }
    if (hold === 'both' || hold === run.direction) continue;
    const due = (step: number) => run.at + (run.ms * step) / Math.max(1, run.steps.length);
    run.steps.slice(done, run.reach).forEach(({ name, version }, index) => {
      const installedAt = due(done + index + 1);
      if (installedAt > at) return;
      disk.append({ ...of, action: 'install', at: installedAt, name, version, was: versions.get(name) ?? null });
    });
    const endsAt = run.at + run.ms;
    if (endsAt <= at) disk.append({ ...of, action: 'end', at: endsAt, interrupted: false });
  }
}

function inventory(disk: Disk, { versions }: MachineState): PackageInventory {
  const installed = [...versions];
  return {
    complete: true,
    incompleteReason: null,
    provider: SIMULATED,
    indexAgeSeconds: 0,
    auditClean: true,
    packages: installed.map(([name, version]) => ({
      name,
      arch: ARCH,
      version,
      source: name,
      sourceVersion: version,
    })),
    updates: (disk.behaviour().available ?? disk.machine.available).flatMap(({ name, version }) => {
      const is = versions.get(name);
      return is !== undefined && compare(version, is) === 1
        ? [{ name, arch: ARCH, installed: is, candidate: version }]
        : [];
    }),
  };
}
