/**
 * Forms can only be posted from our own pages: browsers say where a request comes from (Fetch Metadata, Origin), and each
 * form carries a token that only we can make (signed double submit; no session needed, so link scanners fill no table).
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Request, RequestHandler, Response } from 'express';
import { forbidden } from '../http/problem.js';

const COOKIE = 'ringmaster.form';
export const FORM_TOKEN_FIELD = '_csrf';
const SAFE = new Set(['GET', 'HEAD', 'OPTIONS']);

export interface FormGuard {
  /** The value for the hidden field `_csrf` of a form on the page being rendered; sets a cookie when there is none. */
  readonly formToken: (req: Request, res: Response) => string;
  /** For form posts, after the body was parsed. */
  readonly requireFormToken: RequestHandler;
}

/**
 * Whether the browser says that the request comes from another origin. Programs say nothing. `Origin` may be `null` for a form
 * of ours (Fetch, "serializing a request origin"): then the site decides, which no page can claim to be.
 */
export function isForeign(req: Request): boolean {
  const site = req.get('sec-fetch-site');
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true;
  const origin = req.get('origin');
  if (origin === undefined) return false;
  if (origin === 'null') return site === undefined;
  try {
    return new URL(origin).host !== req.get('host');
  } catch {
    return true;
  }
}

/** Refuses unsafe requests from other origins before anything is read. */
export const refuseForeign: RequestHandler = (req, _res, next) => {
  if (!SAFE.has(req.method) && isForeign(req)) next(forbidden('the request comes from another site'));
  else next();
};

export function createFormGuard(secret: string): FormGuard {
  const tokenOf = (nonce: string): string => createHmac('sha256', secret).update(`form:${nonce}`).digest('base64url');
  return {
    formToken: (req, res) => {
      let nonce = cookie(req);
      if (nonce === undefined) {
        nonce = randomBytes(24).toString('base64url');
        res.cookie(COOKIE, nonce, { httpOnly: true, sameSite: 'lax', secure: req.secure, path: '/' });
      }
      return tokenOf(nonce);
    },
    requireFormToken: (req, _res, next) => {
      const nonce = cookie(req);
      const given = (req.body as Record<string, unknown> | undefined)?.[FORM_TOKEN_FIELD];
      const fits = nonce !== undefined && typeof given === 'string' && same(given, tokenOf(nonce));
      next(fits ? undefined : forbidden('the form is too old; load the page again and repeat'));
    },
  };
}

function cookie(req: Request): string | undefined {
  const header = req.headers.cookie ?? '';
  const found = header
    .split(';')
    .map((part) => part.trim())
    .find((part) => part.startsWith(`${COOKIE}=`));
  const value = found?.slice(COOKIE.length + 1);
  return value !== undefined && /^[A-Za-z0-9_-]{32}$/.test(value) ? value : undefined;
}

function same(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
