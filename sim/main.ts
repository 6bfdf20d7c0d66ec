/**
 * The fleet simulator's command line. Says on standard output what happens, one JSON object a line (`event`), and obeys
 * commands on standard input (`control.ts`). Ends when its input ends or it is told to, so it never outlives its parent.
 */
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { answer } from './control.js';
import { createFleet, type FleetOptions } from './fleet.js';

const USAGE = `Usage: npm run sim -- --url http://127.0.0.1:8420 --token TOKEN [--token TOKEN …] [options]
  --endpoints N        how many (200)
  --prefix NAME        endpoints are named NAME-<role>-<number> (sim)
  --zone ZONE          IANA time zone of all (Etc/UTC)
  --packages N         installed packages per endpoint (24)
  --connections N      keep-alive connections the fleet shares (64)
  --no-wake            without wake-up channels
  --apply-ms A[-B]     how long a package manager works, spread evenly from A to B (0)
  --fail PERCENT       share of hosts whose package manager stops half way (0)
  --unhealthy PERCENT  share of hosts that are not well after a change (0)
  --offline PERCENT    share of hosts that are never heard again after they enrolled (0)
  --reboot PERCENT     share of hosts that need a reboot (0), which takes --reboot-ms (1000)
  --wake-spread-ms N   how far polls after a wake-up are spread (100)
  --reconnect-spread-ms N  the same after a wake-up channel came up (3000)
  --report-batch-ms N  how long reports gather while work is under way (10000)
  --ca FILE            certificate authority of the server, PEM`;

class BadArguments extends Error {}

try {
  await run(await readOptions(process.argv.slice(2)));
} catch (error) {
  console.error(error instanceof BadArguments ? `${error.message}\n\n${USAGE}` : (error as Error).message);
  process.exit(error instanceof BadArguments ? 2 : 1);
}

async function run(options: FleetOptions): Promise<void> {
  const say = (event: string, fields: object = {}) =>
    process.stdout.write(`${JSON.stringify({ event, at: Date.now(), ...fields })}\n`);
  const fleet = createFleet({
    ...options,
    firstOrder: ({ changeId, kind, at }) => say('firstOrder', { changeId, kind, orderAt: at }),
  });
  const stop = () => {
    fleet.stop();
    say('stopped');
    process.exit(0);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, stop);
  const input = createInterface({ input: process.stdin });
  input.on('line', (line) => {
    if (line.trim() !== '') process.stdout.write(`${answer(fleet, line, () => setImmediate(stop))}\n`);
  });
  input.on('close', stop);
  say('starting', { endpoints: options.endpoints, simulated: true });
  await fleet.start();
  say('enrolled', { endpoints: fleet.stats.enrolled });
}

async function readOptions(args: string[]): Promise<FleetOptions> {
  const text = { type: 'string' } as const;
  let values: ReturnType<typeof parse>;
  const parse = () =>
    parseArgs({
      args,
      options: {
        url: text,
        token: { type: 'string', multiple: true },
        endpoints: text,
        prefix: text,
        zone: text,
        packages: text,
        connections: text,
        'no-wake': { type: 'boolean' },
        'apply-ms': text,
        fail: text,
        unhealthy: text,
        offline: text,
        reboot: text,
        'reboot-ms': text,
        'wake-spread-ms': text,
        'reconnect-spread-ms': text,
        'report-batch-ms': text,
        ca: text,
        help: { type: 'boolean' },
      },
    }).values;
  try {
    values = parse();
  } catch (error) {
    throw new BadArguments((error as Error).message);
  }
  if (values.help === true) {
    console.log(USAGE);
    process.exit(0);
  }
  const number = (name: string, given: string | undefined, fallback: number, most = 1_000_000): number => {
    const value = Number(given ?? fallback);
    if (!(value >= 0 && value <= most))
      throw new BadArguments(`--${name} must be a number from 0 to ${most}, not "${given}"`);
    return value;
  };
  const whole = (name: string, given: string | undefined, fallback: number): number => {
    const value = number(name, given, fallback);
    if (!Number.isInteger(value) || value < 1)
      throw new BadArguments(`--${name} must be a whole number from 1, not "${given}"`);
    return value;
  };
  if (values.url === undefined || !URL.canParse(values.url))
    throw new BadArguments('--url must be the address of the server');
  if (values.token === undefined) throw new BadArguments('--token is missing: make one with POST /v1/join-tokens');
  const [from, to] = (values['apply-ms'] ?? '0').split('-').map(Number);
  if (from === undefined || !(from >= 0) || (to !== undefined && !(to >= from)))
    throw new BadArguments('--apply-ms must look like 500 or 200-800');
  const ca = values.ca === undefined ? {} : { ca: (await import('node:fs')).readFileSync(values.ca, 'utf8') };
  return {
    ...ca,
    url: new URL(values.url),
    tokens: values.token,
    endpoints: whole('endpoints', values.endpoints, 200),
    prefix: values.prefix ?? 'sim',
    zone: values.zone ?? 'Etc/UTC',
    packages: whole('packages', values.packages, 24),
    connections: whole('connections', values.connections, 64),
    wakeUp: values['no-wake'] !== true,
    applyMs: { from, to: to ?? from },
    failPercent: number('fail', values.fail, 0, 100),
    unhealthyPercent: number('unhealthy', values.unhealthy, 0, 100),
    offlinePercent: number('offline', values.offline, 0, 100),
    rebootPercent: number('reboot', values.reboot, 0, 100),
    rebootMs: number('reboot-ms', values['reboot-ms'], 1_000),
    wakeSpreadMs: number('wake-spread-ms', values['wake-spread-ms'], 100),
    reconnectSpreadMs: number('reconnect-spread-ms', values['reconnect-spread-ms'], 3_000),
    reportBatchMs: number('report-batch-ms', values['report-batch-ms'], 10_000),
  };
}
