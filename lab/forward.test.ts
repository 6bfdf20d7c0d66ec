import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { afterEach, expect, test } from '@jest/globals';
import { startForward, type Target } from './forward.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

const large = 8_000_000;

/** Answers each text in capitals; closes at "bye", and right after a long answer at "all". */
async function startServer(): Promise<Target> {
  const server = createServer((socket) => {
    socket.on('data', (text) => {
      if (String(text) === 'bye') socket.end('BYE');
      else if (String(text) === 'all') socket.end(Buffer.alloc(large));
      else socket.write(String(text).toUpperCase());
    });
    socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => server.close());
  return { host: '127.0.0.1', port: (server.address() as { port: number }).port };
}

async function forwardTo(target: () => Target | undefined): Promise<number> {
  const forward = await startForward({ address: '127.0.0.1', port: 0, target });
  cleanups.push(forward.close);
  return forward.port;
}

async function openTo(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port });
  cleanups.push(() => socket.destroy());
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

test('passes bytes on both ways, and the end of either side to the other', async () => {
  const target = await startServer();
  const socket = await openTo(await forwardTo(() => target));
  socket.write('hello');
  expect(String((await once(socket, 'data'))[0])).toBe('HELLO');
  socket.write('bye');
  expect(String((await once(socket, 'data'))[0])).toBe('BYE');
  await once(socket, 'close');
});

test('a long answer whose sender closes at once arrives whole', async () => {
  const target = await startServer();
  const socket = await openTo(await forwardTo(() => target));
  socket.write('all');
  let bytes = 0;
  for await (const chunk of socket) bytes += (chunk as Buffer).length;
  expect(bytes).toBe(large);
});

test('a target told later counts from the next connection; until then, and where nothing listens, connections close', async () => {
  let target: Target | undefined;
  const port = await forwardTo(() => target);
  await once(await openTo(port), 'close');
  target = { host: '127.0.0.1', port: 1 };
  await once(await openTo(port), 'close');
  target = await startServer();
  const socket = await openTo(port);
  socket.write('now');
  expect(String((await once(socket, 'data'))[0])).toBe('NOW');
});
