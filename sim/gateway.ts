/** One endpoint's signed conversation with the server (RFC 9421), over the fleet's shared connections. */
import type { ServerClock } from '../agent/transport/clock.js';
import type { SigningKey } from '../protocol/envelope.js';
import { signRequest } from '../protocol/http-signature.js';
import type { Connections } from './connections.js';

/** The server said no, or something we can't read. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    reason: string,
  ) {
    super(`${status}: ${reason}`);
  }
}

export interface Caller {
  readonly key: SigningKey;
  readonly clock: ServerClock;
  /** Before enrolment the key's own id, then the endpoint's. */
  keyid: string;
}

const HEADERS = { 'content-type': 'application/json' };

/** Headers that prove who asks. */
export function signedHeaders(
  caller: Caller,
  request: { readonly method: string; readonly path: string; readonly body: Buffer | null },
): Record<string, string> {
  const headers = request.body === null ? {} : HEADERS;
  const created = Math.floor(caller.clock.claim() / 1_000);
  return {
    ...headers,
    ...signRequest({
      request: { ...request, query: null, headers },
      keyid: caller.keyid,
      privateKey: caller.key.privateKey,
      created,
    }),
  };
}

/** @throws Refused; Error when there was no reply. @returns the reply's JSON, its shape unchecked. */
export async function call<T>(
  connections: Connections,
  caller: Caller,
  request: { readonly method: 'GET' | 'POST'; readonly path: string; readonly document?: unknown },
): Promise<T> {
  const body = request.document === undefined ? null : Buffer.from(JSON.stringify(request.document), 'utf8');
  const sent = { mono: performance.now(), wall: Date.now() };
  const reply = await connections.request({
    method: request.method,
    target: request.path,
    headers: signedHeaders(caller, { method: request.method, path: request.path, body }),
    body,
  });
  const document = parsed(reply.body) as { serverTime?: unknown; error?: unknown };
  if (typeof document.serverTime === 'number') caller.clock.heard({ sent, serverTime: document.serverTime });
  if (reply.status !== 200)
    throw new Refused(reply.status, typeof document.error === 'string' ? document.error : 'no reason given');
  return document as T;
}

function parsed(body: Buffer): object {
  try {
    const document: unknown = JSON.parse(body.toString('utf8'));
    return typeof document === 'object' && document !== null ? document : {};
  } catch {
    return {};
  }
}
