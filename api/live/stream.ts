/** One reader of server-sent events. It holds no queue: who reads slowly is told from the database where it left off, or afresh. */
import type { Response } from 'express';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { type FeedEvent, isAfter, readFeed } from '../../db/feed/events.js';
import type { Progress } from '../../db/read/progress.js';
import type { LiveHub, Watcher } from './hub.js';

/** How long a reader may be silent on the line before it is told that we are still here. */
const HEARTBEAT_MS = 15_000;
const RETRY_MS = 2_000;
/** Whoever takes nothing for this long is gone. */
const STUCK_MS = 60_000;
/** Beyond this many missed events the reader starts afresh. */
const MAX_CATCH_UP = 500;

export interface StreamDeps {
  readonly pool: Pool;
  readonly hub: LiveHub;
  readonly logger: Logger;
  /** Whether the reader may still read; asked again and again. @throws when nobody can tell */
  readonly stillAllowed: () => Promise<boolean>;
  readonly recheckMs: number;
}

export interface StreamArgs {
  readonly res: Response;
  readonly changeId: string | null;
  /** Where the reader left off; null: at the beginning, or so long ago that it can't be told any more. */
  readonly resumeAfter: string | null;
  /** It left off somewhere, but that can't be told any more. */
  readonly reset: boolean;
  /** The whole present state, for whoever starts afresh. */
  readonly snapshot: () => Promise<unknown>;
  readonly ended: () => void;
}

/** Serves one stream until the reader leaves, may not read any more, or the server stops. */
export async function serveStream(deps: StreamDeps, args: StreamArgs): Promise<void> {
  const { hub, pool, logger } = deps;
  const { res, changeId } = args;
  let done = false;
  let sent: string | null = args.resumeAfter;
  let behind = true;
  let missed = false;
  let latest: Progress | null = null;
  let stuck: NodeJS.Timeout | undefined;

  const write = (text: string): void => {
    if (done) return;
    if (!res.write(text) && stuck === undefined) {
      behind = true;
      stuck = setTimeout(() => res.destroy(), STUCK_MS);
      void catchUp();
    }
  };
  const drained = async (): Promise<void> => {
    while (!done && res.writableNeedDrain) {
      await new Promise<void>((resolve) => {
        res.once('drain', resolve);
        res.once('close', resolve);
      });
    }
    clearTimeout(stuck);
    stuck = undefined;
  };

  const watcher: Watcher = {
    changeId,
    event: (event) => {
      if (behind) missed = true;
      else if (sent === null || isAfter(event.place, sent)) tell(event);
    },
    progress: (progress) => {
      if (behind) latest = progress;
      else write(block({ event: 'progress', data: progress }));
    },
  };
  const tell = (event: FeedEvent): void => {
    write(block({ id: event.place, event: event.type, data: dataOf(event) }));
    sent = event.place;
  };

  let catching = false;
  /** From where the reader is to where the hub is, at the reader's pace; afterwards it hears of each event as it comes. */
  const catchUp = async (): Promise<void> => {
    if (catching || done) return;
    catching = true;
    try {
      do {
        missed = false;
        await drained();
        const through = hub.place();
        if (sent !== null && isAfter(through, sent)) {
          const { events } = await readFeed(pool, { after: sent, through, changeId, limit: MAX_CATCH_UP + 1 });
          if (events.length > MAX_CATCH_UP) await startAfresh('reset');
          else {
            for (const event of events) write(block({ id: event.place, event: event.type, data: dataOf(event) }));
            sent = through;
          }
        }
        if (latest !== null) write(block({ event: 'progress', data: latest }));
        latest = null;
      } while (!done && (missed || res.writableNeedDrain));
      behind = false;
    } catch (error) {
      logger.warn({ reason: (error as Error).message }, 'a stream of events can’t go on');
      end();
    } finally {
      catching = false;
    }
  };

  const startAfresh = async (name: 'snapshot' | 'reset'): Promise<void> => {
    const place = hub.place();
    write(block({ id: place, event: name, data: await args.snapshot() }));
    sent = place;
  };

  const end = (reason?: string): void => {
    if (done) return;
    if (reason !== undefined) write(block({ event: 'end', data: { reason } }));
    finish();
    res.end();
  };
  const finish = (): void => {
    if (done) return;
    done = true;
    clearInterval(heartbeat);
    clearInterval(recheck);
    clearTimeout(stuck);
    hub.leave(watcher);
    unhook();
    args.ended();
  };
  const heartbeat = setInterval(() => {
    if (!res.writableNeedDrain) write(': still here\n\n');
  }, HEARTBEAT_MS);
  const recheck = setInterval(() => {
    deps.stillAllowed().then(
      (allowed) => allowed || end('not allowed any more'),
      () => end('the permission can’t be checked now'),
    );
  }, deps.recheckMs);
  const unhook = hub.onClose(() => end('the server stops'));
  res.on('close', finish);
  res.on('error', finish);
  if (res.destroyed) finish();

  write(`retry: ${RETRY_MS}\n\n`);
  try {
    await hub.join(watcher);
    if (done) hub.leave(watcher);
    if (sent === null) await startAfresh(args.reset ? 'reset' : 'snapshot');
    else if (changeId !== null) write(block({ event: 'progress', data: await args.snapshot() }));
    await catchUp();
  } catch (error) {
    logger.warn({ reason: (error as Error).message }, 'a stream of events can’t begin');
    end();
  }
}

const dataOf = ({ at, changeId, data }: FeedEvent) => ({ at, ...(changeId === null ? {} : { changeId }), ...data });

/** One event as it goes over the line. JSON holds no line break, so one `data` line is enough. */
export function block(args: { readonly id?: string; readonly event: string; readonly data: unknown }): string {
  const id = args.id === undefined ? '' : `id: ${args.id}\n`;
  return `${id}event: ${args.event}\ndata: ${JSON.stringify(args.data)}\n\n`;
}
