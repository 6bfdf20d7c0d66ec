/** The executor with everything around it in memory but the journal: a world, and agents that boot and die in it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Journal, openJournal } from '../../agent/journal/journal.js';
import { type LocalLimits, NO_LIMITS } from '../../agent/limits/limits.js';
import type { ExecutorDeps } from '../../agent/orders/context.js';
import { createExecutor } from '../../agent/orders/executor.js';
import { createLedger, JournalFailed, type Ledger } from '../../agent/orders/ledger.js';
import type { OrderDocument, PermitDocument } from '../../protocol/messages.js';
import { createFakeHost, ENDPOINT, type FakeHost, ORDER, PLAN } from './fake-host.js';

export interface World {
  /** The agent's own disk. */
  readonly dir: string;
  /** Where files that orders name are, by digest. */
  contentDir: string;
  host: FakeHost;
  time: number;
  skew: number;
  limits: LocalLimits;
  windowOpen: boolean;
  /** Whether the server's time is known. */
  heard: boolean;
  /** What the host says when it is to be restarted; null: it goes down. */
  rebootFails: string | null;
  /** What happens while the server is told of a reboot that is about to come. */
  whileTold: () => void;
  fetchFails: Error | null;
  hookFails: string | null;
  hooksRun: string[];
  scans: string[];
}

export function world(host = createFakeHost()): World {
  return {
    dir: newDir(),
    contentDir: '/content',
    host,
    time: 1_000_000,
    skew: 0,
    limits: NO_LIMITS,
    windowOpen: true,
    heard: true,
    rebootFails: null,
    whileTold: () => undefined,
    fetchFails: null,
    hookFails: null,
    hooksRun: [],
    scans: [],
  };
}

/** Changes the world and goes on with `result`. */
export function having<T>(w: World, over: Partial<World>, result: T): T {
  Object.assign(w, over);
  return result;
}

/** The agent's process: what it knows comes from the journal; `killAt` ends it at that append (before or after the disk). */
export function boot(w: World, kill?: { at: number; when: 'before' | 'after' }) {
  const opened = openJournal({ dir: w.dir, now: () => w.time });
  let appends = 0;
  let dead = false;
  const dies = () => {
    dead = true;
    throw new Error('killed');
  };
  const journal: Journal = {
    get seq() {
      return opened.journal.seq;
    },
    get size() {
      return opened.journal.size;
    },
    append(body) {
      if (dead) dies();
      appends += 1;
      if (kill?.when === 'before' && appends === kill.at) dies();
      const record = opened.journal.append(body);
      if (kill?.when === 'after' && appends === kill.at) dies();
      return record;
    },
    compact: (body) => opened.journal.compact(body),
    close: () => opened.journal.close(),
  };
  const ledger = createLedger({ journal, records: opened.records, now: () => w.time });
  const bootedAs = w.host.boots;
  const deps: ExecutorDeps = {
    ledger,
    provider: w.host.provider,
    content: {
      has: () => true,
      spaceObjection: () => null,
      clean: () => undefined,
      ensure: async (file) => {
        if (w.fetchFails !== null) throw w.fetchFails;
        return join(w.contentDir, file.sha256);
      },
    },
    clock: { latest: () => (w.heard ? w.time : null), skewMs: () => w.skew },
    limits: () => w.limits,
    ownWindowOpen: () => w.windowOpen,
    runChecks: async (checks) =>
      checks.map(() => ({ check: 'port 80', problem: w.host.healthy ? '' : 'nothing listens there' })),
    runHooks: async (hooks, when) => {
      const mine = hooks.filter((h) => h.when === when);
      w.hooksRun.push(...mine.map((h) => `${when} ${h.name}`));
      return mine.map((h) => ({
        name: h.name,
        ok: w.hookFails !== h.name,
        problem: w.hookFails === h.name ? 'failed' : '',
        ignored: h.onFailure === 'ignore',
      }));
    },
    scan: async ({ scanId }) => {
      w.scans.push(scanId);
      return { complete: true, reason: null };
    },
    newId: () => `scan-${w.scans.length}`,
    bootId: `boot-${bootedAs}`,
    tellServer: async () => w.whileTold(),
    reboot: async () => {
      if (w.rebootFails !== null) throw new Error(w.rebootFails);
      w.host.boots += 1;
    },
    scanOnly: false,
    orderDir: (id) => join(w.dir, 'orders', id),
    sleep: async () => {
      w.time += 1_000;
    },
    mono: () => w.time,
    healthGraceMs: 3_000,
    log: () => undefined,
    settled: () => undefined,
  };
  return {
    ledger,
    executor: createExecutor(deps),
    appends: () => appends,
    /** From here on nothing is written any more, whatever still goes on. */
    die: () => {
      dead = true;
    },
    close: () => opened.journal.close(),
  };
}

export const permit = (over: Partial<PermitDocument> = {}): PermitDocument => ({
  v: 1,
  orderId: ORDER,
  endpointId: ENDPOINT,
  planDigest: PLAN,
  issuedAt: 0,
  startBy: 2_000_000,
  rebootBy: 9_000_000,
  ...over,
});

export function offer(
  ledger: Ledger,
  doc: OrderDocument,
  with_: PermitDocument | null = permit({ orderId: doc.orderId }),
): void {
  if (ledger.book.orders[doc.orderId] === undefined) ledger.take({ orderId: doc.orderId, kind: doc.kind, doc });
  const entry = ledger.entry(doc.orderId);
  if (with_ !== null && entry.permit === null) ledger.permit(with_);
}

/** Boots agents until the order needs nobody any more; a reboot or a kill starts the next one. Returns its reports. */
export async function toTheEnd(w: World, doc: OrderDocument, kill?: { at: number; when: 'before' | 'after' }) {
  let killed = false;
  for (let boots = 0; boots < 10; boots++) {
    const agent = boot(w, killed ? undefined : kill);
    try {
      offer(agent.ledger, doc);
      await agent.executor.work();
      const entry = agent.ledger.entry(doc.orderId);
      if (entry.core.state !== 'rebooting') {
        return {
          types: entry.reports.map((r) => r.type),
          state: entry.core.state,
          reports: entry.reports,
          appends: agent.appends(),
          killed,
        };
      }
    } catch (error) {
      if (!(error instanceof JournalFailed)) throw error;
      killed = true;
    } finally {
      agent.close();
    }
  }
  throw new Error('never came to an end');
}

const dirs: string[] = [];

function newDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'executor-'));
  dirs.push(dir);
  return dir;
}

/** Removes the disks of all worlds made so far. */
export function removeWorlds(): void {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
}
