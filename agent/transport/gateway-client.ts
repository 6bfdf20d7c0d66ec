/** The gateway's endpoints as the agent calls them: each request signed, each reply's server time taken in. */
import type { IncomingMessage } from 'node:http';
import type { ZodType } from 'zod';
import type { SigningKey } from '../../protocol/envelope.js';
import { signRequest } from '../../protocol/http-signature.js';
import {
  type AssessmentReply,
  type AssessmentRequest,
  assessmentReply,
  type EnrolReply,
  type EnrolRequest,
  enrolReply,
  errorReply,
  type InventoryRequest,
  inventoryReply,
  type KeySetReply,
  keySetReply,
  type NoticedReply,
  type NoticedRequest,
  noticedReply,
  OLDEST_PROTOCOL,
  type PollReply,
  type PollRequest,
  PROTOCOL_VERSION,
  pollReply,
  versionReply,
} from '../../protocol/messages.js';
import type { Moment, ServerClock } from './clock.js';
import { exchange, type HttpReply, openCall, TransportError } from './http.js';

/** The gateway answered, but not with what was asked for. `status` 401 and 403 mean it does not know or want us. */
export class GatewayRefused extends Error {
  override readonly name = 'GatewayRefused';
  constructor(
    readonly status: number,
    reason: string,
  ) {
    super(`${status}: ${reason}`);
  }
}

export interface GatewayClient {
  /** The protocol version spoken now. */
  readonly protocol: number;
  enrol(request: EnrolRequest): Promise<EnrolReply>;
  poll(request: PollRequest): Promise<PollReply>;
  inventory(request: InventoryRequest): Promise<void>;
  assessment(request: AssessmentRequest): Promise<AssessmentReply>;
  noticed(request: NoticedRequest): Promise<NoticedReply>;
  /** Hands over full results, compressed by gzip. */
  arf(orderId: string, packed: Buffer): Promise<void>;
  keySet(): Promise<KeySetReply>;
  /** Bytes of a stored file from `offset` on; status 200 (from the start) or 206. @throws GatewayRefused | TransportError */
  content(sha256: string, offset: number): Promise<IncomingMessage>;
  /** Where and with which headers to open the wake-up socket. */
  wake(): { readonly url: URL; readonly headers: Record<string, string> };
}

const TIMEOUT_MS = 30_000;
const RESIGN_ABOVE_MS = 60_000;
/** How long an older version is spoken before the newest is tried again. */
const TRY_NEWEST_MS = 6 * 3_600_000;
const MAX_REPLY = 64 * 1024 * 1024;

export function createGatewayClient(deps: {
  readonly url: string;
  readonly ca?: string;
  readonly key: SigningKey;
  /** The endpoint's id once enrolled, the key's id before. */
  readonly keyid: () => string;
  readonly clock: ServerClock;
  readonly now: () => Moment;
}): GatewayClient {
  const sign = (method: 'GET' | 'POST', url: URL, body: Buffer | null): Record<string, string> => {
    const headers: Record<string, string> = body === null ? {} : { 'content-type': 'application/json' };
    const query = url.search === '' ? null : url.search.slice(1);
    const added = signRequest({
      request: { method, path: url.pathname, query, headers, body },
      keyid: deps.keyid(),
      privateKey: deps.key.privateKey,
      created: Math.floor(deps.clock.claim() / 1_000),
    });
    return { ...headers, ...added };
  };
  const base = { timeoutMs: TIMEOUT_MS, ...(deps.ca === undefined ? {} : { ca: deps.ca }) };

  const once = async (method: 'GET' | 'POST', url: URL, body: Buffer | null): Promise<HttpReply> => {
    const sent = deps.now();
    const reply = await exchange({ ...base, method, url, headers: sign(method, url, body), body }, MAX_REPLY);
    const serverTime = serverTimeOf(reply);
    if (serverTime !== null) deps.clock.heard({ sent, serverTime });
    return reply;
  };

  /** An older version the server asked for, and when: it may have been updated since. */
  let older: { readonly version: number; readonly at: number } | null = null;
  const spoken = (): number =>
    older === null || deps.now().mono - older.at > TRY_NEWEST_MS ? PROTOCOL_VERSION : older.version;

  async function call<T>(args: {
    method: 'GET' | 'POST';
    path: string;
    body?: unknown;
    reply: ZodType<T>;
  }): Promise<T> {
    const url = new URL(args.path, deps.url);
    const encoded = () =>
      args.body === undefined ? null : Buffer.from(JSON.stringify(inVersion(args.body, spoken())), 'utf8');
    const body = encoded();
    const claimed = deps.clock.claim();
    let reply = await once(args.method, url, body);
    // A clock far off makes the signature look stale; the 401 told us the server's time, so the second try fits.
    const corrected = Math.abs(deps.clock.claim() - claimed) > RESIGN_ABOVE_MS;
    if (reply.status === 401 && corrected) reply = await once(args.method, url, body);
    const other = reply.status === 426 ? versionFor(reply) : null;
    if (other !== null && other !== spoken()) {
      older = { version: other, at: deps.now().mono };
      reply = await once(args.method, url, encoded());
    }
    if (reply.status !== 200) throw new GatewayRefused(reply.status, reasonOf(reply));
    const parsed = args.reply.safeParse(jsonOf(reply));
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      throw new GatewayRefused(reply.status, `reply of ${args.path}: ${issue?.path.join('.')} ${issue?.message}`);
    }
    return parsed.data;
  }

  return {
    get protocol() {
      return spoken();
    },
    enrol: (body) => call({ method: 'POST', path: '/agent/v1/enrol', body, reply: enrolReply }),
    poll: (body) => call({ method: 'POST', path: '/agent/v1/poll', body, reply: pollReply }),
    inventory: async (body) =>
      void (await call({ method: 'POST', path: '/agent/v1/inventory', body, reply: inventoryReply })),
    assessment: (body) => call({ method: 'POST', path: '/agent/v1/assessment', body, reply: assessmentReply }),
    noticed: (body) => call({ method: 'POST', path: '/agent/v1/noticed', body, reply: noticedReply }),
    async arf(orderId, packed) {
      const reply = await once('POST', new URL(`/agent/v1/arf/${orderId}`, deps.url), packed);
      if (reply.status !== 200) throw new GatewayRefused(reply.status, reasonOf(reply));
    },
    keySet: () => call({ method: 'GET', path: '/agent/v1/key-set', reply: keySetReply }),
    async content(sha256, offset) {
      const url = new URL(`/agent/v1/content/${sha256}`, deps.url);
      const range: Record<string, string> = offset > 0 ? { range: `bytes=${offset}-` } : {};
      const reply = await openCall({
        ...base,
        method: 'GET',
        url,
        headers: { ...sign('GET', url, null), ...range },
        body: null,
      });
      if (reply.statusCode === 200 || reply.statusCode === 206) return reply;
      reply.destroy();
      throw new GatewayRefused(reply.statusCode ?? 0, `content ${sha256}`);
    },
    wake() {
      const url = new URL('/agent/v1/wake', deps.url);
      const headers = sign('GET', url, null);
      url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
      return { url, headers };
    },
  };
}

/** A version both sides speak: ours, or the one before it; null when there is none. */
function versionFor(reply: HttpReply): number | null {
  const parsed = versionReply.safeParse(jsonOf(reply));
  if (!parsed.success) return null;
  const { from, to } = parsed.data.speaks;
  return [PROTOCOL_VERSION, OLDEST_PROTOCOL].find((version) => version >= from && version <= to) ?? null;
}

/** The same message as an older version has it: what that does not know is left out. */
function inVersion(body: unknown, version: number): unknown {
  if (version === PROTOCOL_VERSION) return body;
  const { agent: _, ...known } = body as Record<string, unknown>;
  return { ...known, protocol: version };
}

/** Whether a failure may be gone at the next try: no answer, an overloaded or restarting server. */
export function isPassing(error: unknown): boolean {
  return (
    error instanceof TransportError ||
    (error instanceof GatewayRefused && (error.status >= 500 || error.status === 429))
  );
}

function jsonOf(reply: HttpReply): unknown {
  try {
    return JSON.parse(reply.body.toString('utf8'));
  } catch {
    return undefined;
  }
}

function serverTimeOf(reply: HttpReply): number | null {
  const body = jsonOf(reply);
  const time = typeof body === 'object' && body !== null ? (body as { serverTime?: unknown }).serverTime : undefined;
  return typeof time === 'number' && Number.isSafeInteger(time) && time > 0 ? time : null;
}

function reasonOf(reply: HttpReply): string {
  const parsed = errorReply.safeParse(jsonOf(reply));
  return parsed.success ? parsed.data.error : 'no reason given';
}
