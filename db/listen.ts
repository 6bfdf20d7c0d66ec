import pg from 'pg';

export interface Listener {
  /** Calls `hear` for every notification on the channel until the returned function is called. */
  on(channel: string, hear: (payload: string) => void): () => void;
  close(): Promise<void>;
}

const RECONNECT_MS = [500, 1_000, 2_000, 5_000, 10_000];
const CHANNEL = /^[a-z_]{1,63}$/;

/**
 * NOTIFY on a connection of its own that comes back by itself. Whatever was said while it was away is lost, so every
 * listener is called once, with an empty payload, after each reconnect: it looks for itself. Nothing may depend on a wake-up.
 */
export function createListener(args: {
  /** A direct connection, not one through a transaction pooler. */
  readonly url: string;
  readonly channels: readonly string[];
  readonly log: { warn(fields: object, message: string): void };
}): Listener {
  for (const channel of args.channels) if (!CHANNEL.test(channel)) throw new Error(`not a channel name: ${channel}`);
  const hearers = new Map<string, Set<(payload: string) => void>>(args.channels.map((c) => [c, new Set()]));
  let client: pg.Client | null = null;
  let timer: NodeJS.Timeout | undefined;
  let failures = 0;
  let closed = false;

  const tell = (channel: string, payload: string) => {
    for (const hear of hearers.get(channel) ?? []) hear(payload);
  };

  const lost = (mine: pg.Client, error?: Error) => {
    if (client !== mine || closed) return;
    client = null;
    mine.end().catch(() => undefined);
    if (failures === 0) args.log.warn({ err: error }, 'lost the connection for notifications; polling meanwhile');
    timer = setTimeout(() => void connect(), RECONNECT_MS[Math.min(failures, RECONNECT_MS.length - 1)]);
    failures += 1;
  };

  const connect = async () => {
    const mine = new pg.Client({
      connectionString: args.url,
      application_name: 'ringmaster listen',
      keepAlive: true,
      connectionTimeoutMillis: 10_000,
    });
    client = mine;
    mine.on('error', (error) => lost(mine, error));
    mine.on('end', () => lost(mine));
    mine.on('notification', ({ channel, payload }) => tell(channel, payload ?? ''));
    try {
      await mine.connect();
      if (closed) {
        await mine.end();
        return;
      }
      for (const channel of args.channels) await mine.query(`LISTEN ${channel}`);
      failures = 0;
      for (const channel of args.channels) tell(channel, '');
    } catch (error) {
      lost(mine, error as Error);
    }
  };
  void connect();

  return {
    on(channel, hear) {
      const set = hearers.get(channel);
      if (set === undefined) throw new Error(`not listening on ${channel}`);
      set.add(hear);
      return () => set.delete(hear);
    },
    async close() {
      closed = true;
      clearTimeout(timer);
      await client?.end().catch(() => undefined);
    },
  };
}
