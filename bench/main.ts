/** `npm run bench`: see `bench/README.md` for what is measured and how. */
import { writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { openAlways } from '../demo/fleets.js';
import { type Installation, install } from '../demo/installation.js';
import { CATALOGUE, EXTRAS } from '../sim/catalogue.js';
import { bareLoop } from './baseline.js';
import { measureBaselines } from './baselines.js';
import { followCycle, historiesOf, startCycle } from './cycle.js';
import { measureLatencies } from './latencies.js';
import { round, type Usages, usageOf, usedBetween } from './processes.js';
import { idleCost, reconnectStorm } from './storm.js';

const SCENARIOS = ['all', 'cycle', 'latencies', 'reconnect', 'idle', 'baselines'] as const;
type Scenario = (typeof SCENARIOS)[number];

const { values } = parseArgs({
  options: {
    endpoints: { type: 'string', default: '10000' },
    json: { type: 'string' },
    /** `all`: the cycle, then latencies, a reconnect and what an idle fleet costs. */
    scenario: { type: 'string', default: 'all' },
    'max-in-flight': { type: 'string', default: '1000' },
    packages: { type: 'string', default: '24' },
    samples: { type: 'string', default: '15' },
    'idle-seconds': { type: 'string', default: '60' },
  },
});
const endpoints = Number(values.endpoints);
const scenario = values.scenario as Scenario;
if (!Number.isInteger(endpoints) || endpoints < 20 || !SCENARIOS.includes(scenario)) {
  console.error(`--endpoints must be a whole number from 20, --scenario one of ${SCENARIOS.join(', ')}`);
  process.exit(2);
}
const say = (line: string) => console.error(`${new Date().toISOString().slice(11, 19)} ${line}`);
const installation = await install({ purpose: 'bench', say });
// Whoever ends the benchmark ends what it started.
for (const signal of ['SIGTERM', 'SIGINT'] as const)
  process.once(signal, () => void installation.end().finally(() => process.exit(1)));
try {
  const document = openAlways([{ type: 'port', port: 8088 }]);
  await installation.api('PUT', '/v1/policy-sets/bench', { precedence: 1, document });
  const figures = await measure(installation);
  const text = `${JSON.stringify(figures, undefined, 2)}\n`;
  if (values.json === undefined) process.stdout.write(text);
  else writeFileSync(values.json, text);
} finally {
  await installation.end();
}

async function measure(it: Installation): Promise<object> {
  // Of its own: nothing of a fleet at work is in it.
  if (scenario === 'baselines') return measureBaselines(it, endpoints);
  const wants = (one: Scenario) => scenario === 'all' || scenario === one;
  const bare = await bareLoop(it.pool);
  say(`bare loop: ${round(bare, 0)} endpoints/s`);
  const maxInFlight = Number(values['max-in-flight']);

  const enrolBegan = performance.now();
  const fleet = await it.startFleet(['--endpoints', `${endpoints}`, '--packages', `${values.packages}`]);
  await fleet.enrolled;
  const enrolSeconds = (performance.now() - enrolBegan) / 1_000;
  say(`enrolled ${endpoints} in ${round(enrolSeconds, 1)} s`);
  const enrolment = { seconds: round(enrolSeconds), endpointsPerSecond: round(endpoints / enrolSeconds, 0) };

  let cycle: object | null = null;
  let usages: Usages = usageOf(it.pids());
  let endpointsPerSecond: number | null = null;
  let histories: Readonly<Record<string, number>> = {};
  if (wants('cycle')) {
    const before = usageOf(it.pids());
    const routine = CATALOGUE.filter(
      (one) => one.offered !== null && one.name !== 'sim-tzdata' && !EXTRAS.includes(one),
    );
    const change = await startCycle(it, { name: 'cycle', packages: routine.map(({ name }) => name), maxInFlight });
    const followed = await followCycle(it, change);
    usages = usedBetween(before, usageOf(it.pids()));
    histories = await historiesOf(it, change.changeId);
    endpointsPerSecond = round(followed.endpoints / followed.seconds.lastSettled, 1);
    const cpu = Object.values(usages).reduce((sum, one) => sum + one.cpuSeconds, 0);
    cycle = {
      ...followed,
      provenPerSecond: round(followed.endpoints / followed.seconds.closed, 1),
      cpuMsPerEndpoint: round((cpu * 1_000) / followed.endpoints),
      ofBareLoop: round(endpointsPerSecond / bare, 3),
    };
    say(`cycle: ${endpointsPerSecond} endpoints/s, closed after ${followed.seconds.closed} s`);
  }
  const latencies = wants('latencies')
    ? await measureLatencies({ installation: it, fleet, samples: Number(values.samples), maxInFlight })
    : null;
  if (latencies !== null)
    say(
      `zero-day p50 ${latencies.zeroDayMs.p50} ms, pause ${latencies.pauseMs} ms, approval ${latencies.approvalMs} ms`,
    );
  const reconnect = wants('reconnect') ? await reconnectStorm({ installation: it, fleet, endpoints }) : null;
  if (reconnect !== null) say(`reconnected in ${reconnect.seconds} s`);
  const idle = wants('idle') ? await idleCost({ installation: it }, Number(values['idle-seconds'])) : null;
  const lengths = Object.values(histories);
  return {
    endpoints,
    endpointsPerSecond,
    historyEventsPerEndpoint: lengths.length === 0 ? null : round(lengths.reduce((a, b) => a + b, 0) / endpoints, 4),
    largestHistoryEvents: lengths.length === 0 ? null : Math.max(...lengths),
    zeroDayMs: latencies === null ? null : { p50: latencies.zeroDayMs.p50, p99: latencies.zeroDayMs.p99 },
    pauseMs: latencies?.pauseMs ?? null,
    approvalMs: latencies?.approvalMs ?? null,
    cpuSeconds: mapValues(usages, ({ cpuSeconds }) => cpuSeconds),
    rssMiB: mapValues(usages, ({ rssMiB }) => rssMiB),
    bareLoopPerSecond: round(bare, 0),
    enrolment,
    cycle,
    histories,
    latencies,
    reconnect,
    idlePercentOfCore: idle,
    machine: {
      cpu: cpus()[0]?.model,
      cores: cpus().length,
      memoryMiB: Math.round(totalmem() / 1_048_576),
      kernel: release(),
      node: process.version,
    },
    options: { maxInFlight, packages: Number(values.packages), samples: Number(values.samples) },
    at: new Date().toISOString(),
  };
}

function mapValues<T, R>(record: Readonly<Record<string, T>>, map: (value: T) => R): Record<string, R> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}
