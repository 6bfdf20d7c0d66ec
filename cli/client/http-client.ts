/** A thin HTTP client for the API: JSON in and out, problems as errors, careful retries, time-outs. It prints nothing. */
import { randomUUID } from 'node:crypto';
import { CliError, EXIT } from '../exit-codes.js';
import { ApiError, type ProblemDocument } from './api-error.js';
import type { Connection } from './connection.js';

export interface RequestOptions {
  readonly query?: Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;
  readonly body?: unknown;
  /** Sent as it is, with this type, in place of JSON. */
  readonly text?: { readonly type: string; readonly value: string };
  readonly headers?: Readonly<Record<string, string>>;
}

export type HttpMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** An answer with what a program may need of its headers. */
export interface Answer<T> {
  readonly status: number;
  readonly body: T;
  readonly etag: string | null;
}

export interface ApiClient {
  readonly connection: Connection;
  request<T>(method: HttpMethod, path: string, options?: RequestOptions): Promise<Answer<T>>;
  get<T>(path: string, query?: RequestOptions['query']): Promise<T>;
  post<T>(path: string, body?: unknown): Promise<T>;
  /** All items of a list, page by page, as they are asked for. */
  pages<T>(path: string, query?: RequestOptions['query']): AsyncGenerator<T>;
  /** An event stream; the caller reads the body. @throws ApiError when the server has none */
  stream(path: string, args: { readonly signal: AbortSignal; readonly lastEventId: string | null }): Promise<Response>;
}

export interface ClientDeps {
  readonly fetch: typeof fetch;
  readonly sleep: (ms: number) => Promise<void>;
}

const ATTEMPTS = 4;
const FIRST_PAUSE_MS = 250;
/** A server that asks for more patience than this is reported instead. */
const MAX_PAUSE_MS = 15_000;
const PAGE = 500;

const systemDeps: ClientDeps = {
  fetch: (...args) => fetch(...args),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};

export function createClient(connection: Connection, deps: ClientDeps = systemDeps): ApiClient {
  const target = (path: string, query: RequestOptions['query']): URL => {
    const url = new URL(path.replace(/^\//, ''), connection.url);
    for (const [key, value] of Object.entries(query ?? {})) {
      for (const one of Array.isArray(value) ? value : [value]) {
        if (one !== undefined) url.searchParams.append(key, String(one));
      }
    }
    return url;
  };

  const request: ApiClient['request'] = async (method, path, options = {}) => {
    const url = target(path, options.query);
    const init: RequestInit = {
      method,
      redirect: 'error',
      headers: {
        accept: 'application/json, application/problem+json',
        ...authorization(connection),
        // One key for all tries of this request: the server does it once, and answers each of them the same.
        ...(method === 'GET' ? {} : { 'idempotency-key': randomUUID() }),
        ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(options.text === undefined ? {} : { 'content-type': options.text.type }),
        ...options.headers,
      },
      ...bodyOf(options),
    };
    for (let attempt = 1; ; attempt += 1) {
      const outcome = await once(url, init);
      const last = attempt === ATTEMPTS;
      if ('refused' in outcome) {
        // Nothing was sent, so that trying again does nothing twice.
        if (last) throw outcome.refused;
        await deps.sleep(FIRST_PAUSE_MS * 2 ** (attempt - 1));
        continue;
      }
      const { response } = outcome;
      const pause = pauseOf(response, attempt);
      try {
        return await readAnswer<never>(response);
      } catch (error) {
        if (last || pause > MAX_PAUSE_MS || !isPassing(error)) throw error;
        await deps.sleep(pause);
      }
    }
  };

  const once = async (url: URL, init: RequestInit): Promise<{ response: Response } | { refused: CliError }> => {
    try {
      return { response: await deps.fetch(url, { ...init, signal: AbortSignal.timeout(connection.timeoutMs) }) };
    } catch (error) {
      const failure = failureOf(error, connection);
      if (isRefused(error)) return { refused: failure };
      throw failure;
    }
  };

  const readAnswer = async <T>(response: Response): Promise<Answer<T>> => {
    const body = await bodyText(response, connection);
    if (!response.ok) throw errorOf(response, body);
    const json = /json/.test(response.headers.get('content-type') ?? '');
    if (body !== '' && !json) {
      throw new CliError(EXIT.unreachable, `${connection.url.href} answered, but not as a Ringmaster server does`);
    }
    return {
      status: response.status,
      body: (body === '' ? undefined : JSON.parse(body)) as T,
      etag: response.headers.get('etag'),
    };
  };

  return {
    connection,
    request,
    get: async <T>(path: string, query?: RequestOptions['query']) =>
      (await request<T>('GET', path, { query: query ?? {} })).body,
    post: async <T>(path: string, body?: unknown) =>
      (await request<T>('POST', path, body === undefined ? {} : { body })).body,
    async *pages<T>(path: string, query: RequestOptions['query'] = {}) {
      let cursor: string | undefined;
      do {
        const { body } = await request<{ items: T[]; next?: string | null }>('GET', path, {
          query: { limit: PAGE, ...query, cursor },
        });
        yield* body.items;
        cursor = body.next ?? undefined;
      } while (cursor !== undefined);
    },
    stream: async (path, { signal, lastEventId }) => {
      const response = await deps
        .fetch(target(path, {}), {
          redirect: 'error',
          headers: {
            accept: 'text/event-stream',
            ...authorization(connection),
            ...(lastEventId === null ? {} : { 'last-event-id': lastEventId }),
          },
          signal,
        })
        .catch((error: unknown) => {
          throw failureOf(error, connection);
        });
      if (!response.ok) throw errorOf(response, await bodyText(response, connection));
      return response;
    },
  };
}

const authorization = ({ token }: Connection): Record<string, string> =>
  token === null ? {} : { authorization: `Bearer ${token}` };

function bodyOf(options: RequestOptions): { body?: string } {
  if (options.text !== undefined) return { body: options.text.value };
  return options.body === undefined ? {} : { body: JSON.stringify(options.body) };
}

/** Whether it is worth another try: the server can't work now, or still works on an earlier try of ours. */
const isPassing = (error: unknown): boolean =>
  error instanceof ApiError &&
  (error.status === 503 || error.problem.type === 'urn:ringmaster:problem:idempotency-key-in-flight');

function pauseOf(response: Response, attempt: number): number {
  const asked = Number(response.headers.get('retry-after') ?? Number.NaN);
  return Number.isFinite(asked) && asked >= 0 ? asked * 1_000 : FIRST_PAUSE_MS * 2 ** (attempt - 1);
}

function errorOf(response: Response, body: string): ApiError {
  let problem: ProblemDocument = {};
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed === 'object' && parsed !== null) problem = parsed;
  } catch {
    // Something between us and the server answered in its own words.
  }
  const requestId = problem.instance?.replace(/^urn:uuid:/, '') ?? response.headers.get('x-request-id');
  return new ApiError({ status: response.status, problem, requestId });
}

async function bodyText(response: Response, connection: Connection): Promise<string> {
  try {
    return await response.text();
  } catch (error) {
    throw failureOf(error, connection);
  }
}

/** The system's codes behind fetch's "fetch failed"; several, where a name has several addresses. */
function codesOf(error: unknown): string[] {
  const { cause, code, errors } = (error ?? {}) as { cause?: unknown; code?: unknown; errors?: unknown };
  return [
    ...(typeof code === 'string' ? [code] : []),
    ...(Array.isArray(errors) ? errors.flatMap(codesOf) : []),
    ...(cause === undefined ? [] : codesOf(cause)),
  ];
}

const isRefused = (error: unknown): boolean => codesOf(error).includes('ECONNREFUSED');

function failureOf(error: unknown, connection: Connection): CliError {
  const { name, message } = (error ?? {}) as { name?: string; message?: string };
  const where = connection.url.origin;
  if (name === 'TimeoutError') {
    return new CliError(EXIT.timedOut, `${where} did not answer within ${connection.timeoutMs / 1_000} s`);
  }
  if (name === 'AbortError') return new CliError(EXIT.interrupted, 'given up');
  const why = isRefused(error) ? 'connection refused' : (codesOf(error)[0] ?? message ?? 'no reason known');
  return new CliError(EXIT.unreachable, `can't reach ${where}: ${why}`, [
    'Is it running (`ringmaster up`)? Another address: --url or RINGMASTER_URL.',
  ]);
}
