/** What the demonstration patches: simulated endpoints, which say so wherever they show, or real hosts of the lab. */
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CATALOGUE, EXTRAS } from '../sim/catalogue.js';
import { type Installation, until } from './installation.js';

const lab = join(dirname(dirname(fileURLToPath(import.meta.url))), 'lab/main.js');

export interface DemoFleet {
  /** What `POST /v1/changes` takes: a test ring, a ring that needs the approval, the rest. */
  change(approval: object): object;
  end(): Promise<void>;
}

interface FleetArgs {
  readonly installation: Installation;
  readonly say: (line: string) => void;
}

export async function simulatedFleet(args: FleetArgs & { readonly endpoints: number }): Promise<DemoFleet> {
  const { installation, endpoints, say } = args;
  await putPolicy(installation, [{ type: 'port', port: 8088 }]);
  say(`Enrolling ${endpoints} simulated endpoints …`);
  // A package manager takes its time: a cycle that is over at once shows nothing.
  const fleet = await installation.startFleet(['--endpoints', String(endpoints), '--apply-ms', '300-1500']);
  await fleet.enrolled;
  const packages = CATALOGUE.filter((one) => one.offered !== null && !EXTRAS.includes(one)).map(({ name }) => name);
  return { change: (approval) => cycle({ approval, packages, maxInFlight: 50 }), end: async () => undefined };
}

/** @throws Error where the lab can't run, with its reason */
export async function realFleet(args: FleetArgs & { readonly hosts: number }): Promise<DemoFleet> {
  const { installation, hosts, say } = args;
  await putPolicy(installation, []);
  say(`Booting ${hosts} real Debian hosts of the lab …`);
  const id = 'demo';
  const env = {
    ...process.env,
    RINGMASTER_DATA: installation.dataDir,
    RINGMASTER_PORT: new URL(installation.url).port,
  };
  await labCommand(['--id', id, 'up', String(hosts)], env);
  const end = () => labCommand(['--id', id, 'down'], env);
  try {
    say('Waiting for their first inventories …');
    await until('the hosts’ inventories', 300, async () => {
      const { items } = await installation.api<{ items: { lastScan: string | null }[] }>(
        'GET',
        '/v1/endpoints?limit=100',
      );
      return items.filter((one) => one.lastScan !== null).length >= hosts;
    });
  } catch (error) {
    await end();
    throw error;
  }
  return { change: (approval) => cycle({ approval, packages: null, maxInFlight: hosts }), end };
}

function labCommand(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const child = spawn(process.execPath, [lab, ...argv], { stdio: ['ignore', 'inherit', 'inherit'], env });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`the lab ended with ${code}`))));
  });
}

const putPolicy = (installation: Installation, healthChecks: readonly object[]) =>
  installation.api('PUT', '/v1/policy-sets/demo', { precedence: 1, document: openAlways(healthChecks) });

/** A policy set for everybody: every hour is an hour of operation. */
export const openAlways = (healthChecks: readonly object[]) => ({
  appliesTo: { all: true },
  hours: { communicate: { always: true }, stage: { always: true }, apply: { always: true } },
  freezeCalendars: [],
  reboot: 'ifNeeded',
  expectedMinutes: 1,
  healthChecks,
  hooks: [],
  stageRateLimit: null,
});

function cycle(args: {
  readonly approval: object;
  /** Null: whatever is offered. */
  readonly packages: readonly string[] | null;
  readonly maxInFlight: number;
}): object {
  const ring = (name: string, sharePercent: number, approvals: readonly object[]) => ({
    name,
    select: { sharePercent },
    maxInFlight: args.maxInFlight,
    errorBudget: { percent: 10 },
    successThresholdPercent: 90,
    minSample: 0,
    soakMinutes: 0,
    approvals,
    deadlineMinutes: 600,
    haltAction: 'pause',
  });
  return {
    kind: 'patch',
    name: 'This month’s updates',
    reason: 'A demonstration',
    scope: { all: true },
    rings: [ring('Test group', 10, []), ring('Early', 30, [args.approval]), ring('Everyone', 100, [])],
    priority: 0,
    deadlineMinutes: 1_200,
    offlineAfterMinutes: 60,
    parameters: {
      ...(args.packages === null ? {} : { include: { packages: args.packages } }),
      confirmMinutes: 5,
      discoverMinutes: 1,
    },
  };
}
