import { createServer } from 'node:net';

/** Well away from those the kernel hands out itself: one of those may be some connection's own end by the time a server wants it. */
const FIRST = 10_000;
const PORTS = 20_000;

/** `count` TCP ports on 127.0.0.1 that are free, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const found = new Set<number>();
  while (found.size < count) found.add(await freePortRange(1));
  return [...found];
}

/** The first of `count` consecutive ports that are all free. */
export async function freePortRange(count: number): Promise<number> {
  for (;;) {
    const first = FIRST + Math.floor(Math.random() * (PORTS - count));
    const free = await Promise.all(Array.from({ length: count }, (_, i) => isFree(first + i)));
    if (free.every(Boolean)) return first;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
