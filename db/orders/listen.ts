import pg from 'pg';

/** A place to wait for one kind of wake-up. Losing one costs only time: whoever waits also looks by the clock. */
export interface Waiter {
  /** Resolves when woken since the last call, after `timeoutMs`, or when the signal aborts; never rejects. */
  wait(args: { readonly timeoutMs: number; readonly signal?: AbortSignal }): Promise<void>;
  close(): void;
}

/** One dedicated connection that listens; everything in a process that waits shares it. */
export interface Wakeups {
  /** @param payload wait for this payload only; null: for any. */
  waiter(channel: string, payload: string | null): Waiter;
  close(): Promise<void>;
}

const RECONNECT_MS = 1_000;

/**
 * Listens on these channels over one connection of its own (no pooler in between), and connects again whenever it is lost,
 * waking everyone then, for a wake-up may have been missed.
 */
export function createWakeups(args: { readonly url: string; readonly channels: readonly string[] }): Wakeups {
  const waiters = new Set<{ channel: string; payload: string | null; wake(): void }>();
  let client: pg.Client | undefined;
  let retry: NodeJS.Timeout | undefined;
  let closed = false;

  const wakeAll = () => {
    for (const waiter of waiters) waiter.wake();
  };
  const again = (lost: pg.Client) => {
    if (closed || client !== lost) return;
    client = undefined;
    lost.end().catch(() => undefined);
    retry = setTimeout(connect, RECONNECT_MS);
    retry.unref();
  };
  const connect = () => {
    const next = new pg.Client({ connectionString: args.url, application_name: 'ringmaster-listen', keepAlive: true });
    client = next;
    next.on('error', () => again(next));
    next.on('end', () => again(next));
    next.on('notification', ({ channel, payload }) => {
      for (const waiter of waiters) {
        if (waiter.channel === channel && (waiter.payload === null || waiter.payload === payload)) waiter.wake();
      }
    });
    next
      .connect()
      .then(async () => {
        for (const channel of args.channels) await next.query(`LISTEN ${next.escapeIdentifier(channel)}`);
        wakeAll();
      })
      .catch(() => again(next));
  };
  connect();

  return {
    waiter(channel, payload) {
      let woken = false;
      let resolveWait: (() => void) | undefined;
      const entry = {
        channel,
        payload,
        wake() {
          woken = true;
          resolveWait?.();
        },
      };
      waiters.add(entry);
      return {
        wait: ({ timeoutMs, signal }) =>
          new Promise<void>((resolve) => {
            const done = () => {
              clearTimeout(timer);
              signal?.removeEventListener('abort', done);
              resolveWait = undefined;
              woken = false;
              resolve();
            };
            const timer = setTimeout(done, timeoutMs);
            resolveWait = done;
            signal?.addEventListener('abort', done);
            if (woken || signal?.aborted === true) done();
          }),
        close: () => void waiters.delete(entry),
      };
    },
    async close() {
      closed = true;
      clearTimeout(retry);
      const last = client;
      client = undefined;
      await last?.end().catch(() => undefined);
    },
  };
}
