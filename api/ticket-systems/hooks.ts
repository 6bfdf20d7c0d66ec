/**
 * Events that come in from ticket systems: CloudEvents, signed as Standard Webhooks has it. Nobody signs in here; the signature says
 * who it is, over exactly the bytes that came. What is taken in is a row; a worker does what follows from it.
 */
import express, { type Request, type RequestHandler, Router } from 'express';
import type { Pool } from 'pg';
import { appendAudit } from '../../db/audit/append.js';
import { inTransaction } from '../../db/pool.js';
import { type HookRow, readHook } from '../../db/read/tickets.js';
import { storeEvents } from '../../db/tickets/events.js';
import { type IncomingEvent, incomingEvent } from '../../domain/ticket/cloud-event.js';
import { decryptSecret } from '../../domain/ticket/sealed-secret.js';
import { verifyWebhook } from '../../domain/ticket/standard-webhooks.js';
import type { TicketEvent } from '../../domain/ticket/ticket.js';
import type { EpochMs } from '../../domain/time.js';
import { idParams } from '../http/paging.js';
import { invalid, notFound, Problem, unavailable } from '../http/problem.js';

const LARGEST = '256kb';

export function ticketHooks(deps: {
  readonly pool: Pool;
  readonly clock: () => EpochMs;
  readonly webSecret: string;
}): Router {
  const router = Router();
  router.post('/:id', express.raw({ type: () => true, limit: LARGEST }), take(deps));
  return router;
}

function take(deps: Parameters<typeof ticketHooks>[0]): RequestHandler {
  return async (req, res) => {
    const params = idParams.safeParse(req.params);
    const now = deps.clock();
    const hook = params.success ? await readHook(deps.pool, params.data.id, now) : null;
    if (hook === null) throw notFound('webhook');
    const body = Buffer.isBuffer(req.body) ? req.body.toString('utf8') : '';
    const id = req.get('webhook-id') ?? '';
    const verified = verifyWebhook({
      secrets: secretsOf(hook, deps.webSecret),
      headers: { id, timestamp: req.get('webhook-timestamp') ?? '', signature: req.get('webhook-signature') ?? '' },
      body,
      now,
    });
    if (!verified.ok) {
      throw new Problem({
        status: 401,
        type: 'unauthenticated',
        title: 'The signature does not hold',
        detail: verified.reason,
      });
    }
    const event = read(req, body);
    // Sent again is answered as before: an id is taken once.
    const fresh = await inTransaction(deps.pool, async (client) => {
      const stored = await storeEvents(client, { systemId: hook.id, events: [toTicketEvent(event, id, now)], now });
      if (stored > 0) {
        const detail = { type: event.type, key: event.data.key, author: event.data.author ?? null, webhookId: id };
        await appendAudit(client, [
          {
            actor: `ticket-system/${hook.id}`,
            action: 'ticketEvent.received',
            subject: `ticket-system/${hook.id}`,
            detail,
          },
        ]);
      }
      return stored > 0;
    });
    res
      .status(202)
      .set('cache-control', 'no-store')
      .json({ taken: fresh ? 'now' : 'before' });
  };
}

function secretsOf(hook: HookRow, key: string): string[] {
  try {
    return [hook.secret, hook.secretBefore]
      .filter((secret) => secret !== null)
      .map((encrypted) => decryptSecret({ key, subject: `ticket-hook/${hook.id}`, encrypted }));
  } catch {
    throw unavailable('the secret of this webhook can’t be read: an administrator must give it again', 3_600);
  }
}

function read(req: Request, body: string): IncomingEvent {
  if (!req.is(['application/cloudevents+json', 'application/json'])) {
    throw new Problem({
      status: 415,
      type: 'unsupported-media-type',
      title: 'Unsupported media type',
      detail: 'the body must be application/cloudevents+json',
    });
  }
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch (error) {
    throw invalid([{ field: '', in: 'body', reason: `not JSON: ${(error as Error).message}` }]);
  }
  const parsed = incomingEvent.safeParse(json);
  if (parsed.success) return parsed.data;
  throw invalid(
    parsed.error.issues.slice(0, 20).map((issue) => ({
      field: issue.path.join('.'),
      in: 'body' as const,
      reason: issue.message,
    })),
  );
}

/** Whoever holds the secret vouches for the author. */
function toTicketEvent(event: IncomingEvent, id: string, now: EpochMs): TicketEvent {
  const { data } = event;
  return {
    externalId: id,
    key: data.key,
    ref: data.ref ?? null,
    type: event.type === 'ticket.commented' ? 'comment' : 'state',
    author: data.author ?? null,
    vouched: true,
    state: event.type === 'ticket.state' ? event.data.state : null,
    text: event.type === 'ticket.commented' ? event.data.text : null,
    at: event.time === undefined ? now : Date.parse(event.time),
  };
}
