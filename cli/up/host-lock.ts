import { createHash } from 'node:crypto';
import { connect, createServer, type Server } from 'node:net';

/** A lock held by this process until released; the kernel lets go of it when the process ends, however it ends. */
export type HostLock = Readonly<{ release: () => void }>;

export type LockResult = Readonly<{ held: HostLock }> | Readonly<{ heldBy: string }>;

/**
 * Takes a lock named by any text, for this machine (strictly: this network namespace).
 * It is an abstract Unix socket: taking it is atomic, and unlike a lock file it can't be left behind by `kill -9`.
 * @param note what the holder tells those who come second; one line.
 */
export async function tryHostLock(name: string, note: string): Promise<LockResult> {
  const path = `\0ringmaster-${createHash('sha256').update(name).digest('hex').slice(0, 40)}`;
  for (let attempt = 0; attempt < 5; attempt++) {
    const server = await listen(path, note);
    if (server) return { held: { release: () => server.close() } };
    const heldBy = await ask(path);
    // No answer: the holder ended between our two questions.
    if (heldBy !== undefined) return { heldBy };
  }
  return { heldBy: 'another process' };
}

/** Waits for the lock, asking twice a second. @param waiting called once with the holder's note, if there is a wait. */
export async function hostLock(name: string, note: string, waiting: (heldBy: string) => void): Promise<HostLock> {
  for (let first = true; ; first = false) {
    const result = await tryHostLock(name, note);
    if ('held' in result) return result.held;
    if (first) waiting(result.heldBy);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

function listen(path: string, note: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.on('error', () => {}).end(note));
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error),
    );
    server.listen(path, () => resolve(server.unref()));
  });
}

function ask(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(path);
    socket.setTimeout(2_000, () => {
      socket.destroy();
      resolve('a process that does not answer');
    });
    socket.setEncoding('utf8').on('data', (text) => {
      answer += text;
    });
    socket.on('error', () => resolve(undefined));
    socket.on('end', () => resolve(answer));
  });
}
