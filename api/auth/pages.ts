/** Sign-in and sign-out. */
import express, { type Request, type Response, Router } from 'express';
import type { Pool } from 'pg';
import { z } from 'zod';
import { appendAudit } from '../../db/audit/append.js';
import { findCredentials } from '../../db/identity/people.js';
import type { EpochMs } from '../../domain/time.js';
import { renderPage } from '../http/pages.js';
import { Problem } from '../http/problem.js';
import { validated } from '../http/validate.js';
import { type FormGuard, refuseForeign } from './csrf.js';
import { createGuessLimit } from './limits.js';
import { verifyPassword } from './passwords.js';
import { currentPerson } from './person.js';
import { endSession, startSession } from './sessions.js';

const form = z.object({
  email: z.string().min(1).max(254),
  password: z.string().min(1).max(256),
  next: z.string().max(2_000).default('/'),
});

const WRONG = 'This e-mail address and password do not fit together.';

export function signInPages(deps: { pool: Pool; forms: FormGuard; clock: () => EpochMs }): Router {
  const perAccount = createGuessLimit({ pool: deps.pool, name: 'signin-account', points: 10, seconds: 15 * 60 });
  const perAddress = createGuessLimit({ pool: deps.pool, name: 'signin-address', points: 50, seconds: 15 * 60 });
  const router = Router();
  const readForm = express.urlencoded({ extended: false, limit: '10kb' });

  const page = (
    req: Request,
    res: Response,
    view: { status: number; message: string; email: string; next: string },
  ) => {
    const { status, ...data } = view;
    const html = renderPage('sign-in', { ...data, formToken: deps.forms.formToken(req, res) });
    res.status(status).set('cache-control', 'no-store').type('html').send(html);
  };

  router.get('/sign-in', (req, res) => {
    page(req, res, { status: 200, message: '', email: '', next: localPath(req.query.next) });
  });

  router.post('/sign-in', refuseForeign, readForm, deps.forms.requireFormToken, async (req, res) => {
    const input = validated(form, req.body, 'body');
    const next = localPath(input.next);
    const address = req.ip ?? 'unknown';
    try {
      await perAddress.check([address]);
      await perAccount.check([input.email]);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      res.set(error.options.headers ?? {});
      page(req, res, { status: 429, message: `Too many attempts: ${error.message}.`, email: input.email, next });
      return;
    }
    const found = await findCredentials(deps.pool, input.email);
    const fits = await verifyPassword(found?.passwordHash ?? null, input.password);
    if (found === null || !fits) {
      await perAddress.failed([address]);
      await perAccount.failed([input.email]);
      const subject = found === null ? 'account/unknown' : `account/${found.accountId}`;
      await appendAudit(deps.pool, [{ actor: 'api', action: 'session.refused', subject, detail: { address } }]);
      page(req, res, { status: 401, message: WRONG, email: input.email, next });
      return;
    }
    // Recorded first: a sign-in nobody can find in the log must not exist.
    await appendAudit(deps.pool, [
      { actor: found.accountId, action: 'session.started', subject: `account/${found.accountId}`, detail: { address } },
    ]);
    await startSession(req, found.accountId, deps.clock());
    await perAccount.succeeded(input.email);
    res.redirect(303, next);
  });

  router.post('/sign-out', refuseForeign, readForm, deps.forms.requireFormToken, async (req, res) => {
    const person = currentPerson(req);
    if (person !== null) {
      await appendAudit(deps.pool, [
        { actor: person.actor, action: 'session.ended', subject: `account/${person.accountId}` },
      ]);
    }
    await endSession(req);
    res.clearCookie('ringmaster.sid', { path: '/' }).redirect(303, '/sign-in');
  });
  return router;
}

/** A path on this server; anything that a browser could read as another host becomes `/`. */
export function localPath(value: unknown): string {
  return typeof value === 'string' && /^\/(?![/\\])[\x21-\x7e]*$/.test(value) && !value.includes('\\') ? value : '/';
}
