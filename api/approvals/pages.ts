/**
 * The page behind a mailed link. Opening it decides nothing (scanners open everything); a decision is a POST of the form
 * by a signed-in person, or with the one-time code that came another way. Only the worker can tell whether a code is right.
 */
import express, { type Request, type Response, Router } from 'express';
import type { Pool } from 'pg';
import { z } from 'zod';
import {
  decisionState,
  type JudgedDecision,
  type Located,
  locate,
  submitDecision,
} from '../../db/approvals/decision.js';
import { inTransaction } from '../../db/pool.js';
import { looksLikeCode } from '../../domain/approval/one-time-code.js';
import { NO_CODE_SENT } from '../../domain/approval/refusal.js';
import { formatInstant } from '../../domain/schedule/index.js';
import type { EpochMs } from '../../domain/time.js';
import { approvalWorkflowId } from '../../workflows/ids.js';
import { type FormGuard, refuseForeign } from '../auth/csrf.js';
import { createGuessLimit } from '../auth/limits.js';
import { currentPerson } from '../auth/person.js';
import { renderPage } from '../http/pages.js';
import { Problem } from '../http/problem.js';
import { validated } from '../http/validate.js';

const form = z.object({
  decision: z.enum(['approve', 'reject']),
  planDigest: z.string().regex(/^[0-9a-f]{64}$/),
  comment: z.string().max(2_000).default(''),
  code: z.string().max(40).default(''),
});

/** How long a POST waits for the worker's verdict before it says "being checked". */
const VERDICT_WAIT_MS = 8_000;
const UNIQUE_VIOLATION = '23505';

type Notice = { readonly message: string; readonly tone: 'good' | 'bad' | '' };
const NOTHING: Notice = { message: '', tone: '' };

export function approvalPages(deps: { pool: Pool; forms: FormGuard; clock: () => EpochMs }): Router {
  const guesses = createGuessLimit({ pool: deps.pool, name: 'approval-code', points: 20, seconds: 15 * 60 });
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
      .set('referrer-policy', 'no-referrer')
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

  router.post('/approvals/:locator', refuseForeign, readForm, deps.forms.requireFormToken, async (req, res) => {
    const located = await find(req);
    const input = validated(form, req.body, 'body');
    const { request, accountId } = located;
    const refuse = (status: number, message: string) =>
      show(req, res, { located, notice: { message, tone: 'bad' }, status, comment: input.comment });

    const why = shut(located, deps.clock());
    if (why !== null) return refuse(409, why);
    const person = currentPerson(req);
    if (person?.via === 'token')
      return refuse(403, 'An API token decides nothing: sign in, or use your one-time code.');
    const signedIn = person?.accountId === accountId;
    if (person !== null && !signedIn)
      return refuse(403, `You are signed in as ${person.name}; this link was sent to ${located.name}.`);
    const code = input.code.trim();
    if (code === '' && (!signedIn || request.highRisk)) {
      return refuse(
        401,
        request.highRisk ? 'This decision needs your one-time code.' : 'Sign in, or type your one-time code.',
      );
    }
    if (code !== '' && !looksLikeCode(code))
      return refuse(422, 'This is no one-time code: those have ten letters and digits, such as 7KQ2M-XH4PD.');
    const guess = `${request.id}/${accountId}`;
    await guesses.check([guess]);

    let decisionId: string;
    try {
      decisionId = await inTransaction(deps.pool, (client) =>
        submitDecision(client, {
          requestId: request.id,
          workflowId: approvalWorkflowId({ changeId: request.changeId, ring: request.ring, requestId: request.id }),
          accountId,
          decision: input.decision,
          comment: input.comment,
          planDigest: input.planDigest,
          proof: signedIn ? 'session' : 'code',
          code: code === '' ? null : code,
          now: deps.clock(),
        }),
      );
    } catch (error) {
      if ((error as { code?: string }).code === UNIQUE_VIOLATION)
        return refuse(409, 'Your decision on this request is there already.');
      throw error;
    }
    const verdict = await verdictOf(deps.pool, decisionId);
    if (verdict.state === 'refused') {
      await guesses.failed([guess]);
      const after = await find(req);
      return show(req, res, {
        located: after,
        notice: { message: `Not counted: ${verdict.refusedReason}.`, tone: 'bad' },
        status: 422,
        comment: input.comment,
      });
    }
    const done = verdict.state === 'counted';
    const message = done
      ? `Your decision (${input.decision}) has been counted.`
      : `Your decision (${input.decision}) is recorded and being checked; load this page again to see the result.`;
    show(req, res, {
      located: await find(req),
      notice: { message, tone: 'good' },
      status: done ? 200 : 202,
      comment: '',
    });
  });
  return router;
}

/** Looks until the worker has judged, for a few seconds; then whatever it is by then. */
async function verdictOf(pool: Pool, decisionId: string): Promise<JudgedDecision> {
  const waits = [50, 100, 150, 200];
  for (let waited = 0; ; ) {
    const verdict = await decisionState(pool, decisionId);
    if (verdict === null) throw new Error(`decision ${decisionId} has vanished`);
    if (verdict.state !== 'submitted' || waited >= VERDICT_WAIT_MS) return verdict;
    const pause = waits.shift() ?? 250;
    waited += pause;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
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
  const signedIn = person?.via === 'session' && person.accountId === located.accountId;
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

/** Why this request takes no decision from this person any more, or never did; null when it does. */
function shut(located: Located, now: EpochMs): string | null {
  const { request } = located;
  if (request.state !== 'open') return `This request is ${request.state}.`;
  if (request.expiresAt <= now) return 'This request has expired.';
  if (request.highRisk && located.codeWay === null)
    return `You can’t decide on this high-risk change: ${NO_CODE_SENT}. An administrator can set one; it holds from the next request on.`;
  return null;
}
