/** A bad network between one agent and the web tier: it loses replies, doubles requests, or is down, as it is told. */
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Passing {
  readonly path: string;
  /** The request's JSON; null when it has none. */
  readonly body: any;
}

/** What happens to a request: it may also arrive, and only its reply be lost; or arrive twice. */
export type Fate = 'pass' | 'refuse' | 'loseReply' | 'double';

export interface AgentProxy {
  readonly url: string;
  /** Decides over each request from now on. */
  rule(fateOf: (passing: Passing) => Fate): void;
  /** How many requests met each fate. */
  readonly met: Readonly<Record<Fate, number>>;
  close(): Promise<void>;
}

export async function startProxy(target: string): Promise<AgentProxy> {
  const met: Record<Fate, number> = { pass: 0, refuse: 0, loseReply: 0, double: 0 };
  let fateOf: (passing: Passing) => Fate = () => 'pass';
  const server = createServer((incoming, outgoing) => {
    void handle({ incoming, outgoing, target, fateOf: (passing) => fateOf(passing), met }).catch(() =>
      outgoing.destroy(),
    );
  });
  // No wake-up channel through here: such an agent polls.
  server.on('upgrade', (_request, socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    met,
    rule: (next) => {
      fateOf = next;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function handle(args: {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly target: string;
  readonly fateOf: (passing: Passing) => Fate;
  readonly met: Record<Fate, number>;
}): Promise<void> {
  const { incoming, outgoing, target } = args;
  const body = await bytesOf(incoming);
  const path = incoming.url ?? '/';
  const fate = args.fateOf({ path, body: jsonOf(body) });
  args.met[fate] += 1;
  if (fate === 'refuse') {
    outgoing.destroy();
    return;
  }
  const send = () => forward({ target, path, incoming, body });
  if (fate === 'double') await send();
  const reply = await send();
  if (fate === 'loseReply') {
    outgoing.destroy();
    return;
  }
  outgoing.writeHead(reply.status, reply.headers);
  outgoing.end(reply.body);
}

function forward(args: {
  readonly target: string;
  readonly path: string;
  readonly incoming: IncomingMessage;
  readonly body: Buffer;
}): Promise<{ status: number; headers: IncomingMessage['headers']; body: Buffer }> {
  const { incoming } = args;
  return new Promise((resolve, reject) => {
    const call = request(
      new URL(args.path, args.target),
      { method: incoming.method, headers: incoming.headers, agent: false },
      (reply) => {
        bytesOf(reply).then(
          (body) => resolve({ status: reply.statusCode ?? 502, headers: reply.headers, body }),
          reject,
        );
      },
    );
    call.once('error', reject);
    call.end(args.body);
  });
}

async function bytesOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function jsonOf(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return null;
  }
}
