/** Gathers what polls tell about endpoints and writes it once a second for all of them. */
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { flushSeen, type Seen } from '../../db/endpoints/presence.js';

export interface SeenBuffer {
  readonly add: (seen: Seen) => void;
  /**
   * The last judged poll of an endpoint that may not be in its row yet. Ask before the row is read: what is written since the
   * question is in the row or in the answer, and what is asked after the row has been read may be in neither.
   */
  readonly judged: (endpointId: string) => Seen['judged'];
  readonly flush: () => Promise<void>;
  readonly close: () => Promise<void>;
}

const INTERVAL_MS = 1_000;
/** One statement's worth. */
const BATCH = 5_000;

export function createSeenBuffer(deps: { pool: Pool; logger: Logger }): SeenBuffer {
  let gathered = new Map<string, Seen>();
  let leaving: ReadonlyMap<string, Seen> = new Map();
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
    leaving = batch;
    const all = [...batch.values()];
    try {
      for (let i = 0; i < all.length; i += BATCH) await flushSeen(deps.pool, all.slice(i, i + BATCH));
    } catch (error) {
      // Kept for the next try, unless something newer has come in since.
      for (const seen of all) if (!gathered.has(seen.endpointId)) gathered.set(seen.endpointId, seen);
      deps.logger.warn({ err: error, endpoints: all.length }, 'last-seen times not written; will try again');
    } finally {
      leaving = new Map();
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
    judged: (endpointId) => gathered.get(endpointId)?.judged ?? leaving.get(endpointId)?.judged ?? null,
    flush,
    close: () => {
      clearInterval(timer);
      return flush();
    },
  };
}
