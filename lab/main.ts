// `npm run lab -- …`: the lab from the command line. `up` leaves one process behind, which serves the hosts' relay and
// hears their magic packets until `down`.
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { Command } from 'commander';
import type { AgentInstall } from './agent-install.js';
import { type DebMode, debModes } from './deb.js';
import { type Lab, openLab, upLab } from './lab.js';
import { isAlive } from './process.js';
import { LabUnavailable, requireLab } from './requirements.js';
import { checkLabId, controllerLog, labIds, readState } from './state.js';
import { teardown } from './teardown.js';

const program = new Command('lab').description('Real Debian hosts in namespaces, for tests.').enablePositionalOptions();
program.option('--id <id>', 'which lab, when several run side by side', process.env.LAB_ID ?? 'lab');
const labId = () => checkLabId(String(program.opts<{ id: string }>().id));

program
  .command('up <count>')
  .description('boot hosts 1 to <count>')
  .option('--zone <host=zone...>', 'time zones, like 2=Europe/Berlin', [])
  .option('--sync', 'dpkg syncs to disk, as before a power cut it should')
  .option('--gateway-url <url>', "enrol with this server, not this checkout's (the machine is 'gateway' to the hosts)")
  .option('--token <token>', "the agents' join token")
  .action(async (count: string) => {
    requireLab();
    checkCount(count);
    await startController(process.argv.slice(process.argv.indexOf('up') + 1));
  });

program
  .command('_serve <count>', { hidden: true })
  .option('--zone <host=zone...>', '', [])
  .option('--sync')
  .option('--gateway-url <url>')
  .option('--token <token>')
  .action(async (count: string, options: UpOptions) => {
    const agent = agentOf(options);
    const lab = await upLab(checkCount(count), {
      id: labId(),
      zoneByHost: zonesOf(options.zone),
      unsafeIo: options.sync !== true,
      log: say,
    });
    await printStatus(lab);
    say(await import('./enrol.js').then(({ provideAgents }) => provideAgents(lab, agent)).catch(removing(lab)));
    say(ready);
    process.on('SIGTERM', () => process.exit(0)); // `down` ends us, then removes the rest
    setInterval(() => {}, 2 ** 30);
  });

program
  .command('enrol')
  .description("enrol the hosts' agents with the Ringmaster that npm start runs")
  .action(async () => {
    const lab = await openLab(labId());
    const controller = readState(lab.id)?.controller;
    if (controller === undefined || !isAlive(controller)) throw new Error(`lab ${lab.id}: ${orphaned}`);
    const { enrolHosts } = await import('./enrol.js');
    say(await enrolHosts(lab));
  });

program
  .command('exec <host> <command...>')
  .description('run a command in a host, as root: exec 1 -- apt-get update')
  .passThroughOptions()
  .action(async (host: string, command: string[]) => {
    const lab = await openLab(labId());
    const [file = '', ...args] = lab.enterArgv(Number(host), command[0] === '--' ? command.slice(1) : command);
    const child = spawn(file, args, { stdio: 'inherit' });
    child.on('exit', (code) => {
      process.exitCode = code ?? 1;
    });
  });

const powerCommands: Record<string, [string, (lab: Lab, host: number) => Promise<void>]> = {
  reboot: ['restart in order', (lab, host) => lab.reboot(host)],
  'cut-power': ['kill the whole host at once', (lab, host) => lab.cutPower(host)],
  off: ['shut down in order', (lab, host) => lab.off(host)],
  on: ['press the power button', (lab, host) => lab.on(host)],
  wake: ['send the magic packet', (lab, host) => lab.wake(host)],
};
for (const [name, [description, act]] of Object.entries(powerCommands))
  program
    .command(`${name} <host>`)
    .description(description)
    .action(async (host: string) => act(await openLab(labId()), Number(host)));

program
  .command('publish <name> <version> [mode]')
  .description(`publish a test package in the lab's repository: ${debModes.join(' | ')}`)
  .action(async (name: string, version: string, mode = 'good') => {
    if (!debModes.includes(mode as DebMode)) throw new RangeError(`mode ${mode}: one of ${debModes.join(', ')}`);
    const lab = await openLab(labId());
    for (const deb of await lab.repo.publish([{ name, version, mode: mode as DebMode }]))
      say(`${deb.name} ${deb.version} sha256:${deb.sha256}`);
  });

program
  .command('status')
  .description('hosts and what they are doing')
  .action(async () => {
    for (const id of labIds()) await printStatus(await openLab(id));
  });

program
  .command('down')
  .description('end all hosts and leave nothing behind')
  .action(async () => {
    await teardown(labId());
    say(`lab ${labId()} is gone`);
  });

type UpOptions = { zone: string[]; sync?: boolean; gatewayUrl?: string; token?: string };

const ready = '-- up --';
const orphaned = 'its controller is gone: run down';
const say = (line: string) => process.stdout.write(`${line}\n`);

/** Runs `_serve` detached, shows what it says until the hosts are up, and leaves it running. */
async function startController(args: readonly string[]): Promise<void> {
  const file = controllerLog(labId());
  const log = openSync(file, 'w');
  const argv = [process.argv[1] ?? '', '--id', labId(), '_serve', ...args];
  const child = spawn(process.execPath, argv, { detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  const reader = openSync(file, 'r'); // still readable when a failing controller removes it
  let exit: number | null | undefined;
  child.on('exit', (code) => {
    exit = code ?? 1;
  });
  for (;;) {
    const ended = exit !== undefined; // asked before reading, so that nothing said last is missed
    const said = readFileSync(reader, 'utf8'); // what was written since
    process.stdout.write(said.replace(`${ready}\n`, ''));
    if (said.includes(ready)) break;
    if (ended) {
      process.exitCode = exit ?? 1;
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  child.unref();
}

async function printStatus(lab: Lab): Promise<void> {
  const state = readState(lab.id);
  const orphan = state !== undefined && !isAlive(state.controller) ? ` (${orphaned})` : '';
  const server = lab.server === undefined ? '' : `, server ${lab.server.host}:${lab.server.port}`;
  say(`lab ${lab.id}: gateway ${lab.gatewayAddress}, relay and repository ${lab.relayUrl}/lab${server}${orphan}`);
  for (const h of lab.status())
    say(`  ${h.name.padEnd(8)} ${h.power.padEnd(4)} ${h.address.padEnd(14)} ${h.mac} ${h.zone}`);
}

/** A lab that did not become what was asked for goes again; what went wrong first is what the caller must see. */
const removing = (lab: Lab) => async (error: unknown) => {
  await lab.down().catch(() => {});
  throw error;
};

function checkCount(count: string): number {
  if (!/^\d+$/.test(count)) throw new RangeError(`count ${JSON.stringify(count)} is not a number`);
  return Number(count);
}

function zonesOf(pairs: readonly string[]): Record<number, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const match = /^(\d+)=([A-Za-z0-9_+/-]+)$/.exec(pair);
      if (match === null) throw new RangeError(`--zone ${JSON.stringify(pair)} is not like 2=Europe/Berlin`);
      return [Number(match[1]), match[2] ?? ''];
    }),
  );
}

function agentOf(options: UpOptions): AgentInstall | undefined {
  if (options.gatewayUrl === undefined) return undefined;
  if (options.token === undefined) throw new RangeError('--gateway-url needs --token');
  return { gatewayUrl: options.gatewayUrl, joinToken: options.token };
}

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof LabUnavailable ? 69 : 1; // 69: a service is unavailable, by sysexits.h
}
