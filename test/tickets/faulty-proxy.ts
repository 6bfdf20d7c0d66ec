/** Stands in front of a tracker and does to single requests what networks and overloaded servers do. */
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Fault =
  /** Nobody there. */
  | { readonly kind: 'cut' }
  | { readonly kind: 'status'; readonly status: number }
  /** Done, but the answer is lost. */
  | { readonly kind: 'loseAnswer' }
  /** Done at once; the answer comes late. */
  | { readonly kind: 'lateAnswer'; readonly ms: number }
  /** Done, and answered, late: after whoever asked has given up. */
  | { readonly kind: 'lateWork'; readonly ms: number }
  /** Something happens before the request gets through. */
  | { readonly kind: 'before'; readonly work: () => Promise<unknown> };

export interface FaultyProxy {
  readonly url: string;
  /** `POST /REST/2.0/ticket` … of every request, in order. */
  readonly seen: string[];
  /** For the next request that fits, once. */
  readonly once: (fits: RegExp, fault: Fault) => void;
  /** For every request that fits, until `mend`. */
  readonly always: (fits: RegExp, fault: Fault) => void;
  readonly mend: () => void;
  /** Requests that are still being held back. */
  readonly settled: () => Promise<void>;
  readonly close: () => Promise<void>;
}

export async function startFaultyProxy(target: string): Promise<FaultyProxy> {
  const seen: string[] = [];
  let rules: { fits: RegExp; fault: Fault; once: boolean }[] = [];
  const held = new Set<Promise<unknown>>();

  const forward = async (req: IncomingMessage, body: Buffer) =>
    new Promise<{ status: number; headers: IncomingMessage['headers']; body: Buffer }>((resolve, reject) => {
      const { host: _, ...headers } = req.headers;
      const out = httpRequest(new URL(req.url ?? '/', target), { method: req.method, headers }, (reply) => {
        const parts: Buffer[] = [];
        reply.on('data', (part: Buffer) => parts.push(part));
        reply.on('end', () =>
          resolve({ status: reply.statusCode ?? 0, headers: reply.headers, body: Buffer.concat(parts) }),
        );
      });
      out.on('error', reject);
      out.end(body);
    });

  const handle = async (req: IncomingMessage, res: ServerResponse, body: Buffer) => {
    const name = `${req.method} ${decodeURIComponent(req.url ?? '').split('?')[0]}`;
    seen.push(name);
    const rule = rules.find(({ fits }) => fits.test(name));
    if (rule?.once === true) rules = rules.filter((one) => one !== rule);
    const fault = rule?.fault;
    if (fault?.kind === 'cut') return void res.socket?.destroy();
    if (fault?.kind === 'status') return void res.writeHead(fault.status).end('broken');
    if (fault?.kind === 'lateWork') await new Promise((resolve) => setTimeout(resolve, fault.ms));
    if (fault?.kind === 'before') await fault.work();
    const reply = await forward(req, body);
    if (fault?.kind === 'loseAnswer') return void res.socket?.destroy();
    if (fault?.kind === 'lateAnswer') await new Promise((resolve) => setTimeout(resolve, fault.ms));
    if (res.destroyed) return;
    const { 'transfer-encoding': _, connection: __, ...headers } = reply.headers;
    res.writeHead(reply.status, headers).end(reply.body);
  };

  const server = createServer((req, res) => {
    const parts: Buffer[] = [];
    req.on('data', (part: Buffer) => parts.push(part));
    req.on('end', () => {
      const work = handle(req, res, Buffer.concat(parts)).catch(() => res.socket?.destroy());
      held.add(work);
      void work.finally(() => held.delete(work));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    once: (fits, fault) => void rules.push({ fits, fault, once: true }),
    always: (fits, fault) => void rules.push({ fits, fault, once: false }),
    mend: () => {
      rules = [];
    },
    settled: async () => {
      while (held.size > 0) await Promise.all(held);
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
