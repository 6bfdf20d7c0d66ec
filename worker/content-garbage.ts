import type { Pool } from 'pg';
import type { ContentStore } from '../adapters/content/store.js';
import { strikeUnneeded } from '../db/catalogue/garbage.js';
import { DAY, type EpochMs, HOUR } from '../domain/time.js';
import type { Duty } from './loops.js';

/** What nobody has needed for so long goes; a change closed since then may still be looked into, or asked for again. */
const UNUSED_DAYS = 30;
/** Files of one run; the rest goes with the next. */
const MOST = 5_000;

/** Keeps the content store from growing for ever (docs/content.md). */
export function contentGarbageDuty(deps: {
  readonly pool: Pool;
  readonly store: Pick<ContentStore, 'collectGarbage'>;
  readonly clock: () => EpochMs;
  readonly log: { info(fields: object, message: string): void };
}): Duty {
  return {
    name: 'contentGarbage',
    everyMs: 6 * HOUR,
    run: async () => {
      const unusedSince = deps.clock() - UNUSED_DAYS * DAY;
      const found = await strikeUnneeded(deps.pool, { unusedSince, most: MOST });
      if (found === null) return false;
      const { keep, struck } = found;
      const { removed, freedBytes } = await deps.store.collectGarbage({ keep, unusedSince, most: MOST });
      if (removed > 0) deps.log.info({ removed, freedBytes, kept: keep.size }, 'content nobody needs is gone');
      return struck === MOST || removed === MOST;
    },
  };
}
