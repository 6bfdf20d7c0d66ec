/** The worker's composition root: reads the environment, constructs everything, works, and stops cleanly. */

import { fileURLToPath } from 'node:url';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { pino } from 'pino';
import { startTracing, traceFields } from '../adapters/telemetry/tracing.js';
import { createListener } from '../db/listen.js';
import { createPool, type PoolOptions } from '../db/pool.js';
import { withSecretFiles } from '../db/secret-files.js';
import { VERSION } from '../domain/version.js';
import { EXPEDITED_TASK_QUEUE, TASK_QUEUE } from '../workflows/ids.js';
import { CHANGE_KINDS, composeActivities } from './activities.js';
import { createTraceLookup, observeActivities } from './activity-observer.js';
import { ownAgentDuty } from './agent-release.js';
import { baselineDuties } from './baseline-duty.js';
import { communicationDuty } from './communication-duty.js';
import { composeContent } from './content.js';
import { contentGarbageDuty } from './content-garbage.js';
import { composeDuties } from './duties.js';
import { createHooks } from './hooks.js';
import { loadKeys } from './keys.js';
import { lookDuty } from './look.js';
import { startDuties } from './loops.js';
import { noticeDuty } from './notice-duty.js';
import { orderTracesDuty } from './order-traces.js';
import { untilItWorks } from './retry.js';
import { readSettings } from './settings.js';
import { createSigner } from './signer.js';
import { connectTemporal } from './temporal.js';
import { TICKET_DUTIES } from './tickets/duties.js';

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

const connect = (name: string, options: Pick<PoolOptions, 'max' | 'prepare'>) =>
  createPool({
    ...options,
    url: settings.databaseUrl,
    applicationName: `ringmaster-${name}`,
    onIdleError: ({ message: reason }) => log.warn({ reason }, 'an idle database connection broke'),
  });
const pool = connect('worker', { max: 20 });
// For expedited changes alone: a routine pool that is busy can't delay them.
const reserved = connect('worker-expedited', { max: 8 });
// What lets orders out does the same again and again.
const pumps = connect('worker-pumps', { max: 10, prepare: true });
const reservedPumps = connect('worker-expedited-pumps', { max: 4, prepare: true });
const listener = createListener({
  url: settings.databaseUrl,
  channels: ['rm_orders', 'rm_outbox', 'rm_mail', 'rm_tickets'],
  log,
});
const retry = { log, signal: stop.signal };
const keys = await untilItWorks({
  ...retry,
  what: 'PostgreSQL',
  work: () => loadKeys({ pool, dir: settings.keysDir, clock }),
});
const { store, content, catalogue } = await composeContent({ pool, clock, settings });
const ownAgent = await ownAgentDuty({
  pool,
  store,
  file: fileURLToPath(new URL('../agent-bundle/ringmaster-agent.mjs', import.meta.url)),
  clock,
  log,
});
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

const hooks = createHooks({ pool, dir: settings.hooksDir, clock, log });
const duties = startDuties({
  clock,
  log,
  duties: [
    ...composeDuties({
      pool,
      reserved,
      client: temporal.client,
      catalogue,
      settings,
      kinds: CHANGE_KINDS,
      sealingKey: keys.sealing,
      signal: stop.signal,
      clock,
      log,
      states: () => duties.states(),
    }),
    communicationDuty({ pool, clock }),
    ...baselineDuties({ pool, store, signer: createSigner(() => keys.signing), clock }),
    noticeDuty({ pool, clock, publicUrl: settings.publicUrl }),
    keys.duty,
    hooks.duty,
    contentGarbageDuty({ pool, store, clock, log }),
    ownAgent,
    lookDuty({ pool, clock, duties: () => duties }),
    ...(tracing === null ? [] : [orderTracesDuty({ pool, exporter: tracing.exporter })]),
  ],
});
listener.on('rm_outbox', () => {
  duties.poke('outbox-expedited');
  duties.poke('outbox');
});
listener.on('rm_orders', () => duties.poke('hooks'));
listener.on('rm_mail', () => duties.poke('mail'));
listener.on('rm_tickets', () => {
  for (const duty of TICKET_DUTIES) duties.poke(duty);
});

const common = {
  connection: temporal.native,
  namespace: settings.temporalNamespace,
  workflowBundle: { codePath: fileURLToPath(new URL('../workflow-bundle.js', import.meta.url)) },
  interceptors: {
    activity: [observeActivities({ log, traceOf: tracing === null ? null : createTraceLookup(pool) })],
  },
  shutdownGraceTime: '5s',
};
const activitiesOver = (connections: { pool: typeof pool; pumps: typeof pool }) =>
  composeActivities({
    ...connections,
    keys,
    content,
    catalogue,
    settings,
    clock,
    listener,
    wakeMail: () => duties.poke('mail'),
  });
const workers = [
  await Worker.create({
    ...common,
    taskQueue: TASK_QUEUE,
    activities: activitiesOver({ pool, pumps }),
    // A pump holds its slot for as long as its window is open: slots are cheap, waiting for one is not.
    maxConcurrentActivityTaskExecutions: 400,
  }),
  // Slots, threads and connections of its own: however many routine pumps there are, they never take the last.
  await Worker.create({
    ...common,
    taskQueue: EXPEDITED_TASK_QUEUE,
    activities: activitiesOver({ pool: reserved, pumps: reservedPumps }),
    maxConcurrentActivityTaskExecutions: 100,
    maxCachedWorkflows: 100,
    workflowThreadPoolSize: 1,
  }),
];
const shutDown = () => {
  for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
};
stop.signal.addEventListener('abort', shutDown);
log.info({ temporal: settings.temporalAddress }, 'working');

try {
  // One that fails takes the other along: half a worker would look alive.
  const runs = workers.map((worker) => worker.run());
  if (stop.signal.aborted) shutDown();
  const ends = await Promise.allSettled(runs.map((run) => run.finally(() => stop.abort('a worker ended'))));
  const failed = ends.find((end) => end.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
} finally {
  await duties.stop();
  await hooks.stop();
  await listener.close();
  await temporal.close();
  await Promise.all([pool, reserved, pumps, reservedPumps].map((connections) => connections.end()));
  await tracing
    ?.shutdown()
    .catch((error: Error) => log.warn({ reason: error.message }, 'the last spans were not sent'));
}
log.info('stopped');
