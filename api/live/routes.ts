/** Streams of events (docs/events.md): declared like every route, so that permission, validation and OpenAPI apply. */
import type { Request, Response } from 'express';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import { z } from 'zod';
import { canResume, isPlace } from '../../db/feed/events.js';
import { readFleetNumbers } from '../../db/read/fleet.js';
import { readProgress } from '../../db/read/progress.js';
import { type EpochMs, HOUR } from '../../domain/time.js';
import { identityOf, stillHas } from '../auth/recheck.js';
import { idParams } from '../http/paging.js';
import { invalidField, notFound, Problem, unavailable } from '../http/problem.js';
import { type Reply, type Route, route } from '../http/route.js';
import type { LiveHub } from './hub.js';
import { serveStream } from './stream.js';

const PER_PERSON = 12;
const IN_ALL = 500;
const RECHECK_MS = 3_000;
const SILENT_MS = HOUR;

export interface LiveDeps {
  readonly pool: Pool;
  readonly hub: LiveHub;
  readonly clock: () => EpochMs;
  readonly logger: Logger;
  /** Streams at once; defaults are for a process of its own. */
  readonly limits?: { readonly perPerson: number; readonly inAll: number };
}

const eventStream = z.string();
const RESPONSES = {
  200: {
    description: 'Events as they happen (text/event-stream)',
    schema: eventStream,
    contentType: 'text/event-stream',
  },
  429: { description: 'Too many streams of this person' },
};

export function liveRoutes(deps: LiveDeps): Route[] {
  const { pool, clock } = deps;
  const limits = deps.limits ?? { perPerson: PER_PERSON, inAll: IN_ALL };
  const open = new Map<string, number>();
  let all = 0;

  const enter = (who: string): (() => void) => {
    if (all >= limits.inAll) throw unavailable('too many streams of events are open; try again', 10);
    const mine = open.get(who) ?? 0;
    if (mine >= limits.perPerson) {
      throw new Problem({
        status: 429,
        type: 'too-many-requests',
        title: 'Too many streams',
        detail: `${limits.perPerson} streams of events are open for you already`,
        headers: { 'retry-after': '10' },
      });
    }
    open.set(who, mine + 1);
    all += 1;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      all -= 1;
      const now = (open.get(who) ?? 1) - 1;
      if (now === 0) open.delete(who);
      else open.set(who, now);
    };
  };

  const stream = async (
    req: Request,
    args: { changeId: string | null; actor: string; snapshot: () => Promise<unknown> },
  ): Promise<Reply> => {
    const header = req.get('last-event-id') ?? '';
    if (header !== '' && !isPlace(header)) {
      throw invalidField('Last-Event-ID', 'not an id of an event of this stream', 'header');
    }
    const resumable = header !== '' && (await canResume(pool, header));
    const identity = identityOf(req);
    return {
      status: 200,
      headers: {
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store, no-transform',
        'x-accel-buffering': 'no',
      },
      stream: (res: Response) => {
        const ended = enter(args.actor);
        res.socket?.setNoDelay(true);
        res.flushHeaders();
        void serveStream(
          {
            pool,
            hub: deps.hub,
            logger: deps.logger,
            recheckMs: RECHECK_MS,
            stillAllowed: () => stillHas(pool, { identity, permission: 'change.read', now: clock() }),
          },
          {
            res,
            changeId: args.changeId,
            resumeAfter: resumable ? header : null,
            reset: header !== '' && !resumable,
            snapshot: args.snapshot,
            ended,
          },
        );
      },
    };
  };

  return [
    route({
      method: 'get',
      path: '/v1/events',
      summary: 'What happens in the fleet, as server-sent events',
      permission: 'change.read',
      responses: RESPONSES,
      handler: ({ req, person }) =>
        stream(req, {
          changeId: null,
          actor: person.actor,
          snapshot: () => readFleetNumbers(pool, clock() - SILENT_MS),
        }),
    }),
    route({
      method: 'get',
      path: '/v1/changes/:id/events',
      summary: 'What happens in one change, as server-sent events',
      permission: 'change.read',
      params: idParams,
      responses: RESPONSES,
      handler: async ({ req, person, params }) => {
        if ((await readProgress(pool, params.id)) === null) throw notFound('change');
        return stream(req, {
          changeId: params.id,
          actor: person.actor,
          snapshot: () => readProgress(pool, params.id),
        });
      },
    }),
  ];
}
