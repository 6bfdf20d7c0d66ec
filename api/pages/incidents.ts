/** Incidents from what endpoints notice, and who looks after them. */
import { type Request, type Response, Router } from 'express';
import { listIncidents } from '../../db/baseline/notices.js';
import { actorNames } from '../../db/read/people.js';
import { cursorParts, idParams } from '../http/paging.js';
import { notFound, Problem } from '../http/problem.js';
import { cursorOf } from './changes.js';
import { inWords } from './commands.js';
import { askedFor, guardedForm } from './forms.js';
import type { ConsoleDeps, Shell } from './shell.js';

const PAGE = 50;
const ANSWERS = { acknowledge: 'You look after it: it is not escalated any more.', close: 'Closed.' } as const;

export function incidentPages({ pool, forms }: ConsoleDeps, shell: Shell): Router {
  const router = Router();

  const list = async (req: Request, res: Response, args: { status: number; wrong: string }): Promise<void> => {
    const only = askedFor(req, 'show') === 'closed' ? 'closed' : 'open';
    const after = cursorParts(cursorOf(req), ['number', 'string']) as [number, string] | null;
    const page = await listIncidents(pool, { open: only === 'open', after, limit: PAGE });
    const names = await actorNames(
      pool,
      page.items.map((one) => one.acknowledgedBy),
    );
    await shell.show(req, res, {
      view: 'incidents',
      title: 'Incidents',
      current: '/compliance',
      status: args.status,
      data: {
        only,
        wrong: args.wrong,
        incidents: page.items.map((one) => ({
          ...one,
          acknowledgedBy: one.acknowledgedBy === null ? null : names.get(one.acknowledgedBy),
        })),
        first: after === null,
        next: page.next === null ? null : `/incidents?show=${only}&cursor=${page.next}`,
        mayAnswer: shell.may(req, 'incident.answer'),
        mayExpedite: shell.may(req, 'change.create'),
      },
    });
  };

  router.get('/incidents', shell.needs('baseline.read'), (req, res) => list(req, res, { status: 200, wrong: '' }));

  /** What a form asks of the API; a refusal is told on the page. */
  const answered = async (req: Request, res: Response, args: { answer: string; said: string; body?: object }) => {
    const { success, data } = idParams.safeParse({ id: req.params.id });
    if (!success) throw notFound('incident');
    const { answer, said, ...rest } = args;
    try {
      await shell.invoke(req, { method: 'post', path: `/v1/incidents/:id/${answer}`, params: data, ...rest });
      await shell.done(req, res, { path: '/incidents', said });
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 409) throw error;
      await list(req, res, { status: error.status, wrong: `Nothing to do: ${inWords(error)}.` });
    }
  };
  for (const [answer, said] of Object.entries(ANSWERS))
    router.post(`/incidents/:id/${answer}`, shell.needs('incident.answer'), ...guardedForm(forms), (req, res) =>
      answered(req, res, { answer, said }),
    );
  router.post('/incidents/:id/expedite', shell.needs('change.create'), ...guardedForm(forms), (req, res) =>
    answered(req, res, {
      answer: 'expedite',
      said: 'A remediation is asked for, as hurried as the expedite policy says.',
      body: { reason: 'critical drift, expedited on the incidents page' },
    }),
  );
  return router;
}
