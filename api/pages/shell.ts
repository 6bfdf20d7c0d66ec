/** What every page of the console has in common: who looks, where one can go, what was just done, and in which zone times are. */
import type { Request, RequestHandler, Response } from 'express';
import type { Session } from 'express-session';
import type { Pool } from 'pg';
import { zoneOf } from '../../db/read/people.js';
import { readSetting } from '../../db/setting.js';
import { PERMISSIONS, type Permission } from '../../domain/identity/permissions.js';
import type { EpochMs } from '../../domain/time.js';
import type { FormGuard } from '../auth/csrf.js';
import { currentPerson, type Person, personWith } from '../auth/person.js';
import { createInvoke, type Invoke } from '../http/invoke.js';
import { renderPage } from '../http/pages.js';
import type { Route } from '../http/route.js';
import { HEARTBEAT_KEY, troublesOf } from '../ops/readiness.js';
import { createTimes } from './times.js';

declare module 'express-session' {
  interface SessionData {
    /** Said once, on the next page. */
    flash: string;
  }
}

export interface TemporalUi {
  /** Without a slash at its end. */
  readonly url: string;
  readonly namespace: string;
}

export interface ConsoleDeps {
  readonly pool: Pool;
  readonly clock: () => EpochMs;
  readonly forms: FormGuard;
  /** All that are declared: what a page does is done by them. */
  readonly routes: readonly Route[];
  /** Null: nobody said where it is. */
  readonly temporalUi: TemporalUi | null;
}

export interface PageSpec {
  /** `web/<view>.eta`. */
  readonly view: string;
  readonly title: string;
  /** The entry of the navigation this belongs to. */
  readonly current: string;
  readonly data: object;
  readonly status?: number;
  /** The stream that says when the page has changed; without one the page has no script. */
  readonly events?: string;
}

export interface Shell {
  /** Sends strangers to the sign-in, and tells others what they lack. */
  readonly needs: (permission: Permission) => RequestHandler;
  readonly show: (req: Request, res: Response, page: PageSpec) => Promise<void>;
  /** After a form: back to a page that says what was done. */
  readonly done: (req: Request, res: Response, to: { readonly path: string; readonly said: string }) => Promise<void>;
  readonly may: (req: Request, permission: Permission) => boolean;
  readonly person: (req: Request) => Person;
  readonly invoke: Invoke;
}

const NAVIGATION: readonly { readonly path: string; readonly text: string; readonly needs: Permission }[] = [
  { path: '/', text: 'Home', needs: 'self.read' },
  { path: '/changes', text: 'Changes', needs: 'change.read' },
  { path: '/zero-days', text: 'Zero-days', needs: 'zeroDay.read' },
  { path: '/approvals', text: 'Approvals', needs: 'approval.decide' },
  { path: '/endpoints', text: 'Endpoints', needs: 'endpoint.read' },
  { path: '/compliance', text: 'Compliance', needs: 'baseline.read' },
  { path: '/closed-loop', text: 'Closed loop', needs: 'closedLoop.read' },
  { path: '/audit', text: 'Audit log', needs: 'audit.read' },
];

/** As for all pages, and besides: our own script, which asks nobody but us. */
const LIVE_POLICY =
  "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
const RELOAD_SECONDS = [20, 60] as const;

/** By itself a session is saved while the reply is on its way: a browser's next request can overtake that. */
const saved = (session: Session): Promise<void> =>
  new Promise((resolve, reject) => {
    session.save((error: unknown) => (error ? reject(error as Error) : resolve()));
  });

export function createShell(deps: ConsoleDeps): Shell {
  const may = (req: Request, permission: Permission): boolean => {
    const person = currentPerson(req);
    return person?.permissions.has(permission) ?? false;
  };

  const show = async (req: Request, res: Response, page: PageSpec): Promise<void> => {
    const person = currentPerson(req);
    const zone = person?.accountId ? await zoneOf(deps.pool, person.accountId) : 'UTC';
    const said = req.session?.flash;
    if (said !== undefined) {
      delete (req.session as { flash?: string }).flash;
      await saved(req.session);
    }
    const every = RELOAD_SECONDS.find((seconds) => req.query.reload === String(seconds)) ?? null;
    const shell = {
      person,
      said: said ?? '',
      troubles: person === null ? [] : troublesOf(await readSetting(deps.pool, HEARTBEAT_KEY), deps.clock()),
      zone,
      current: page.current,
      navigation: NAVIGATION.filter(({ needs }) => may(req, needs)),
      formToken: deps.forms.formToken(req, res),
      events: page.events ?? null,
      // Only for whoever asks for it, and only where no form is being filled in.
      reload: page.events === undefined ? null : { every, path: req.path, seconds: RELOAD_SECONDS[0] },
    };
    const html = renderPage(page.view, {
      ...createTimes({ zone, now: deps.clock() }),
      ...page.data,
      title: page.title,
      shell,
    });
    res.status(page.status ?? 200).set('cache-control', 'no-store');
    if (page.events !== undefined) res.set('content-security-policy', LIVE_POLICY);
    res.type('html').send(html);
  };

  return {
    show,
    may,
    person: (req) => personWith(req, 'self.read'),
    needs: (permission) => async (req, res, next) => {
      if (currentPerson(req) === null) {
        res.redirect(303, req.path === '/' ? '/sign-in' : `/sign-in?next=${encodeURIComponent(req.originalUrl)}`);
      } else if (may(req, permission)) next();
      else {
        const text = `You need the role ${PERMISSIONS[permission]} for this page. An administrator can give it to you.`;
        await show(req, res, {
          view: 'notice',
          title: 'Not for you',
          current: '',
          status: 403,
          data: { text, tone: 'bad', link: { href: '/', text: 'Home' } },
        });
      }
    },
    done: async (req, res, to) => {
      if (req.session !== undefined) {
        req.session.flash = to.said;
        await saved(req.session);
      }
      res.redirect(303, to.path);
    },
    invoke: createInvoke(deps.routes, deps.clock),
  };
}
