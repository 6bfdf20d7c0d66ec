/** Whatever went wrong, as a problem document: bad input is never a 500, and a 500 never tells what happened inside. */
import { randomUUID } from 'node:crypto';
import type { ErrorRequestHandler, Request, RequestHandler } from 'express';
import type { Logger } from 'pino';
import { conflict, invalid, notFound, Problem, unavailable } from './problem.js';

interface WithCode {
  readonly code?: unknown;
  readonly message?: unknown;
  readonly type?: unknown;
  readonly status?: unknown;
  readonly expose?: unknown;
}

/** SQLSTATE classes and system errors that mean the database can't be used now, but may be again. */
const AWAY =
  /^(08...|57P0[123]|53...|58...|ECONNREFUSED|ECONNRESET|EPIPE|ENOENT|ETIMEDOUT|EHOSTUNREACH|ENOTFOUND|EAI_AGAIN)$/;
const AWAY_TEXT =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error)/;

/** Whether the error says that PostgreSQL is away (stopped, starting, unreachable, no connection free). */
export function isDatabaseAway(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.some(isDatabaseAway);
  const { code, message } = (error ?? {}) as WithCode;
  return (typeof code === 'string' && AWAY.test(code)) || (typeof message === 'string' && AWAY_TEXT.test(message));
}

/** The problem a client is told about; null when the error is a fault of ours. */
export function problemOf(error: unknown): Problem | null {
  if (error instanceof Problem) return error;
  if (isDatabaseAway(error)) return unavailable('the database is not reachable; try again');
  const { code, type, status, message, expose } = (error ?? {}) as WithCode;
  if (typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code)) return databaseProblem(code);
  if (error instanceof URIError) return invalid([{ field: '', in: 'path', reason: 'not decodable' }]);
  if (type === 'entity.parse.failed') return invalid([{ field: '', in: 'body', reason: 'not valid JSON' }]);
  if (typeof status === 'number' && status >= 400 && status < 500) {
    const detail = expose === true && typeof message === 'string' ? message : undefined;
    return new Problem({
      status,
      type: status === 413 ? 'too-large' : status === 415 ? 'unsupported-media-type' : 'bad-request',
      title: 'The request can’t be read',
      ...(detail ? { detail } : {}),
    });
  }
  return null;
}

function databaseProblem(code: string): Problem | null {
  if (code === '23505') return conflict('something with the same name or key exists already');
  if (code === '23503') return conflict('something this refers to does not exist, or something still refers to this');
  // Class 22: values that are well-formed here, but can't be stored (U+0000, lone surrogates, numbers out of range).
  if (code.startsWith('22')) {
    return invalid([
      { field: '', in: 'body', reason: 'a value is out of range or has characters that can’t be stored' },
    ]);
  }
  if (code === '57014') return unavailable('the database took too long; try again');
  if (code === '40001' || code === '40P01' || code === '55P03') return unavailable('too much at once; try again', 1);
  return null;
}

export interface ErrorOptions {
  readonly logger: Logger;
  /** Further members for every problem below a path, such as the server's time for agents. */
  readonly decorate?: (req: Request, problem: Problem) => Readonly<Record<string, unknown>>;
  /** The same as a page, for a person with a browser; null: a program asked. It can't need the database: that may be what is away. */
  readonly page?: (req: Request, problem: Problem) => string | null;
}

export function errorHandler(options: ErrorOptions): ErrorRequestHandler {
  return (error: unknown, req, res, next) => {
    if (res.headersSent) {
      next(error);
      return;
    }
    const instance = requestId(req);
    const known = problemOf(error);
    const problem = known ?? new Problem({ status: 500, type: 'internal', title: 'Something went wrong on our side' });
    if (known === null) options.logger.error({ err: error, instance, path: req.path }, 'request failed');
    else if (problem.status === 503)
      options.logger.warn({ err: error, instance, path: req.path }, 'request refused: unavailable');
    // What an earlier handler meant for its own reply is none of this one's.
    for (const name of ['etag', 'location', 'content-length']) res.removeHeader(name);
    res
      .set({ 'cache-control': 'no-store', 'x-request-id': instance })
      .status(problem.status)
      .set(problem.options.headers ?? {});
    const page = options.page?.(req, problem) ?? null;
    if (page !== null) {
      res.type('html').send(page);
      return;
    }
    res.type('application/problem+json');
    const extra = options.decorate?.(req, problem) ?? {};
    res.send(JSON.stringify({ ...problem.body(), instance: `urn:uuid:${instance}`, ...extra }));
  };
}

/** What the log knows the request by, and the client too: `X-Request-Id` and a problem's `instance`. */
function requestId(req: Request): string {
  return typeof req.id === 'string' ? req.id : randomUUID();
}

/** Puts the request's id on its reply. After the request log, which makes it. */
export const sayRequestId: RequestHandler = (req, res, next) => {
  res.set('x-request-id', requestId(req));
  next();
};

/** The last handler: nothing answered. */
export const nothingHere: RequestHandler = (req, _res, next) => next(notFound(`path ${req.path}`));
