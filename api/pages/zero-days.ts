/** Zero-days, and one of them: its countdown, and what stays exposed and why. */
import express, { type Request, Router } from 'express';
import type { z } from 'zod';
import { actorNames } from '../../db/read/people.js';
import type { ExposureState } from '../../domain/zero-day/exposure.js';
import { refuseForeign } from '../auth/csrf.js';
import { idParams } from '../http/paging.js';
import { notFound, Problem } from '../http/problem.js';
import type { exposurePage, zeroDayDetail, zeroDaySummary } from '../zero-day/schema.js';
import { cursorOf } from './changes.js';
import { inWords } from './commands.js';
import type { ConsoleDeps, Shell } from './shell.js';

const PAGE = 50;
/** Changes and orders that move move a zero-day, too. */
const EVENTS = '/v1/events';

/** States of exposure, for people. */
const WORDS: Readonly<Record<ExposureState, string>> = {
  fixed: 'fixed',
  inProgress: 'in progress',
  waiting: 'waiting',
  failed: 'failed',
  offline: 'offline',
  excepted: 'excepted',
  noPolicy: 'no policy',
  noFix: 'no fix',
  unfit: 'not possible',
  outOfScope: 'out of scope',
};

type Detail = z.output<typeof zeroDayDetail>;
type Started = { readonly changeId: string | null; readonly note: string };

export function zeroDayPages({ pool, forms }: ConsoleDeps, shell: Shell): Router {
  const router = Router();
  const guarded = [refuseForeign, express.urlencoded({ extended: false, limit: '20kb' }), forms.requireFormToken];
  const query = (req: Request) => {
    const cursor = cursorOf(req);
    return { limit: String(PAGE), ...(cursor !== undefined && { cursor }) };
  };
  const idOf = (req: Request): string => {
    const { success, data } = idParams.safeParse({ id: req.params.id });
    if (!success) throw notFound('zero-day');
    return data.id;
  };

  router.get('/zero-days', shell.needs('zeroDay.read'), async (req, res) => {
    const reply = await shell.invoke(req, { method: 'get', path: '/v1/zero-day', query: query(req) });
    const page = reply.body as { items: z.output<typeof zeroDaySummary>[]; next: string | null };
    await shell.show(req, res, {
      view: 'zero-days',
      title: 'Zero-days',
      current: '/zero-days',
      events: EVENTS,
      data: {
        zeroDays: page.items,
        first: cursorOf(req) === undefined,
        next: page.next === null ? null : `/zero-days?cursor=${page.next}`,
      },
    });
  });

  router.get('/zero-days/:id', shell.needs('zeroDay.read'), async (req, res) => {
    const id = idOf(req);
    const [one, exposure] = await Promise.all([
      shell.invoke(req, { method: 'get', path: '/v1/zero-day/:id', params: { id } }),
      shell.invoke(req, { method: 'get', path: '/v1/zero-day/:id/exposure', params: { id }, query: query(req) }),
    ]);
    const zeroDay = one.body as Detail;
    const page = exposure.body as z.output<typeof exposurePage> & { items: unknown[]; next: string | null };
    const names = await actorNames(pool, [zeroDay.requestedBy]);
    await shell.show(req, res, {
      view: 'zero-day',
      title: zeroDay.name,
      current: '/zero-days',
      events: EVENTS,
      data: {
        zeroDay,
        says: sentenceOf(zeroDay),
        tone: zeroDay.endedAt !== null ? 'good' : zeroDay.overdue ? 'bad' : '',
        requestedBy: names.get(zeroDay.requestedBy),
        average: zeroDay.counts.meanSecondsToPatch,
        exposed: page.items,
        words: WORDS,
        next: page.next === null ? null : `/zero-days/${id}?cursor=${page.next}`,
        startable: zeroDay.standing.nextSteps.find((step) => step.action === 'start')?.endpoints ?? 0,
        mayStart: shell.may(req, 'zeroDay.create'),
      },
    });
  });

  router.post('/zero-days/:id/start', shell.needs('zeroDay.create'), ...guarded, async (req, res) => {
    const id = idOf(req);
    const { reason } = (req.body ?? {}) as Record<string, unknown>;
    const body = { reason: typeof reason === 'string' ? reason : '' };
    try {
      const reply = await shell.invoke(req, { method: 'post', path: '/v1/zero-day/:id/start', params: { id }, body });
      const { changeId, note } = reply.body as Started;
      const path = changeId === null ? `/zero-days/${id}` : `/changes/${changeId}`;
      await shell.done(req, res, { path, said: note });
    } catch (error) {
      if (!(error instanceof Problem) || error.status >= 500) throw error;
      await shell.done(req, res, { path: `/zero-days/${id}`, said: `Not started: ${inWords(error)}.` });
    }
  });
  return router;
}

/** Where it stands, without the countdown: that is a time of its own on the page. */
function sentenceOf({ endedAt, overdue, counts }: Detail): string {
  const { exposed, fixed } = counts;
  const proven = fixed === 1 ? '1 endpoint is proven fixed' : `${fixed} endpoints are proven fixed`;
  if (endedAt !== null) return `Nobody is exposed any more; ${proven}.`;
  const left = exposed === 1 ? '1 endpoint is' : `${exposed} endpoints are`;
  return `${left} still exposed${overdue ? ', past the due date' : ''}; ${proven}.`;
}
