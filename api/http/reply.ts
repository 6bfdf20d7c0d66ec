/** A handler's reply as what is sent: checked when asked for, with its ETag, the same each time it is sent again. */
import type { Request, Response } from 'express';
import { etagOf, isUnchanged } from './preconditions.js';
import type { Reply, Route } from './route.js';

export interface RenderedReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
}

/** @throws Error naming the mismatch, when a reply is not what its route declares; tests ask for that */
export function checkReply(route: Route, reply: Reply): void {
  const where = `${route.method.toUpperCase()} ${route.path} → ${reply.status}`;
  const declared = route.responses[reply.status];
  if (declared === undefined) throw new Error(`${where}: the status is not declared`);
  if (reply.stream !== undefined) return;
  if ((reply.body === undefined) !== (declared.schema === undefined)) {
    throw new Error(`${where}: ${reply.body === undefined ? 'a body is declared' : 'a body is not declared'}`);
  }
  if (declared.schema === undefined) return;
  // As the client sees it: dates are text, undefined is absent.
  const seen: unknown = typeof reply.body === 'string' ? reply.body : JSON.parse(JSON.stringify(reply.body));
  const result = declared.schema.safeParse(seen);
  if (!result.success) throw new Error(`${where}: ${JSON.stringify(result.error.issues)}`);
  const undeclared = missingFrom(seen, result.data);
  if (undeclared !== null) throw new Error(`${where}: ${undeclared} is not declared`);
}

/** A schema that is not strict drops what it does not know: the first such member, as a path. */
function missingFrom(seen: unknown, kept: unknown, path = ''): string | null {
  if (typeof seen !== 'object' || seen === null || typeof kept !== 'object' || kept === null) return null;
  for (const [name, value] of Object.entries(seen)) {
    if (!(name in kept)) return `${path}/${name}`;
    const deeper = missingFrom(value, (kept as Record<string, unknown>)[name], `${path}/${name}`);
    if (deeper !== null) return deeper;
  }
  return null;
}

export function renderReply(reply: Reply): RenderedReply {
  const { status, body } = reply;
  const headers: Record<string, string> = { 'cache-control': 'no-store', ...reply.headers };
  if (body === undefined) return { status, headers, body: null };
  headers['content-type'] ??=
    typeof body === 'string' ? 'text/plain; charset=utf-8' : 'application/json; charset=utf-8';
  return { status, headers, body: typeof body === 'string' ? body : JSON.stringify(body) };
}

export function sendReply(res: Response, reply: RenderedReply): void {
  res.status(reply.status).set(reply.headers);
  if (reply.body === null) res.end();
  else res.send(Buffer.from(reply.body));
}

/** A GET's reply with its ETag, or 304 when the client has it already. */
export function sendTagged(req: Request, res: Response, args: { reply: Reply; current: unknown }): void {
  const { reply } = args;
  const rendered = renderReply(reply);
  if (reply.status !== 200 || rendered.body === null) {
    sendReply(res, rendered);
    return;
  }
  const etag = etagOf(reply.body, args.current);
  // It may be kept, but asked about each time: what a machine is told must be what is.
  const headers = { ...rendered.headers, etag, 'cache-control': 'private, no-cache' };
  if (isUnchanged(req, etag)) res.status(304).set({ etag, 'cache-control': headers['cache-control'] }).end();
  else sendReply(res, { ...rendered, headers });
}
