/** Inventories: those an order asks for, those the server hints at, and one now and then of our own accord. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { InventoryRequest } from '../protocol/messages.js';
import type { Log } from './compose.js';
import type { AgentConfig } from './config.js';
import { collectInventory } from './inventory/collect.js';
import type { Provider } from './providers/provider.js';
import { readTextIfThere, writeFileDurably } from './system/files.js';
import { run } from './system/run.js';

export interface Scanner {
  /** @throws when the server can't be reached. */
  scan(request: {
    readonly scanId: string;
    readonly orderId: string | null;
  }): Promise<{ readonly complete: boolean; readonly reason: string | null }>;
  /** Starts the rhythm; the first scan follows at once when the last one is old or there was none. */
  start(): void;
  soon(): void;
  observations(): Record<string, unknown>;
  last(): LastScan | null;
}

interface LastScan {
  readonly at: number;
  readonly complete: boolean;
  readonly reason: string | null;
  readonly updates: number;
}

const RETRY_MS = 10 * 60_000;
const BUSY_MS = 60_000;

export function createScanner(deps: {
  readonly config: AgentConfig;
  readonly provider: Provider | null;
  readonly self: boolean;
  readonly refresh: boolean;
  readonly now: () => number;
  readonly busy: () => boolean;
  readonly send: (inventory: InventoryRequest) => Promise<void>;
  readonly scanned: () => void;
  readonly log: Log;
}): Scanner {
  const file = join(deps.config.stateDir, 'last-scan.json');
  let last = parseLast(readTextIfThere(file));
  let hands: Record<string, unknown> = {};
  let timer: NodeJS.Timeout | null = null;
  let running = false;

  const scan: Scanner['scan'] = async (request) => {
    const inventory = await collectInventory(
      { run, provider: deps.provider, self: deps.self, refresh: deps.refresh, now: deps.now },
      request,
    );
    await deps.send(inventory);
    const { complete, incompleteReason: reason } = inventory;
    last = { at: Date.now(), complete, reason, updates: inventory.updates.length };
    writeFileDurably(file, JSON.stringify(last));
    if (deps.provider?.name === 'apt') {
      const { otherHands } = await import('./providers/apt/inventory.js');
      hands = { otherHands: await otherHands({ run, ours: deps.config.stateDir }) };
    }
    deps.log('inventory', { complete, updates: last.updates, ...(reason === null ? {} : { reason }) });
    deps.scanned();
    // An inventory is the agent's one big meal; without this the heap keeps its size for hours.
    setTimeout(() => globalThis.gc?.(), 5_000).unref();
    return { complete, reason };
  };
  const at = (ms: number) => {
    if (timer !== null) clearTimeout(timer);
    timer = setTimeout(() => void own(), ms);
  };
  const own = async (): Promise<void> => {
    if (running) return;
    if (deps.busy()) {
      at(BUSY_MS);
      return;
    }
    running = true;
    const every = deps.config.scanHours * 3_600_000;
    try {
      const { complete } = await scan({ scanId: randomUUID(), orderId: null });
      at(complete ? every * (0.9 + 0.2 * Math.random()) : Math.min(every, 6 * RETRY_MS));
    } catch (error) {
      deps.log('inventory not delivered', { error: (error as Error).message });
      at(RETRY_MS * (0.5 + Math.random()));
    } finally {
      running = false;
    }
  };
  return {
    scan,
    start: () => at(last === null ? 0 : Math.max(1_000, last.at + deps.config.scanHours * 3_600_000 - Date.now())),
    soon: () => at(0),
    observations: () => hands,
    last: () => last,
  };
}

function parseLast(text: string | null): LastScan | null {
  try {
    return text === null ? null : (JSON.parse(text) as LastScan);
  } catch {
    return null;
  }
}
