import type { RequestHandler } from 'express';
import { Histogram, type Registry } from 'prom-client';
import { routeOf } from '../http/tracing.js';

/** Anything else below /agent/ is a stranger's invention. */
const AGENT = /^\/agent\/v1\/(?:enrol|poll|inventory|key-set|content|wake)(?=\/|$)/;
const UNMEASURED = /^\/(healthz|readyz|metrics|assets\/)/;

/** How long requests took, by declared route: raw paths would make a time series of every id. */
export function measureRequests(registry: Registry): RequestHandler {
  const seconds = new Histogram({
    name: 'ringmaster_http_request_seconds',
    help: 'Time from the request’s arrival to the end of its reply',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  });
  return (req, res, next) => {
    const { path } = req;
    if (!UNMEASURED.test(path)) {
      const began = performance.now();
      res.on('close', () => {
        // A stream of events is open for as long as somebody looks; that is no time anybody waited.
        if (String(res.getHeader('content-type')).startsWith('text/event-stream')) return;
        const route = AGENT.exec(path)?.[0] ?? routeOf(req);
        seconds.observe(
          { method: req.method, route, status: String(res.statusCode) },
          (performance.now() - began) / 1_000,
        );
      });
    }
    next();
  };
}
