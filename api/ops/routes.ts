import { Router } from 'express';
import type { Pool } from 'pg';
import type { EpochMs } from '../../domain/time.js';
import type { Metrics } from './metrics.js';
import { readiness } from './readiness.js';

/** For whoever runs the installation; no secrets, no permission needed. */
export function opsRoutes(deps: {
  pool: Pool;
  metrics: Metrics;
  clock: () => EpochMs;
  isStopping: () => boolean;
}): Router {
  const router = Router();
  router.get('/healthz', (_req, res) => {
    res.set('cache-control', 'no-store').json({ status: 'alive' });
  });
  router.get('/readyz', async (_req, res) => {
    const { ready, parts } = await readiness({ pool: deps.pool, now: deps.clock() });
    const stopping = deps.isStopping();
    const away = parts.filter((part) => part.state !== 'up').map((part) => part.name);
    res.set('cache-control', 'no-store');
    if (!ready || stopping) res.set('retry-after', '5').status(503);
    res.json({ status: stopping ? 'stopping' : ready ? 'ready' : 'notReady', away, parts });
  });
  router.get('/metrics', async (_req, res) => {
    res.set('content-type', deps.metrics.contentType).send(await deps.metrics.text());
  });
  return router;
}
