import { connect, createServer } from 'node:net';
import { UpError } from './errors.js';

/** Why an HTTP address does not answer 200 yet; undefined when it does. */
export async function probeHttp(url: string): Promise<string | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2_000) });
    if (response.status === 200) return undefined;
    return `${url} answers ${response.status}: ${(await response.text()).slice(0, 200)}`;
  } catch (error) {
    const cause = (error as Error).cause;
    return `${url}: ${cause instanceof Error && cause.message ? cause.message : (error as Error).message}`;
  }
}

/** Why nothing can be reached at a TCP port yet; undefined when something can. */
export function probeTcp(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const settle = (reason: string | undefined) => {
      socket.destroy();
      resolve(reason);
    };
    socket.setTimeout(2_000, () => settle(`${host}:${port} does not answer`));
    socket.once('connect', () => settle(undefined));
    socket.once('error', (error) => settle(error.message));
  });
}

/** @throws UpError when a port we need is taken, before anything is started for nothing. */
export async function checkPortsFree(
  ports: readonly Readonly<{ host: string; port: number; use: string }>[],
): Promise<void> {
  for (const { host, port, use } of ports) {
    const error = await bindOnce(host, port);
    if (!error) continue;
    const taken = error.code === 'EADDRINUSE' ? 'is in use by another program' : `cannot be used: ${error.message}`;
    throw new UpError(`port ${port} (${use}) ${taken}`, [
      'RINGMASTER_PORT moves all of them, e.g. RINGMASTER_PORT=8520 (it and the four above it are used).',
    ]);
  }
}

function bindOnce(host: string, port: number): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', resolve);
    server.listen(port, host, () => server.close(() => resolve(undefined)));
  });
}
