/** What processes cost, from /proc: a named process with all its children, also those that have ended. */
import { readdirSync, readFileSync } from 'node:fs';

const TICKS_PER_SECOND = 100;
const PAGE_MIB = 4_096 / 1_048_576;

export interface Usage {
  readonly cpuSeconds: number;
  readonly rssMiB: number;
}

export type Usages = Readonly<Record<string, Usage>>;

/** @param pids the first process of each name; one that is gone is left out. */
export function usageOf(pids: Readonly<Record<string, number>>): Usages {
  const all = readAll();
  return Object.fromEntries(
    Object.entries(pids).flatMap(([name, pid]) => {
      const root = all.get(pid);
      if (root === undefined) return [];
      const family = [root, ...descendants(all, pid)];
      const ticks = family.reduce((sum, one) => sum + one.ownTicks, 0) + root.endedTicks;
      return [
        [name, { cpuSeconds: ticks / TICKS_PER_SECOND, rssMiB: family.reduce((sum, one) => sum + one.ownMiB, 0) }],
      ];
    }),
  );
}

/** What was used between two looks; memory is that of the later one. */
export function usedBetween(before: Usages, after: Usages): Usages {
  return Object.fromEntries(
    Object.entries(after).map(([name, { cpuSeconds, rssMiB }]) => [
      name,
      { cpuSeconds: round(cpuSeconds - (before[name]?.cpuSeconds ?? 0)), rssMiB: Math.round(rssMiB) },
    ]),
  );
}

export const round = (value: number, digits = 2): number => Number(value.toFixed(digits));

interface Entry {
  readonly parent: number;
  readonly ownTicks: number;
  readonly endedTicks: number;
  readonly ownMiB: number;
}

function readAll(): Map<number, Entry> {
  const entries = new Map<number, Entry>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const fields = stat
        .slice(stat.lastIndexOf(')') + 2)
        .split(' ')
        .map(Number);
      const [resident = 0, shared = 0] = readFileSync(`/proc/${name}/statm`, 'utf8').split(' ').slice(1).map(Number);
      entries.set(Number(name), {
        parent: fields[1] ?? 0,
        ownTicks: (fields[11] ?? 0) + (fields[12] ?? 0),
        endedTicks: (fields[13] ?? 0) + (fields[14] ?? 0),
        // Shared pages (PostgreSQL's buffers, programs) would otherwise count once per process.
        ownMiB: (resident - shared) * PAGE_MIB,
      });
    } catch {
      // It ended while we looked.
    }
  }
  return entries;
}

function descendants(all: ReadonlyMap<number, Entry>, pid: number): Entry[] {
  return [...all].flatMap(([child, entry]) => (entry.parent === pid ? [entry, ...descendants(all, child)] : []));
}
