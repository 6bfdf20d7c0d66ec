/** Puts the web tier together: who may reach what, in which order. Constructs no connection and reads no environment. */
import { join } from 'node:path';
import express, { type Express, type Request, type Router } from 'express';
import helmet from 'helmet';
import type { Pool } from 'pg';
import type { Logger } from 'pino';
import type { EpochMs } from '../domain/time.js';
import { bearerAuthentication, sessionAuthentication } from './auth/authenticate.js';
import { createFormGuard, type FormGuard } from './auth/csrf.js';
import { signInPages } from './auth/pages.js';
import { sessionMiddleware } from './auth/sessions.js';
import type { ApiDeps } from './deps.js';
import { docsRoutes } from './docs/routes.js';
import { agentErrorMembers, type GatewayDeps, gatewayRoutes } from './gateway/routes.js';
import { errorHandler, nothingHere, sayRequestId } from './http/errors.js';
import { createIdempotency } from './http/idempotency.js';
import { requestLog } from './http/logger.js';
import { mountRoutes } from './http/mount.js';
import { openApiDocument } from './http/openapi.js';
import { renderPage, webDirectory } from './http/pages.js';
import type { Problem } from './http/problem.js';
import { addressLimit, personLimit, type RateLimits } from './http/rate-limit.js';
import type { Route } from './http/route.js';
import { traceRequests } from './http/tracing.js';
import { isUrgent } from './http/urgent.js';
import type { LiveHub } from './live/hub.js';
import { liveRoutes } from './live/routes.js';
import { createAggregateCache } from './ops/aggregates.js';
import { createMetrics } from './ops/metrics.js';
import { opsRoutes } from './ops/routes.js';
import { consolePages } from './pages/index.js';
import type { TemporalUi } from './pages/shell.js';
import { resourceRoutes } from './resources.js';
import { ticketHooks } from './ticket-systems/hooks.js';
import { ticketSystemRoutes } from './ticket-systems/routes.js';

const stylesheet = join(webDirectory, 'page.css');
const liveScript = join(webDirectory, 'live.js');

/** What pages and routes that live elsewhere are given when they are plugged in. */
export interface PlugContext {
  readonly pool: Pool;
  readonly clock: () => EpochMs;
  readonly logger: Logger;
  readonly forms: FormGuard;
}

export interface Plug {
  /** Routes below /v1: validated, permission-checked and in the OpenAPI document like all others. */
  readonly routes?: readonly Route[];
  /** Pages at the root, behind sessions; they render with `renderPage` and guard their forms with `forms`. */
  readonly pages?: Router;
}

export interface AppDeps {
  readonly api: ApiDeps;
  readonly gateway: GatewayDeps;
  /** What streams of events are told by. */
  readonly live: LiveHub;
  readonly logger: Logger;
  readonly version: string;
  /** Signs cookies and forms. */
  readonly webSecret: string;
  readonly isStopping: () => boolean;
  /** Endpoints that hold a wake-up channel to this process. */
  readonly wakeable: () => number;
  readonly rateLimits: RateLimits;
  /** For tests: a reply that is not what its route declares is an error. */
  readonly checkReplies?: boolean;
  /** As express takes it: hops, addresses, or false. */
  readonly trustProxy: boolean | number | string;
  /** Where people look at workflows; null: nobody said. */
  readonly temporalUi: TemporalUi | null;
  /** Approvals and whatever else brings routes or pages of its own. */
  readonly plugs: readonly ((context: PlugContext) => Plug)[];
}

export function createApp(deps: AppDeps): Express {
  const { api, logger } = deps;
  const { pool, clock } = api;
  const forms = createFormGuard(deps.webSecret);
  const plugs = deps.plugs.map((plug) => plug({ pool, clock, logger, forms }));
  const routes = [
    ...resourceRoutes(api),
    ...ticketSystemRoutes({ pool, webSecret: deps.webSecret }),
    ...liveRoutes({ pool, clock, logger, hub: deps.live }),
    ...plugs.flatMap((plug) => plug.routes ?? []),
  ];

  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('trust proxy', deps.trustProxy);
  app.set('query parser', 'simple');
  const cache = createAggregateCache({ pool, clock });
  const pools = [pool, api.reserved, deps.gateway.polls];
  const metrics = createMetrics({ cache, pools, clock, wakeable: deps.wakeable });
  app.use(metrics.measure);
  // Before all that is for people: nine requests in ten are agents', and neither log line, trace nor browser's header is for them.
  app.use('/agent/v1', gatewayRoutes(deps.gateway));
  app.use(traceRequests());
  app.use(requestLog(logger));
  app.use(sayRequestId);
  app.use(securityHeaders());

  app.use(opsRoutes({ pool, metrics, clock, isStopping: deps.isStopping }));
  app.use('/hooks', addressLimit(deps.rateLimits));
  app.use('/hooks/tickets', ticketHooks({ pool, clock, webSecret: deps.webSecret }));

  app.get('/assets/page.css', (_req, res) => void res.set('cache-control', 'max-age=300').sendFile(stylesheet));
  app.get('/assets/live.js', (_req, res) => void res.set('cache-control', 'max-age=300').sendFile(liveScript));
  const document = openApiDocument(routes, deps.version);
  app.use(docsRoutes());
  app.get('/v1/openapi.json', (_req, res) => void res.json(document));

  const poolFor = (req: Request) => (isUrgent(req) ? api.reserved : pool);
  app.use('/v1', addressLimit(deps.rateLimits));
  app.use(bearerAuthentication({ poolFor, clock }));
  app.use(sessionMiddleware({ pool, secret: deps.webSecret, logger }));
  app.use(sessionAuthentication({ poolFor }));
  app.use('/v1', personLimit(deps.rateLimits));
  const idempotency = createIdempotency({ poolFor, secret: deps.webSecret, logger });
  app.use(mountRoutes(routes, { db: pool, clock, idempotency, checkReplies: deps.checkReplies ?? false }));
  app.use(signInPages({ pool, forms, clock }));
  app.use(consolePages({ pool, clock, forms, routes, temporalUi: deps.temporalUi }));
  for (const { pages } of plugs) if (pages !== undefined) app.use(pages);

  app.use(nothingHere);
  app.use(
    errorHandler({
      logger,
      decorate: (req, problem) => (req.path.startsWith('/agent/') ? agentErrorMembers(clock, problem) : {}),
      page: troublePage,
    }),
  );
  return app;
}

/** What a browser shows when a page can't be made. Programs, and whoever takes anything, get the problem document. */
function troublePage(req: Request, problem: Problem): string | null {
  const { accept } = req.headers;
  const forPrograms = /^\/(v1|agent|hooks)\//.test(req.path) || accept === undefined || !accept.includes('text/html');
  if (forPrograms || req.accepts(['html', 'json']) !== 'html') return null;
  const link = req.method === 'GET' ? { href: req.originalUrl, text: 'Try again' } : { href: '/', text: 'Home' };
  return renderPage('notice', { title: problem.options.title, text: `${problem.message}.`, tone: 'bad', link });
}

/** Pages load their own style sheet, post to us, and nothing else; only pages that stay up to date allow our one script. */
function securityHeaders() {
  return helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        styleSrc: ["'self'"],
        imgSrc: ["'self'"],
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
        baseUri: ["'none'"],
      },
    },
    // Whoever serves us over TLS decides for how long; saying it over plain HTTP means nothing.
    strictTransportSecurity: false,
    // Not `no-referrer`: browsers then send `Origin: null` with our own forms, as a foreign page's would.
    referrerPolicy: { policy: 'same-origin' },
  });
}
