/** One HTTP exchange over node:http(s): bounded in time and size, no redirects, no cookies, no shared state. */
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';

export interface HttpCall {
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | null;
  /** Ms without any progress after which the call fails. */
  readonly timeoutMs: number;
  /** PEM of the authorities to trust instead of the system's; for servers with a certificate of their own. */
  readonly ca?: string;
}

export interface HttpReply {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

/** The server could not be reached, or did not answer in time or in bounds. */
export class TransportError extends Error {
  override readonly name = 'TransportError';
}

/** Opens a call and resolves with the reply's head; the caller reads the body, which fails by itself on silence. */
export async function openCall(call: HttpCall): Promise<IncomingMessage> {
  const secure = call.url.protocol === 'https:';
  if (!secure && call.url.protocol !== 'http:') throw new TransportError(`${call.url.protocol} is not spoken here`);
  const request = secure ? (await import('node:https')).request : httpRequest;
  const options: RequestOptions & { ca?: string } = {
    method: call.method,
    headers: { ...call.headers, ...(call.body === null ? {} : { 'content-length': String(call.body.length) }) },
    timeout: call.timeoutMs,
    agent: false,
    ...(call.ca === undefined ? {} : { ca: call.ca }),
  };
  return new Promise((resolve, reject) => {
    const outgoing = request(call.url, options, resolve);
    outgoing.once('timeout', () =>
      outgoing.destroy(new TransportError(`no answer within ${call.timeoutMs / 1_000} s`)),
    );
    outgoing.once('error', (error) => reject(asTransportError(error)));
    outgoing.end(call.body ?? undefined);
  });
}

/** @throws TransportError */
export async function exchange(call: HttpCall, maxBytes: number): Promise<HttpReply> {
  const reply = await openCall(call);
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of reply as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxBytes) throw new TransportError(`reply is larger than ${maxBytes} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw asTransportError(error);
  } finally {
    reply.destroy();
  }
  return { status: reply.statusCode ?? 0, headers: reply.headers, body: Buffer.concat(chunks) };
}

export function asTransportError(error: unknown): TransportError {
  if (error instanceof TransportError) return error;
  const { message, code } = error as NodeJS.ErrnoException;
  return new TransportError(message || code || 'connection failed');
}
