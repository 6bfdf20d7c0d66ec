/** One request to a tracker: bounded in time and size, no redirects (they would carry the password along), errors sorted. */
import { TrackerAway, TrackerRefused } from './port.js';

const LARGEST_REPLY = 8 * 1024 * 1024;

export interface HttpReply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

export interface HttpRequest {
  readonly url: string;
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Answers that are no errors besides 2xx. */
  readonly expected?: readonly number[];
}

/**
 * @throws TrackerAway when there was no answer in time, or one that says "not now" (408, 425, 429, 5xx)
 * @throws TrackerRefused for any other answer that is not 2xx
 */
export async function request(args: HttpRequest): Promise<HttpReply> {
  const where = `${args.method} ${new URL(args.url).pathname}`;
  const limit = AbortSignal.timeout(args.timeoutMs);
  let reply: HttpReply;
  try {
    const response = await fetch(args.url, {
      method: args.method,
      headers: args.headers,
      redirect: 'manual',
      signal: args.signal === undefined ? limit : AbortSignal.any([limit, args.signal]),
      ...(args.body === undefined ? {} : { body: args.body }),
    });
    reply = { status: response.status, headers: response.headers, text: await readBounded(response) };
  } catch (error) {
    if (limit.aborted) throw new TrackerAway(`${where}: no answer within ${args.timeoutMs / 1_000} s`, args.timeoutMs);
    throw new TrackerAway(`${where}: ${reasonOf(error)}`);
  }
  const { status } = reply;
  if ((status >= 200 && status < 300) || args.expected?.includes(status)) return reply;
  const said = `${where}: ${status}${sayingOf(reply.text)}`;
  if (status >= 500 || status === 408 || status === 425 || status === 429) throw new TrackerAway(said);
  throw new TrackerRefused(said, status);
}

async function readBounded(response: Response): Promise<string> {
  if (response.body === null) return '';
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body) {
    size += part.byteLength;
    if (size > LARGEST_REPLY) throw new Error(`the answer is larger than ${LARGEST_REPLY} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

/** fetch hides the reason in `cause`. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as { message?: string; cause?: { message?: string; code?: string } };
  return cause?.message || cause?.code || message || String(error);
}

/** The first words of an error's body: a tracker's JSON message, else its text. */
function sayingOf(text: string): string {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    if (typeof message === 'string') return ` ${message.slice(0, 300)}`;
  } catch {
    // Not JSON: an error page of whatever stands in front.
  }
  const words = text
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, 200);
  return words === '' ? '' : ` ${words}`;
}
