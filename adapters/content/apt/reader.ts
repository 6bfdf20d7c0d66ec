import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isSafeRelativePath } from '../../../domain/content/release.js';
import { type ByteSource, limited } from '../bytes.js';
import { ContentError, messageOf } from '../errors.js';

/** What a server says of a version of a file, to ask later whether it has changed. */
export interface Validators {
  readonly etag: string | null;
  readonly lastModified: string | null;
}

export interface OpenInput {
  readonly base: string;
  /** Below the base; never a URL. */
  readonly path: string;
  readonly maxBytes: number;
  readonly redirectHosts?: readonly string[];
  /** Ask only for what has changed since. */
  readonly known?: Validators;
}

export type Opened =
  | ({ readonly kind: 'ok'; readonly body: ByteSource } & Validators)
  | { readonly kind: 'notModified' }
  | { readonly kind: 'missing' };

export interface RepositoryReader {
  /**
   * Opens a file of a configured repository. The body is bounded, and must be read or left by `break`.
   * @throws ContentError `unreachable`, `timedOut`, `httpStatus`, `redirectRefused`, `tooLarge`, `uriUnsupported`; also while reading.
   */
  open(input: OpenInput): Promise<Opened>;
}

export interface ReaderOptions {
  /** Milliseconds without a byte, until the reply and between two pieces of it. */
  readonly idleTimeout?: number;
  /** Milliseconds for one file as a whole. */
  readonly totalTimeout?: number;
  readonly fetch?: typeof globalThis.fetch;
}

const MAX_REDIRECTS = 3;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const GONE: ReadonlySet<number> = new Set([404, 410]);

export function createRepositoryReader(options: ReaderOptions = {}): RepositoryReader {
  const settings = { idleTimeout: 30_000, totalTimeout: 30 * 60_000, fetch: globalThis.fetch, ...options };
  return {
    async open(input) {
      if (!isSafeRelativePath(input.path)) {
        throw new ContentError('uriUnsupported', `${JSON.stringify(input.path)} is not a path inside a repository`);
      }
      const { protocol } = parseBase(input.base);
      if (protocol === 'file:') return openFile(input);
      if (protocol === 'http:' || protocol === 'https:') return openHttp(input, settings);
      throw new ContentError(
        'uriUnsupported',
        `${withoutSecrets(input.base)}: ${protocol}// repositories are not supported`,
      );
    },
  };
}

/** A repository's address as it may be shown: user and password left out. */
export function withoutSecrets(uri: string): string {
  return uri.replace(/\/\/[^/@]*@/, '//');
}

function parseBase(base: string): URL {
  try {
    return new URL(base.endsWith('/') ? base : `${base}/`);
  } catch (error) {
    throw new ContentError('uriUnsupported', `${JSON.stringify(withoutSecrets(base))} is not an address`, {}, error);
  }
}

async function openFile(input: OpenInput): Promise<Opened> {
  const path = join(fileURLToPath(parseBase(input.base)), input.path);
  const found = await stat(path).catch((error: unknown) => {
    if (['ENOENT', 'ENOTDIR'].includes(String((error as { code?: unknown }).code))) return null;
    throw new ContentError('unreachable', `${path}: ${messageOf(error)}`, {}, error);
  });
  if (found === null) return { kind: 'missing' };
  const lastModified = `${found.mtimeMs}-${found.size}`;
  if (input.known?.lastModified === lastModified) return { kind: 'notModified' };
  const body = limited(createReadStream(path), { what: path, maxBytes: input.maxBytes });
  return { kind: 'ok', body, etag: null, lastModified };
}

type Settings = Required<ReaderOptions>;

async function openHttp(input: OpenInput, settings: Settings): Promise<Opened> {
  const base = parseBase(input.base);
  const headers: Record<string, string> & { authorization?: string } = {
    'user-agent': 'ringmaster',
    'accept-encoding': 'identity',
  };
  if (base.username !== '') {
    const pair = `${decodeURIComponent(base.username)}:${decodeURIComponent(base.password)}`;
    headers.authorization = `Basic ${Buffer.from(pair).toString('base64')}`;
    base.username = '';
    base.password = '';
  }
  if (input.known?.etag) headers['if-none-match'] = input.known.etag;
  else if (input.known?.lastModified) headers['if-modified-since'] = input.known.lastModified;
  let url = new URL(input.path.split('/').map(encodeURIComponent).join('/'), base);
  const clock = watchdog(settings, url.href);
  try {
    for (let hops = 0; ; hops += 1) {
      const response = await settings.fetch(url, { headers, redirect: 'manual', signal: clock.signal });
      clock.alive();
      if (!REDIRECTS.has(response.status)) return answer(response, { url, input, clock });
      await response.body?.cancel();
      const next = redirectTarget({
        from: url,
        location: response.headers.get('location'),
        allowed: input.redirectHosts ?? [],
      });
      if (hops === MAX_REDIRECTS) throw new ContentError('redirectRefused', `${url.href}: redirects too often`);
      // A password is for the host it was configured for.
      if (next.host !== base.host) delete headers.authorization;
      url = next;
    }
  } catch (error) {
    clock.stop();
    throw clock.named(error);
  }
}

async function answer(response: Response, at: { url: URL; input: OpenInput; clock: Watchdog }): Promise<Opened> {
  const { url, input, clock } = at;
  const drop = async (): Promise<void> => {
    await response.body?.cancel();
    clock.stop();
  };
  if (response.status === 304) {
    await drop();
    return { kind: 'notModified' };
  }
  if (GONE.has(response.status)) {
    await drop();
    return { kind: 'missing' };
  }
  if (response.status !== 200) {
    await drop();
    throw new ContentError('httpStatus', `${url.href}: answers ${response.status}`, { status: response.status });
  }
  if (Number(response.headers.get('content-length') ?? 0) > input.maxBytes) {
    await drop();
    throw new ContentError('tooLarge', `${url.href}: is larger than ${input.maxBytes} bytes`, {
      maxBytes: input.maxBytes,
    });
  }
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of response.body ?? []) {
        clock.alive();
        yield chunk as Uint8Array;
      }
    } catch (error) {
      throw clock.named(error);
    } finally {
      clock.stop();
    }
  };
  return {
    kind: 'ok',
    body: limited(pieces(), { what: url.href, maxBytes: input.maxBytes }),
    etag: response.headers.get('etag'),
    lastModified: response.headers.get('last-modified'),
  };
}

/**
 * Where a redirect may lead: the same host (also from http to https), or one that is configured. Anywhere else nobody has
 * configured, however the server came to name it.
 */
function redirectTarget(at: { from: URL; location: string | null; allowed: readonly string[] }): URL {
  const refuse = (why: string): ContentError => new ContentError('redirectRefused', `${at.from.href}: ${why}`);
  if (at.location === null || !URL.canParse(at.location, at.from.href)) throw refuse('redirects to nowhere');
  const to = new URL(at.location, at.from);
  const shown = withoutSecrets(to.href);
  if (to.protocol !== 'https:' && to.protocol !== at.from.protocol)
    throw refuse(`redirects to ${shown}, which is less safe`);
  const sameHost = to.hostname === at.from.hostname && (to.port === at.from.port || to.protocol !== at.from.protocol);
  if (!sameHost && !at.allowed.includes(to.host)) throw refuse(`redirects to ${shown}, a host that is not configured`);
  to.username = '';
  to.password = '';
  return to;
}

interface Watchdog {
  readonly signal: AbortSignal;
  alive(): void;
  stop(): void;
  /** The error as ours: whether the clock cut the line, or something else did. */
  named(error: unknown): ContentError;
}

function watchdog(settings: Settings, what: string): Watchdog {
  const control = new AbortController();
  let cause = '';
  const cut = (why: string) => () => {
    cause = why;
    control.abort();
  };
  const total = setTimeout(cut(`not done within ${settings.totalTimeout} ms`), settings.totalTimeout);
  const idle = setTimeout(cut(`nothing came for ${settings.idleTimeout} ms`), settings.idleTimeout);
  return {
    signal: control.signal,
    alive: () => {
      idle.refresh();
    },
    stop: () => {
      clearTimeout(total);
      clearTimeout(idle);
    },
    named: (error) => {
      if (error instanceof ContentError) return error;
      if (cause !== '') return new ContentError('timedOut', `${what}: ${cause}`, {}, error);
      return new ContentError('unreachable', `${what}: ${messageOf(error)}`, {}, error);
    },
  };
}
