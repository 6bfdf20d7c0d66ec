/** Gathers what polls tell about endpoints and writes it once a second for all of them. */
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { flushSeen, type Seen } from '../../db/endpoints/presence.js';

export interface SeenBuffer {
  readonly add: (seen: Seen) => void;
  /** What is gathered of an endpoint but not yet written. */
  readonly peek: (endpointId: string) => Seen | undefined;
  readonly flush: () => Promise<void>;
  readonly close: () => Promise<void>;
}

const INTERVAL_MS = 1_000;
/** One statement's worth. */
const BATCH = 5_000;

export function createSeenBuffer(deps: { pool: Pool; logger: Logger }): SeenBuffer {
  let gathered = new Map<string, Seen>();
  let writing: Promise<void> = Promise.resolve();

  const add = (seen: Seen): void => {
    const before = gathered.get(seen.endpointId);
    gathered.set(
      seen.endpointId,
      seen.judged === null && before !== undefined ? { ...seen, judged: before.judged } : seen,
    );
  };
  const write = async (): Promise<void> => {
    const batch = gathered;
    if (batch.size === 0) return;
    gathered = new Map();
    const all = [...batch.values()];
    try {
      for (let i = 0; i < all.length; i += BATCH) await flushSeen(deps.pool, all.slice(i, i + BATCH));
    } catch (error) {
      // Kept for the next try, unless something newer has come in since.
      for (const seen of all) if (!gathered.has(seen.endpointId)) gathered.set(seen.endpointId, seen);
      deps.logger.warn({ err: error, endpoints: all.length }, 'last-seen times not written; will try again');
    }
  };
  const flush = (): Promise<void> => {
    writing = writing.then(write);
    return writing;
  };
  const timer = setInterval(() => void flush(), INTERVAL_MS);
  timer.unref();
  return {
    add,
    peek: (endpointId) => gathered.get(endpointId),
    flush,
    close: () => {
      clearInterval(timer);
      return flush();
    },
  };
}
