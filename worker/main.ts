/** The worker's composition root: reads the environment, constructs everything, works, and stops cleanly. */

import { fileURLToPath } from 'node:url';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { pino } from 'pino';
import { startTracing, traceFields } from '../adapters/telemetry/tracing.js';
import { createListener } from '../db/listen.js';
import { createPool } from '../db/pool.js';
import { withSecretFiles } from '../db/secret-files.js';
import { TASK_QUEUE } from '../workflows/ids.js';
import { composeActivities } from './activities.js';
import { createTraceLookup, observeActivities } from './activity-observer.js';
import { publishOwnAgent } from './agent-release.js';
import { composeContent } from './content.js';
import { composeDuties } from './duties.js';
import { loadKeys } from './keys.js';
import { startDuties } from './loops.js';
import { orderTracesDuty } from './order-traces.js';
import { untilItWorks } from './retry.js';
import { readSettings } from './settings.js';
import { connectTemporal } from './temporal.js';

const VERSION = '0.1.0';

const settings = readSettings(withSecretFiles(process.env));
const tracing = startTracing({ service: 'ringmaster-worker', version: VERSION, env: process.env });
const log = pino({ name: 'worker', level: process.env.RINGMASTER_LOG_LEVEL ?? 'info', mixin: traceFields });
const clock = () => Date.now();
const stop = new AbortController();
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort(signal));

Runtime.install({
  logger: new DefaultLogger('WARN', ({ level, message, meta }) => log.warn({ level, ...meta }, message)),
  // The runtime's own signal handling would end the process before our duties have stopped.
  shutdownSignals: [],
  telemetryOptions: {
    logging: { filter: 'WARN', forward: {} },
    ...(settings.metricsPort === undefined
      ? {}
      : { metrics: { prometheus: { bindAddress: `127.0.0.1:${settings.metricsPort}` } } }),
  },
});

const pool = createPool({
  url: settings.databaseUrl,
  applicationName: 'ringmaster-worker',
  max: 20,
  onIdleError: ({ message: reason }) => log.warn({ reason }, 'an idle database connection broke'),
});
const listener = createListener({ url: settings.databaseUrl, channels: ['rm_orders', 'rm_outbox', 'rm_mail'], log });
const retry = { log, signal: stop.signal };
const keys = await untilItWorks({
  ...retry,
  what: 'PostgreSQL',
  work: () => loadKeys({ pool, dir: settings.keysDir, now: clock() }),
});
const { store, content, catalogue } = await composeContent({ pool, clock, contentDir: settings.contentDir });
await publishOwnAgent({
  pool,
  store,
  file: fileURLToPath(new URL('../agent-bundle/ringmaster-agent.mjs', import.meta.url)),
  now: clock(),
  log,
}).catch((err: unknown) => log.warn({ err }, 'the agent of this release is not published'));
const temporal = await untilItWorks({
  ...retry,
  what: 'Temporal',
  work: () =>
    connectTemporal({
      address: settings.temporalAddress,
      namespace: settings.temporalNamespace,
      connectNative: (options) => NativeConnection.connect(options),
    }),
});

const duties = startDuties({
  clock,
  log,
  duties: [
    ...composeDuties({ pool, client: temporal.client, catalogue, settings, clock, log, states: () => duties.states() }),
    ...(tracing === null ? [] : [orderTracesDuty({ pool, exporter: tracing.exporter })]),
  ],
});
listener.on('rm_outbox', () => duties.poke('outbox'));
listener.on('rm_mail', () => duties.poke('mail'));

const worker = await Worker.create({
  connection: temporal.native,
  namespace: settings.temporalNamespace,
  taskQueue: TASK_QUEUE,
  workflowBundle: { codePath: fileURLToPath(new URL('../workflow-bundle.js', import.meta.url)) },
  activities: composeActivities({
    pool,
    keys,
    content,
    catalogue,
    settings,
    clock,
    listener,
    wakeMail: () => duties.poke('mail'),
  }),
  interceptors: {
    activity: [observeActivities({ log, traceOf: tracing === null ? null : createTraceLookup(pool) })],
  },
  shutdownGraceTime: '5s',
  // A pump holds its slot for as long as its window is open: slots are cheap, waiting for one is not.
  maxConcurrentActivityTaskExecutions: 400,
});
stop.signal.addEventListener('abort', () => worker.shutdown());
if (stop.signal.aborted) worker.shutdown();
log.info({ temporal: settings.temporalAddress }, 'working');

try {
  await worker.run();
} finally {
  await duties.stop();
  await listener.close();
  await temporal.close();
  await pool.end();
  await tracing
    ?.shutdown()
    .catch((error: Error) => log.warn({ reason: error.message }, 'the last spans were not sent'));
}
log.info('stopped');
