/** The web tier's composition root: reads the environment, constructs everything, serves, and stops cleanly. */
import { createServer } from 'node:http';
import { join } from 'node:path';
import { startTracing } from '../adapters/telemetry/tracing.js';
import { ensureBootstrapToken } from '../db/identity/bootstrap.js';
import { createListener } from '../db/listen.js';
import { haltAll, haltChange, retireEndpoint, takeOfferBatch, takeReportBatch } from '../db/orders/index.js';
import { createPool, type PoolOptions } from '../db/pool.js';
import { withSecretFiles } from '../db/secret-files.js';
import { VERSION } from '../domain/version.js';
import { createApp } from './app.js';
import { approvalPages } from './approvals/pages.js';
import { webSecret } from './auth/sessions.js';
import { parseParameters } from './changes/parameters.js';
import { createSeenBuffer } from './gateway/seen-buffer.js';
import { createVerifier } from './gateway/signed.js';
import { createWakeHub, WAKE_CHANNEL } from './gateway/wake.js';
import { createLogger } from './http/logger.js';
import { answerParserErrors } from './http/parser-errors.js';
import { createLiveHub, LIVE_CHANNELS } from './live/hub.js';
import { readSettings } from './settings.js';

/** Requests under way get this long once we are told to stop. */
const DRAIN_MS = 8_000;

const settings = settingsOrExit();
const tracing = startTracing({ service: 'ringmaster-api', version: VERSION, env: process.env });
const logger = createLogger({ level: settings.logLevel, name: 'api' });
const clock = (): number => Date.now();
let stopping = false;

const connect = (name: string, options: Pick<PoolOptions, 'max' | 'byKey'>) =>
  createPool({
    ...options,
    url: settings.databaseUrl,
    applicationName: `ringmaster-${name}`,
    statementTimeoutMs: 30_000,
    onIdleError: ({ message: reason }) => logger.warn({ reason }, 'an idle database connection broke'),
  });
const pool = connect('api', { max: settings.poolSize });
// Stops and zero-days never wait for a connection that routine requests hold.
const reserved = connect('api-reserved', { max: 3 });
// However many agents poll, people's pages have connections.
const polls = connect('api-polls', { max: settings.poolSize, byKey: true });
const verifier = createVerifier({ pool: polls, clock });
const seen = createSeenBuffer({ pool, logger });
const listener = createListener({ url: settings.databaseUrl, channels: [WAKE_CHANNEL, ...LIVE_CHANNELS], log: logger });
const wake = createWakeHub({ listener, verifier, logger });
const live = createLiveHub({ pool, listener, clock, logger });

const app = createApp({
  api: { pool, reserved, clock, stops: { haltChange, haltAll }, retireEndpoint, parseParameters },
  gateway: {
    pool,
    polls,
    clock,
    logger,
    verifier,
    seen,
    orders: { takeReportBatch, takeOfferBatch },
    isWakeable: wake.isWakeable,
    idlePollSeconds: settings.idlePollSeconds,
    random: Math.random,
    contentDirectory: join(settings.dataDirectory, 'content'),
  },
  live,
  logger,
  version: VERSION,
  webSecret: webSecret({ fromEnvironment: settings.webSecret, dataDirectory: settings.dataDirectory }),
  isStopping: () => stopping,
  wakeable: wake.count,
  rateLimits: settings.rateLimits,
  trustProxy: settings.trustProxy,
  temporalUi: settings.temporalUi,
  plugs: [(context) => ({ pages: approvalPages(context) })],
});

const server = createServer(app);
answerParserErrors(server);
wake.attach(server);
server.on('error', (error) => {
  logger.fatal({ err: error }, `can't listen on ${settings.host}:${settings.port}`);
  process.exitCode = 1;
  void stop('listen');
});
server.listen(settings.port, settings.host, () => {
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : settings.port;
  logger.info({ host: settings.host, port }, `listening on http://${settings.host}:${port}`);
});
void putBootstrapToken(settings.bootstrapToken);

/** A program that is told something wrong says what, without a stack. */
function settingsOrExit() {
  try {
    return readSettings(withSecretFiles(process.env));
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exit(1);
  }
}

/** Tries until the database is there: a server that starts before it must still end up with its administrator. */
async function putBootstrapToken(token: string | null): Promise<void> {
  if (token === null) return;
  for (let pause = 250; !stopping; pause = Math.min(5_000, pause * 2)) {
    try {
      await ensureBootstrapToken(pool, { token, now: clock() });
      return;
    } catch (error) {
      logger.warn({ err: error }, 'the bootstrap token is not in place yet; will try again');
      await new Promise((resolve) => setTimeout(resolve, pause).unref());
    }
  }
}

async function stop(reason: string): Promise<void> {
  if (stopping) return;
  stopping = true;
  logger.info({ reason }, 'stopping');
  const hard = setTimeout(() => {
    logger.warn('requests did not end in time; leaving them');
    process.exit(process.exitCode ?? 0);
  }, DRAIN_MS);
  hard.unref();
  live.close();
  await wake.close();
  await listener.close();
  if (server.listening) {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeIdleConnections();
    await closed;
  }
  await seen.close();
  await Promise.all([pool.end(), polls.end(), reserved.end()]);
  await tracing
    ?.shutdown()
    .catch((error: Error) => logger.warn({ reason: error.message }, 'the last spans were not sent'));
  logger.info('stopped');
  process.exit(process.exitCode ?? 0);
}

process.on('SIGTERM', () => void stop('SIGTERM'));
process.on('SIGINT', () => void stop('SIGINT'));
