/** `npm run demo`: see `demo/README.md`. A whole Ringmaster in a temporary folder, a fleet, and one cycle that waits for a person. */
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { APPROVER, approverOf } from './approver.js';
import { type DemoFleet, realFleet, simulatedFleet } from './fleets.js';
import { startInbox } from './inbox.js';
import { type Installation, install } from './installation.js';

const cli = join(dirname(dirname(fileURLToPath(import.meta.url))), 'cli/main.js');
const USAGE = `Usage: npm run demo -- [options]
  --endpoints N   simulated endpoints (200)
  --real N        instead: N real Debian hosts of the lab; on Debian, as root
  --approve       approves by itself, by the mailed link, instead of waiting for you
  --exit          ends when the cycle has; otherwise it stays for you to look around
  --port N        where to listen if five ports from there are free (8420)`;

const options = readOptions();
const say = (line: string) => process.stdout.write(`${line}\n`);
let installation: Installation | undefined;
let fleet: DemoFleet | undefined;
let inbox: Awaited<ReturnType<typeof startInbox>> | undefined;
let ending: Promise<void> | undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => void end().then(() => process.exit(signal === 'SIGINT' ? 130 : 143)));

try {
  await run();
} catch (error) {
  if (ending === undefined) {
    say(`The demo failed: ${error instanceof Error ? error.message : String(error)}`);
    await end();
    process.exit(1);
  }
}

async function run(): Promise<void> {
  say('Starting PostgreSQL, Temporal, the API and a worker in a temporary folder …');
  const real = options.real !== null;
  installation = await install({ purpose: 'demo', port: options.port, realRepositories: real, say });
  inbox = await startInbox({
    folder: join(installation.dataDir, 'mail'),
    hint: `What Ringmaster mails appears here. Sign in as ${APPROVER.email} with the password “${APPROVER.password}”.`,
    port: 0,
  });
  say(`Console  ${installation.url}   (sign in as ${APPROVER.email}, password “${APPROVER.password}”)`);
  say(`Inbox    ${inbox.url}`);
  const approver = await approverOf(installation, 'seen the evidence of the test ring');
  fleet =
    options.real === null
      ? await simulatedFleet({ installation, endpoints: options.endpoints, say })
      : await realFleet({ installation, hosts: options.real, say });
  const { id } = await installation.api<{ id: string }>('POST', '/v1/changes', fleet.change(approver.rule));
  say(`\nThe cycle has begun: ${installation.url}/changes/${id}`);
  say(
    options.approve
      ? 'When its second ring asks for approval, the demo approves by the mailed link.\n'
      : `When its second ring asks for approval, it waits for you: open the inbox, follow the link, look at the evidence, approve.\n`,
  );
  const [status] = await Promise.all([
    follow(installation, id),
    options.approve ? approver.formOf(id).then((form) => form.approve()) : null,
  ]);
  say('');
  if (status !== 0) throw new Error(`the cycle ended badly; ringmaster cycle watch ended with ${status}`);
  if (options.exit) {
    await end();
    process.exit(0);
  }
  say(`Look around at ${installation.url}; Ctrl-C ends the demo and removes everything it made.`);
  await new Promise(() => undefined);
}

/** Follows the change with the command line's own live view. @returns its exit code */
function follow(it: Installation, changeId: string): Promise<number> {
  const child = spawn(process.execPath, [cli, 'cycle', 'watch', changeId], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, RINGMASTER_URL: it.url, RINGMASTER_TOKEN: it.token },
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

function end(): Promise<void> {
  ending ??= (async () => {
    inbox?.close();
    await fleet?.end();
    await installation?.end();
  })();
  return ending;
}

function readOptions() {
  const refuse = (reason: string): never => {
    console.error(`${reason}\n\n${USAGE}`);
    process.exit(2);
  };
  let values: { endpoints?: string; real?: string; port?: string; approve?: boolean; exit?: boolean; help?: boolean };
  try {
    const text = { type: 'string' } as const;
    const flag = { type: 'boolean' } as const;
    ({ values } = parseArgs({
      options: { endpoints: text, real: text, port: text, approve: flag, exit: flag, help: flag },
    }));
  } catch (error) {
    return refuse((error as Error).message);
  }
  if (values.help === true) {
    console.log(USAGE);
    process.exit(0);
  }
  const whole = (name: string, value: string, from: number, to: number) =>
    /^\d{1,6}$/.test(value) && Number(value) >= from && Number(value) <= to
      ? Number(value)
      : refuse(`--${name} must be a whole number from ${from} to ${to}`);
  return {
    endpoints: whole('endpoints', values.endpoints ?? '200', 20, 20_000),
    real: values.real === undefined ? null : whole('real', values.real, 2, 50),
    port: whole('port', values.port ?? '8420', 1_024, 65_000),
    approve: values.approve === true,
    exit: values.exit === true,
  };
}
