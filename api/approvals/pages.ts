/**
 * The page behind a mailed link. Opening it decides nothing (scanners open everything); a decision is a POST of the form
 * by a signed-in person, or with the one-time code that came another way. Only the worker can tell whether a code is right.
 */
import express, { type Request, type Response, Router } from 'express';
import type { Pool } from 'pg';
import { z } from 'zod';
import { type Located, locate } from '../../db/approvals/decision.js';
import { readPackagesBrought } from '../../db/baseline/brings.js';
import { formatInstant } from '../../domain/schedule/index.js';
import type { EpochMs } from '../../domain/time.js';
import { type FormGuard, refuseForeign } from '../auth/csrf.js';
import { currentPerson } from '../auth/person.js';
import { renderPage } from '../http/pages.js';
import { notFound, Problem } from '../http/problem.js';
import { validated } from '../http/validate.js';
import { createDecide, isSignedIn, shut } from './decide.js';

const form = z.object({
  decision: z.enum(['approve', 'reject']),
  planDigest: z.string().regex(/^[0-9a-f]{64}$/),
  comment: z.string().max(2_000).default(''),
  code: z.string().max(40).default(''),
});

type Notice = { readonly message: string; readonly tone: 'good' | 'bad' | '' };
const NOTHING: Notice = { message: '', tone: '' };

export function approvalPages(deps: { pool: Pool; forms: FormGuard; clock: () => EpochMs }): Router {
  const decide = createDecide(deps);
  const readForm = express.urlencoded({ extended: false, limit: '20kb' });
  const router = Router();

  const show = (
    req: Request,
    res: Response,
    args: { located: Located; notice: Notice; status: number; comment: string },
  ) => {
    const view = viewOf({ ...args, person: currentPerson(req), path: req.path, now: deps.clock() });
    const html = renderPage('approval', { ...view, formToken: deps.forms.formToken(req, res) });
    res
      .status(args.status)
      .set('cache-control', 'no-store')
      .set('referrer-policy', 'same-origin')
      .type('html')
      .send(html);
  };

  const find = async (req: Request): Promise<Located> => {
    const locator = String(req.params.locator);
    const located = /^[A-Za-z0-9_-]{32}$/.test(locator) ? await locate(deps.pool, locator) : null;
    if (located === null)
      throw new Problem({
        status: 404,
        type: 'not-found',
        title: 'No such approval',
        detail: 'this link leads to no approval request',
      });
    return located;
  };

  router.get('/approvals/:locator', async (req, res) => {
    show(req, res, { located: await find(req), notice: NOTHING, status: 200, comment: '' });
  });

  // Whoever was asked may see what they are asked about: the mailed link is what lets them in, here too.
  router.get('/approvals/:locator/packages/:sha256', async (req, res) => {
    const { locator, sha256 } = req.params;
    const { evidence } = (await find(req)).request;
    const named = evidence.updates.some(({ lists = [] }) => lists.some((list) => list === sha256));
    const packages = named ? await readPackagesBrought(deps.pool, String(sha256)) : null;
    if (packages === null) throw notFound('list of packages that this request names');
    const view = { sha256, packages, back: `/approvals/${locator}` };
    res.set('cache-control', 'no-store').type('html').send(renderPage('package-list', view));
  });

  router.post('/approvals/:locator', refuseForeign, readForm, deps.forms.requireFormToken, async (req, res) => {
    const located = await find(req);
    const input = validated(form, req.body, 'body');
    const decided = await decide({ located, person: currentPerson(req), input });
    if (decided.kind === 'refused') {
      const { message, status } = decided;
      return show(req, res, { located, notice: { message, tone: 'bad' }, status, comment: input.comment });
    }
    const after = await find(req);
    if (decided.kind === 'notCounted') {
      const notice: Notice = { message: decided.message, tone: 'bad' };
      return show(req, res, { located: after, notice, status: decided.status, comment: input.comment });
    }
    const done = decided.kind === 'counted';
    const message = done ? decided.message : `${decided.message}; load this page again to see the result.`;
    show(req, res, { located: after, notice: { message, tone: 'good' }, status: done ? 200 : 202, comment: '' });
  });
  return router;
}

function viewOf(args: {
  readonly located: Located;
  readonly notice: Notice;
  readonly comment: string;
  readonly person: ReturnType<typeof currentPerson>;
  readonly path: string;
  readonly now: EpochMs;
}): object {
  const { located, person } = args;
  const { request } = located;
  const mine = located.decisions.find((d) => d.mine && d.state !== 'refused');
  const signedIn = isSignedIn(located, person);
  const why = shut(located, args.now);
  const open = why === null && mine === undefined;
  const how = request.highRisk ? 'must' : signedIn ? 'no' : 'or';
  return {
    e: request.evidence,
    planDigest: request.planDigest,
    name: located.name,
    via: located.via,
    expires: formatInstant({ at: request.expiresAt, zone: located.zone }),
    action: args.path,
    signIn: `/sign-in?next=${encodeURIComponent(args.path)}`,
    signedInAs: person?.name ?? '',
    message: args.notice.message,
    tone: args.notice.tone,
    comment: args.comment,
    form: open ? { code: how, codeHelp: codeHelp(located) } : null,
    closed:
      mine === undefined
        ? why
        : `You decided: ${mine.decision}${mine.state === 'submitted' ? ' (being checked)' : ''}.`,
    decisions: located.decisions
      .filter((d) => d.state === 'counted')
      .map(
        (d) =>
          `${d.name}: ${d.decision}${d.comment === '' ? '' : `, “${d.comment}”`} (${formatInstant({ at: d.decidedAt, zone: located.zone })})`,
      ),
  };
}

function codeHelp(located: Located): string {
  if (located.codeWay === 'secondChannel')
    return 'It was sent to your second channel, not to the mailbox that got the link.';
  return 'It was sent to you in a mail of its own.';
}
