// The way from the hosts to a Ringmaster that listens on this machine alone: a port on the lab's bridge, passed on byte by byte.
import { connect, createServer, type Server, type Socket } from 'node:net';

/** Where a server listens. */
export type Target = { host: string; port: number };

export type Forward = { port: number; close(): Promise<void> };

/** A host whose power was cut says nothing: its connections are given up after this and a few probes, milliseconds. */
const silenceMs = 30_000;

/**
 * Starts listening; `target` is asked at each connection, so that it may be told later or change. Without one, and where
 * nothing listens, connections are closed at once. `port` 0 picks a free one.
 */
export async function startForward(options: {
  address: string;
  port: number;
  target: () => Target | undefined;
}): Promise<Forward> {
  const open = new Set<Socket>();
  const server = createServer((inside) => {
    const target = options.target();
    if (target === undefined) return void inside.destroy();
    const outside = connect(target);
    for (const [one, other] of [
      [inside, outside],
      [outside, inside],
    ] as const) {
      open.add(one);
      one.setKeepAlive(true, silenceMs).setNoDelay(true);
      one.on('error', () => {}); // its end follows
      one.on('close', () => {
        open.delete(one);
        other.destroySoon(); // once what it still has to say is said
      });
    }
    inside.pipe(outside);
    outside.pipe(inside);
  });
  await new Promise<void>((done, fail) => {
    server.once('error', fail);
    server.listen(options.port, options.address, done);
  });
  return {
    port: portOf(server) ?? options.port,
    close: () =>
      new Promise<void>((done) => {
        server.close(() => done());
        for (const socket of open) socket.destroy();
      }),
  };
}

function portOf(server: Server): number | undefined {
  const bound = server.address();
  return typeof bound === 'object' && bound !== null ? bound.port : undefined;
}
