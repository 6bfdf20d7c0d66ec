import { randomUUID } from 'node:crypto';
import type { Request } from 'express';
import pino, { type Logger } from 'pino';
import { pinoHttp } from 'pino-http';
import { traceFields } from '../../adapters/telemetry/tracing.js';
import { subjectOf } from './tracing.js';

/** Headers that are, or lead to, secrets. */
const SECRETS = [
  'req.headers.authorization',
  'req.headers.cookie',
  'req.headers["x-api-key"]',
  'req.headers.signature',
  'res.headers["set-cookie"]',
];

export function createLogger(args: { level: string; name: string }): Logger {
  return pino({
    name: args.name,
    level: args.level,
    redact: { paths: SECRETS, censor: '[secret]' },
    mixin: traceFields,
  });
}

/** One line per request, errors louder; probes and agents' polls only when they fail, or they would drown everything. */
export function requestLog(logger: Logger) {
  return pinoHttp({
    logger,
    genReqId: () => randomUUID(),
    customLogLevel: (_req, res, error) => {
      if (error || res.statusCode >= 500) return 'error';
      return res.statusCode >= 400 ? 'warn' : 'info';
    },
    autoLogging: { ignore: (req) => /^\/(healthz|readyz|metrics|assets\/|agent\/)/.test(req.url ?? '') },
    customProps: (req) => subjectOf(req as Request),
    serializers: {
      req: (req: { id: string; method: string; url: string }) => ({
        id: req.id,
        method: req.method,
        // Locators of approval mails and whatever else a query may hold stay out of the log.
        url: req.url.replace(/\?.*$/s, '?…').replace(/^(\/approvals\/)[^/]+/, '$1…'),
      }),
      res: (res: { statusCode: number }) => ({ status: res.statusCode }),
    },
  });
}
