/**
 * What the streams of this process share: one reader of the feed, and one reading of each watched change however many
 * watch it. Wake-ups come by NOTIFY; a slow look behind them makes a lost one cost only time.
 */
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { type FeedEvent, feedHead, pruneFeed, readFeed } from '../../db/feed/events.js';
import type { Listener } from '../../db/listen.js';
import { type Progress, readProgress } from '../../db/read/progress.js';
import { DAY, type EpochMs, HOUR } from '../../domain/time.js';

/** Channels that say that something happened: events, and orders that moved (with their change's id). */
export const LIVE_CHANNELS = ['rm_feed', 'rm_orders'] as const;

const SLOW_LOOK_MS = 5_000;
/** While a row waits for an older transaction to end. */
const HELD_LOOK_MS = 100;
const BATCH = 500;
/** A watched change is read at most this often, and never for more than a tenth of the time. */
const PROGRESS_MS = 400;
export const FEED_KEPT_MS = 2 * DAY;

/** One who listens; told in order, and never again after it has left. */
export interface Watcher {
  readonly changeId: string | null;
  readonly event: (event: FeedEvent) => void;
  readonly progress: (progress: Progress) => void;
}

export interface LiveHub {
  /** From the place returned on, the watcher hears everything. @throws when the database is away */
  readonly join: (watcher: Watcher) => Promise<string>;
  readonly leave: (watcher: Watcher) => void;
  /** Up to which place watchers have been told. */
  readonly place: () => string;
  readonly onClose: (end: () => void) => () => void;
  readonly close: () => void;
}

interface Watched {
  readonly watchers: Set<Watcher>;
  dirty: boolean;
  timer: NodeJS.Timeout | undefined;
  last: string;
}

export function createLiveHub(deps: { pool: Pool; listener: Listener; clock: () => EpochMs; logger: Logger }): LiveHub {
  const { pool, logger } = deps;
  const watchers = new Set<Watcher>();
  const changes = new Map<string, Watched>();
  const ends = new Set<() => void>();
  let head: string | null = null;
  let looking: Promise<void> | undefined;
  let again = false;
  let soon: NodeJS.Timeout | undefined;
  let closed = false;

  const tell = (event: FeedEvent): void => {
    head = event.place;
    for (const watcher of [...watchers]) {
      if (watcher.changeId === null || watcher.changeId === event.changeId) watcher.event(event);
    }
    if (event.changeId !== null) touch(event.changeId);
  };

  /** The head, found once: two that look for it at the same time must not set it back. */
  const start = async (): Promise<string> => {
    if (head === null) {
      const found = await feedHead(pool);
      head ??= found;
    }
    return head;
  };

  const look = async (): Promise<void> => {
    for (;;) {
      const after = await start();
      const { events, held } = await readFeed(pool, { after, through: null, changeId: null, limit: BATCH });
      for (const event of events) tell(event);
      if (events.length === BATCH && watchers.size > 0) continue;
      if (held) soon ??= setTimeout(wake, HELD_LOOK_MS);
      return;
    }
  };

  const wake = (): void => {
    clearTimeout(soon);
    soon = undefined;
    if (closed || watchers.size === 0) return;
    if (looking !== undefined) {
      again = true;
      return;
    }
    looking = look()
      .catch((error: Error) => logger.warn({ reason: error.message }, 'the feed can’t be read; will try again'))
      .finally(() => {
        looking = undefined;
        rest();
        if (again) {
          again = false;
          wake();
        }
      });
  };

  /** Nobody listens: whoever comes next begins at the head there is then. */
  const rest = (): void => {
    if (watchers.size === 0 && looking === undefined) head = null;
  };

  const touch = (changeId: string): void => {
    const watched = changes.get(changeId);
    if (watched === undefined || closed) return;
    watched.dirty = true;
    watched.timer ??= setTimeout(() => void read(changeId, watched), 0);
  };

  const read = async (changeId: string, watched: Watched): Promise<void> => {
    watched.dirty = false;
    const started = performance.now();
    try {
      const progress = await readProgress(pool, changeId);
      const text = JSON.stringify(progress);
      if (progress !== null && text !== watched.last) {
        watched.last = text;
        for (const watcher of [...watched.watchers]) watcher.progress(progress);
      }
    } catch (error) {
      logger.warn({ changeId, reason: (error as Error).message }, 'progress can’t be read; will try again');
      watched.dirty = true;
    }
    const pause = Math.max(PROGRESS_MS, 9 * (performance.now() - started));
    watched.timer = setTimeout(() => {
      watched.timer = undefined;
      if (watched.dirty && watched.watchers.size > 0) touch(changeId);
    }, pause);
  };

  const off = [
    deps.listener.on('rm_feed', wake),
    // An empty payload: the listener is back, and may have missed anything.
    deps.listener.on('rm_orders', (changeId) => {
      if (changeId !== '') touch(changeId);
      else for (const id of changes.keys()) touch(id);
    }),
  ];
  const slow = setInterval(() => {
    wake();
    for (const id of changes.keys()) touch(id);
  }, SLOW_LOOK_MS);
  slow.unref();
  const prune = setInterval(() => {
    pruneFeed(pool, deps.clock() - FEED_KEPT_MS).catch((error: Error) =>
      logger.warn({ reason: error.message }, 'old events could not be removed'),
    );
  }, HOUR);
  prune.unref();

  return {
    join: async (watcher) => {
      watchers.add(watcher);
      try {
        await start();
      } catch (error) {
        watchers.delete(watcher);
        throw error;
      }
      if (watcher.changeId !== null) {
        const watched = changes.get(watcher.changeId) ?? {
          watchers: new Set(),
          dirty: false,
          timer: undefined,
          last: '',
        };
        changes.set(watcher.changeId, watched);
        watched.watchers.add(watcher);
      }
      const place = head ?? '0-0';
      wake();
      return place;
    },
    leave: (watcher) => {
      watchers.delete(watcher);
      rest();
      if (watcher.changeId === null) return;
      const watched = changes.get(watcher.changeId);
      watched?.watchers.delete(watcher);
      if (watched !== undefined && watched.watchers.size === 0) {
        clearTimeout(watched.timer);
        changes.delete(watcher.changeId);
      }
    },
    place: () => head ?? '0-0',
    onClose: (end) => {
      ends.add(end);
      return () => ends.delete(end);
    },
    close: () => {
      closed = true;
      clearInterval(slow);
      clearInterval(prune);
      clearTimeout(soon);
      for (const { timer } of changes.values()) clearTimeout(timer);
      for (const stop of off) stop();
      for (const end of [...ends]) end();
    },
  };
}
