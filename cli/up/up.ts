import { join, relative } from 'node:path';
import { migrate } from '../../db/migrate.js';
import { firstAdminToken } from './admin-token.js';
import { prepareAgent } from './enrol.js';
import { reasonOf, UpError } from './errors.js';
import { firstInventory } from './first-inventory.js';
import { tryHostLock } from './host-lock.js';
import { stopLeftover } from './managed-process.js';
import { readLivePidFile } from './pid-file.js';
import { checkPortsFree, probeHttp, probeTcp } from './probes.js';
import { agentSpec, apiSpec, checkPrograms, PROGRAM_STOP, workerSpec } from './programs.js';
import { type DataFolders, makeDataFolders, type UpSettings } from './settings.js';
import { createStack, type Stack } from './stack.js';
import { startDatabase } from './start-database.js';
import { ensureSearchAttributes, temporalSpec } from './temporal.js';
import { findTemporal } from './temporal-binary.js';

export type UpDeps = Readonly<{
  /** One line for the person at the terminal. */
  say: (line: string) => void;
  /** Settles when a person or the system asks us to end; `again` is called at every further asking. */
  untilAskedToEnd: (again: () => void) => Promise<void>;
}>;

/**
 * `ringmaster up`: brings everything up in `.ringmaster/`, keeps it running, and ends it cleanly when asked to.
 * What an earlier supervisor left running is taken over (PostgreSQL, Temporal) or ended (the rest), so that
 * nothing runs twice. Returns when everything has ended.
 * @throws UpError with the reason, after ending what it had started.
 */
export async function up(settings: UpSettings, deps: UpDeps): Promise<void> {
  checkPlatform();
  checkPrograms(settings.programsDir);
  const folders = makeDataFolders(settings.dataDir);
  const url = `http://${settings.host}:${settings.ports.http}`;
  const lock = await tryHostLock(`up ${folders.data}`, `process ${process.pid}, ${url}`);
  if ('heldBy' in lock) {
    throw new UpError(`Ringmaster is already running with its data in ${folders.data}: ${lock.heldBy}`, [
      'Stop that one first; or set RINGMASTER_DATA and RINGMASTER_PORT to run a second one beside it.',
    ]);
  }
  const stack = createStack(folders.pids, deps.say);
  const asked = deps.untilAskedToEnd(() => void stack.stop());
  try {
    const starting = start({ settings, folders, stack, say: deps.say, url });
    // Whoever asks during the start does not wait for its end; what it does after that is refused by the stack.
    starting.catch(() => {});
    await Promise.race([starting, asked]);
    await asked;
  } finally {
    await stack.stop();
    lock.held.release();
  }
  deps.say('stopped.');
}

function checkPlatform(): void {
  if (process.platform === 'linux') return;
  throw new UpError(`"ringmaster up" runs on Linux only, not on ${process.platform}`, [
    'It finds and ends its own processes through /proc. In a Linux container or virtual machine it works as it is.',
  ]);
}

type StartContext = Readonly<{
  settings: UpSettings;
  folders: DataFolders;
  stack: Stack;
  say: (line: string) => void;
  url: string;
}>;

async function start(context: StartContext): Promise<void> {
  const { settings, folders, say, url } = context;
  const startedAt = performance.now();
  for (const name of ['agent', 'api', 'worker']) {
    if (await stopLeftover(name, PROGRAM_STOP, folders.pids)) say(`ended ${name} of an earlier start`);
  }
  await checkPortsFree([
    { host: settings.host, port: settings.ports.http, use: 'console and API' },
    { host: '127.0.0.1', port: settings.ports.workerMetrics, use: 'metrics of the worker' },
  ]);

  const [urls, temporalAddress] = await allOrFirstFailure([
    timed(startDatabase(context), 'PostgreSQL', say),
    timed(startTemporal(context), 'Temporal', say),
  ]);
  await migrate({ databaseUrl: urls.owner });

  const first = settings.bootstrapToken === undefined ? firstAdminToken(folders.keys) : undefined;
  const adminToken = settings.bootstrapToken ?? first?.token;
  const programs = { settings, folders, urls, temporalAddress };
  await allOrFirstFailure([
    timed(startWorker(context, workerSpec(programs)), 'the worker', say),
    timed(startApi(context, apiSpec(programs, adminToken)), 'the API', say),
  ]);
  const agent = await startAgentSoon(context, adminToken);

  const here = (path: string) => relative(process.cwd(), path) || '.';
  const database = new URL(urls.owner);
  for (const line of [
    `Ringmaster is up after ${((performance.now() - startedAt) / 1000).toFixed(1)} s.`,
    `  console and API  ${url}`,
    `  PostgreSQL       ${database.host}${database.pathname}${settings.databaseUrl ? ' (DATABASE_URL)' : ''}`,
    `  Temporal         ${temporalAddress}${settings.temporalAddress ? ' (TEMPORAL_ADDRESS)' : `, its UI http://127.0.0.1:${settings.ports.temporalUi}`}`,
    `  worker           metrics http://127.0.0.1:${settings.ports.workerMetrics}/metrics`,
    `  agent            ${agent}`,
    `  data             ${here(folders.data)} (logs in ${here(folders.logs)})`,
    ...(first ? ["First start. The administrator's API token, shown this once:", `  ${first.token}`] : []),
    'Ctrl-C stops everything.',
  ]) {
    say(line);
  }
  first?.shown();
  void firstInventory({ agentDir: folders.agent, givenUp: context.stack.isStopping }).then((found) => {
    if (found !== undefined && !context.stack.isStopping()) say(`  this machine     ${found}`);
  });
}

async function startTemporal({ settings, folders, stack, say }: StartContext): Promise<string> {
  const address = settings.temporalAddress ?? `127.0.0.1:${settings.ports.temporal}`;
  const probe = () => ensureSearchAttributes(address, settings.temporalNamespace);
  if (settings.temporalAddress !== undefined) {
    const reason = await probe();
    if (reason === undefined) return address;
    throw new UpError(`cannot use Temporal at TEMPORAL_ADDRESS=${address}: ${reason}`, [
      `It must be reachable, and have the namespace "${settings.temporalNamespace}" (TEMPORAL_NAMESPACE).`,
    ]);
  }
  const { temporal: port, temporalUi: uiPort } = settings.ports;
  const spec = temporalSpec({
    binary: await findTemporal({ kind: 'dev-server', cacheDir: settings.cacheDir, say }),
    port,
    uiPort,
    databaseFile: join(folders.data, 'temporal.db'),
    logFile: join(folders.logs, 'temporal.log'),
    cwd: folders.data,
  });
  await stack.start({
    spec,
    probe,
    timeoutMs: 60_000,
    server: true,
    beforeStart: () =>
      checkPortsFree([
        { host: '127.0.0.1', port, use: 'Temporal' },
        { host: '127.0.0.1', port: uiPort, use: "Temporal's UI" },
      ]),
  });
  return address;
}

async function startWorker({ settings, stack }: StartContext, spec: ReturnType<typeof workerSpec>): Promise<void> {
  await stack.start({ spec, probe: () => probeTcp('127.0.0.1', settings.ports.workerMetrics), timeoutMs: 60_000 });
}

async function startApi({ stack, url }: StartContext, spec: ReturnType<typeof apiSpec>): Promise<void> {
  await stack.start({ spec, probe: () => probeHttp(`${url}/readyz`), timeoutMs: 60_000 });
}

const AGENT_PATIENCE_MS = 5_000;
const AGENT_RETRY_MS = 10_000;

/**
 * A fleet can be run without this machine's agent: its failure is reported, and tried again in the background. At a first
 * start the API may refuse for a moment, until the administrator's token and the worker's keys are in place.
 * @returns what the report says of it.
 */
async function startAgentSoon(context: StartContext, adminToken: string | undefined): Promise<string> {
  const patienceEnds = performance.now() + AGENT_PATIENCE_MS;
  for (;;) {
    try {
      return await startAgent(context, adminToken);
    } catch (error) {
      if (performance.now() < patienceEnds) {
        await sleep(250);
        continue;
      }
      void startAgentLater(context, adminToken);
      return `not yet, will be tried on: ${reasonOf(error)}`;
    }
  }
}

async function startAgentLater(context: StartContext, adminToken: string | undefined): Promise<void> {
  while (!context.stack.isStopping()) {
    await sleep(AGENT_RETRY_MS);
    const done = await startAgent(context, adminToken).catch(() => undefined);
    if (done !== undefined) return context.say(`agent: ${done}`);
  }
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** This machine, scan-only. @throws what keeps it from starting now. */
async function startAgent(
  { settings, folders, stack, url }: StartContext,
  adminToken: string | undefined,
): Promise<string> {
  const config = await prepareAgent({ apiUrl: url, adminToken, agentDir: folders.agent });
  if (!config)
    return 'not enrolled: no join token was made at the first start. Set RINGMASTER_BOOTSTRAP_TOKEN to make one';
  const spec = agentSpec({ settings, folders }, config);
  const probe = async () => (readLivePidFile(folders.pids, spec.name) ? undefined : 'not running');
  await stack.start({ spec, probe, timeoutMs: 5_000 });
  return 'this machine, scan-only';
}

/** Like Promise.all; but the others' failures, which may follow when everything is being stopped, go unnoticed. */
function allOrFirstFailure<T extends readonly Promise<unknown>[]>(promises: readonly [...T]) {
  for (const promise of promises) promise.catch(() => {});
  return Promise.all(promises);
}

/** Says that a step is slow, after two seconds and then every ten. */
async function timed<T>(step: Promise<T>, name: string, say: (line: string) => void): Promise<T> {
  const startedAt = performance.now();
  const tell = () => say(`waiting for ${name} (${Math.round((performance.now() - startedAt) / 1000)} s) …`);
  const first = setTimeout(tell, 2_000);
  const later = setInterval(tell, 10_000);
  try {
    return await step;
  } finally {
    clearTimeout(first);
    clearInterval(later);
  }
}
