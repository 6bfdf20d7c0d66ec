/** The numbers behind /metrics, read at most every few seconds however often somebody scrapes. */
import type { Pool } from 'pg';
import { type Aggregates, readAggregates } from '../../db/metrics/aggregates.js';
import type { EpochMs } from '../../domain/time.js';

export interface AggregateCache {
  /** Null when the database can't be asked. */
  readonly read: () => Promise<Aggregates | null>;
}

const FRESH_MS = 5_000;

export function createAggregateCache(deps: { pool: Pool; clock: () => EpochMs }): AggregateCache {
  let held: { at: EpochMs; value: Promise<Aggregates | null> } | undefined;
  return {
    read: () => {
      const now = deps.clock();
      if (held === undefined || now - held.at >= FRESH_MS || now < held.at) {
        held = { at: now, value: readAggregates(deps.pool, now).catch(() => null) };
      }
      return held.value;
    },
  };
}
