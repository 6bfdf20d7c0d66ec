/**
 * The agent as something that is updated like a package, by the same signed orders: `forward` puts the new program into the
 * slot that is not in use, announces a trial, switches, and lets the supervisor start it; `back` does the same with the old one.
 * Whether the new one stays is decided by its first answered poll, and without one by the launcher (agent/self/launcher.ts).
 * Every step may be cut short anywhere and is found by what is on the disk.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { compareDebVersionTexts } from '../../../domain/content/deb-version.js';
import { SELF_PACKAGE } from '../../../protocol/messages.js';
import { BUNDLE_NAME } from '../../self/launcher.js';
import { readTextIfThere, syncPath, writeFileDurably } from '../../system/files.js';
import {
  type Direction,
  KEPT,
  type PackageChange,
  type Provider,
  type RunOutcome,
  type Transaction,
  type Verdict,
} from '../provider.js';

export const SELF = 'self';
const LOOK_MS = 200;

export type Slot = 'installed' | 'a' | 'b';

export interface SelfPlace {
  readonly slotsDir: string;
  /** Which one this process was started from. */
  readonly slot: Slot;
}

/** Where the launcher says we are; null when no launcher started us: then nobody would go back, and we do not update. */
export function selfPlace(env: NodeJS.ProcessEnv): SelfPlace | null {
  const slotsDir = env.RINGMASTER_AGENT_SLOTS;
  const slot = env.RINGMASTER_AGENT_SLOT;
  if (slotsDir === undefined || !slotsDir.startsWith('/')) return null;
  return slot === 'installed' || slot === 'a' || slot === 'b' ? { slotsDir, slot } : null;
}

export interface SelfProvider extends Provider {
  /** The server has answered a poll of ours: what was on trial stays. */
  checkedIn(): void;
}

export function createSelfProvider(deps: {
  readonly place: SelfPlace;
  readonly version: string;
  /** The file this process runs from. */
  readonly program: string;
  /** Ends the process in an orderly way; its supervisor starts what `current` names. Never resolves. */
  readonly restart: () => Promise<never>;
  readonly sleep: (ms: number) => Promise<void>;
  readonly log: (message: string, fields?: Readonly<Record<string, unknown>>) => void;
}): SelfProvider {
  const { place, version } = deps;
  const at = (name: string) => join(place.slotsDir, name);
  const onTrial = () => existsSync(at('trial'));
  const fellBack = () => (readTextIfThere(at('failed')) ?? '').trim();
  const markerOf = (tx: Transaction, direction: Direction) => join(tx.dir, `self-${direction}`);
  const failure = (tx: Transaction, direction: Direction): string => {
    const target = readTextIfThere(markerOf(tx, direction))?.trim();
    return target !== undefined && fellBack().startsWith(`${target} `) ? fellBack() : '';
  };

  const judge = (tx: Transaction, direction: Direction): Verdict => {
    const change = only(tx);
    const wanted = goal(change, direction);
    if (version === wanted && !onTrial()) return { ok: true };
    const why = failure(tx, direction);
    return { ok: false, reason: `agent ${version} runs, not ${wanted}${why === '' ? '' : `: ${why}`}` };
  };

  /** Everything before the switch can be begun again; after it the next start is a trial. */
  const switchTo = async (tx: Transaction, direction: Direction): Promise<RunOutcome> => {
    const file = direction === 'forward' ? only(tx).file : only(tx).previousFile;
    if (file === null) return { interrupted: false, output: 'there is no file to go back to' };
    const target: Slot = place.slot === 'a' ? 'b' : 'a';
    mkdirSync(at(target), { recursive: true, mode: 0o755 });
    copyFileSync(file, at(`${target}/${BUNDLE_NAME}.new`));
    syncPath(at(`${target}/${BUNDLE_NAME}.new`));
    renameSync(at(`${target}/${BUNDLE_NAME}.new`), at(`${target}/${BUNDLE_NAME}`));
    syncPath(at(target));
    for (const left of ['failed', 'tries']) rmSync(at(left), { force: true });
    mkdirSync(tx.dir, { recursive: true, mode: 0o755 });
    writeFileDurably(markerOf(tx, direction), `${target}\n`, 0o644);
    writeFileDurably(at('trial'), `${target} ${place.slot}\n`, 0o644);
    rmSync(at('current.new'), { force: true });
    symlinkSync(target, at('current.new'));
    renameSync(at('current.new'), at('current'));
    syncPath(place.slotsDir);
    deps.log('switching to another agent', { slot: target, version: goal(only(tx), direction) });
    return deps.restart();
  };

  const joinRun = async (tx: Transaction, direction: Direction): Promise<RunOutcome> => {
    const target = readTextIfThere(markerOf(tx, direction))?.trim();
    if (currentOf(place.slotsDir) !== target) {
      const why = failure(tx, direction);
      return why === ''
        ? { interrupted: true, output: 'cut short before the switch' }
        : { interrupted: false, output: why };
    }
    // Switched, but cut short before the restart.
    if (place.slot !== target) return deps.restart();
    while (onTrial()) await deps.sleep(LOOK_MS);
    return { interrupted: false, output: `runs from slot ${target}` };
  };

  return {
    name: SELF,
    compareVersions(a, b) {
      const compared = compareDebVersionTexts(a, b);
      return compared.ok ? compared.order : null;
    },
    installed: async (packages) =>
      new Map(
        packages.flatMap(({ name, arch }) =>
          name === SELF_PACKAGE ? [[`${name}:${arch}`, { version, whole: true, held: false }] as const] : [],
        ),
      ),
    audit: async () => '',
    async simulate(tx, direction) {
      const { name } = only(tx);
      if (name !== SELF_PACKAGE) return { ok: false, reason: `${name} is not this agent` };
      if (onTrial()) return { ok: false, reason: 'this agent is on trial itself' };
      const file = direction === 'forward' ? only(tx).file : only(tx).previousFile;
      const begins = file === null ? '' : readFileSync(file).subarray(0, 64).toString('latin1');
      return begins.startsWith('import ') || begins.startsWith('#!') || begins.startsWith('//')
        ? { ok: true }
        : { ok: false, reason: 'the file is no agent' };
    },
    async findOldFile(old, dir) {
      if (old.name !== SELF_PACKAGE || old.version !== version) return null;
      const kept = join(dir, `old-${BUNDLE_NAME}`);
      mkdirSync(dir, { recursive: true, mode: 0o755 });
      copyFileSync(deps.program, kept);
      syncPath(kept);
      return kept;
    },
    snapshot: async () => KEPT,
    async run(tx, direction, { again }) {
      if (judge(tx, direction).ok) return { interrupted: false, output: `agent ${version} runs` };
      return again || !existsSync(markerOf(tx, direction)) ? switchTo(tx, direction) : joinRun(tx, direction);
    },
    hasBegun: async (tx, direction) => existsSync(markerOf(tx, direction)),
    repair: async () => [],
    judge: async (tx, direction) => judge(tx, direction),
    rebootNeed: async () => ({ required: false, reasons: [], onOldCode: [] }),
    inventory: () => Promise.reject(new Error('the agent is no package manager')),
    checkedIn() {
      if (!onTrial()) return;
      const [target] = (readTextIfThere(at('trial')) ?? '').trim().split(' ');
      if (target !== place.slot) return;
      rmSync(at('trial'), { force: true });
      rmSync(at('tries'), { force: true });
      syncPath(place.slotsDir);
      deps.log('the server has answered: this agent stays', { slot: place.slot, version });
    },
  };
}

function only(tx: Transaction): PackageChange {
  const [change, ...more] = tx.changes;
  if (change === undefined || more.length > 0) throw new Error('an update of the agent is one file');
  return change;
}

const goal = (change: PackageChange, direction: Direction) => (direction === 'forward' ? change.to : change.from);

function currentOf(slotsDir: string): string {
  try {
    return readlinkSync(join(slotsDir, 'current'));
  } catch {
    return 'installed';
  }
}
