/** One span per request, joined to the caller's trace where it sends one (W3C Trace Context). Agents' polls are left out: orders are traced by their events. */
import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import type { Request, RequestHandler } from 'express';

const UNTRACED = /^\/(healthz|readyz|metrics|assets\/|agent\/)/;

/** Costs nothing while no tracer is registered. */
export function traceRequests(): RequestHandler {
  const tracer = trace.getTracer('ringmaster-api');
  return (req, res, next) => {
    if (UNTRACED.test(req.path)) {
      next();
      return;
    }
    const caller = propagation.extract(context.active(), req.headers);
    const span = tracer.startSpan(req.method, { kind: SpanKind.SERVER }, caller);
    res.on('close', () => {
      const route = routeOf(req);
      // Never the URL itself: locators of approval mails and whatever a query holds are nobody's business.
      span.updateName(`${req.method} ${route}`);
      span.setAttributes({
        'http.request.method': req.method,
        'http.route': route,
        'http.response.status_code': res.statusCode,
        ...subjectOf(req),
      });
      if (res.statusCode >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
      span.end();
    });
    context.with(trace.setSpan(caller, span), next);
  };
}

/** The declared path of the route that answered, `unmatched` when none did: a value for labels, so it must not vary. */
export function routeOf(req: Request): string {
  const path: unknown = req.route?.path;
  return typeof path === 'string' ? path : 'unmatched';
}

/** `changeId`, `endpointId`, `orderId` or `approvalId`: what the request is about, as logs and spans of all programs name it. */
export function subjectOf(req: Request): Record<string, string> {
  const match = /^\/(?:v1\/)?(change|endpoint|order|approval)s\/([0-9a-f-]{36})(?:\/|$)/.exec(req.path);
  return match === null ? {} : { [`${match[1]}Id`]: String(match[2]) };
}
