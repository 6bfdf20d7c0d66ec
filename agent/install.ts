/** Puts the agent on this host as a systemd service: configuration, runtime, unit, start. */
import { chmodSync, copyFileSync, existsSync, mkdirSync, realpathSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type AgentConfig, DEFAULT_CONFIG_FILE, loadConfig, parseConfig } from './config.js';
import { launcherText } from './self/launcher.js';
import { PACKAGE_DIR, SLOTS_DIR, UNIT, unitText } from './self/unit.js';
import { writeFileDurably } from './system/files.js';
import { run, tail } from './system/run.js';
import { loadIdentity, parseJoinToken } from './transport/identity.js';

const PROGRAM_DIR = '/opt/ringmaster-agent';
/** Programs and unit came with the distribution's package: they are its to place and to update. */
const isPackaged = (): boolean => realpathSync(process.execPath).startsWith(`${PACKAGE_DIR}/`);

export interface InstallArgs {
  /** Null: for later, or only newer programs for an agent that has its configuration. */
  readonly server: { readonly url: string; readonly token: string } | null;
  readonly scanOnly: boolean;
  readonly name: string | null;
  readonly caFile: string | null;
  readonly start: boolean;
}

/**
 * Programs and unit, enabled; with a server also the configuration, and the agent is started and enrolled.
 * Repeating it updates an installed agent. @throws Error that says what was missing or refused.
 */
export async function install(args: InstallArgs): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('install needs root');
  const config = args.server === null ? null : configure(args, args.server);
  if (!isPackaged()) writeUnit(placePrograms());
  if (!existsSync('/run/systemd/system')) return;
  await must(['systemctl', 'daemon-reload']);
  if (!args.start) return;
  await must(['systemctl', 'enable', '--quiet', UNIT]);
  // Without a configuration the unit's condition keeps it from starting, which systemd calls no failure.
  await must(['systemctl', 'restart', UNIT]);
  if (config !== null) await waitForIdentity(config);
}

function configure(args: InstallArgs, server: NonNullable<InstallArgs['server']>): AgentConfig {
  parseJoinToken(server.token);
  const raw = {
    server: server.url,
    joinToken: server.token,
    scanOnly: args.scanOnly,
    ...(args.name === null ? {} : { name: args.name }),
    ...(args.caFile === null ? {} : { caFile: args.caFile }),
  };
  parseConfig(raw, 'arguments');
  for (const dir of ['hooks.d', 'checks.d'])
    mkdirSync(join(dirname(DEFAULT_CONFIG_FILE), dir), { recursive: true, mode: 0o755 });
  writeFileDurably(DEFAULT_CONFIG_FILE, `${JSON.stringify(raw, null, 2)}\n`, 0o600);
  return loadConfig(DEFAULT_CONFIG_FILE);
}

/** Runtime and bundle stay where they are when a package or an image put them there; else they are copied to /opt. */
function placePrograms(): { node: string; bundle: string } {
  const node = realpathSync(process.execPath);
  const bundle = realpathSync(process.argv[1] ?? '');
  if ([node, bundle].every((path) => path.startsWith('/opt/'))) return { node, bundle };
  mkdirSync(PROGRAM_DIR, { recursive: true, mode: 0o755 });
  return { node: copied(node, 'node', 0o755), bundle: copied(bundle, 'ringmaster-agent.mjs', 0o644) };
}

/** By rename: a running agent keeps the file it has open. */
function copied(from: string, name: string, mode: number): string {
  const to = join(PROGRAM_DIR, name);
  if (from === to) return to;
  copyFileSync(from, `${to}.new`);
  chmodSync(`${to}.new`, mode);
  renameSync(`${to}.new`, to);
  return to;
}

function writeUnit(programs: { readonly node: string; readonly bundle: string }): void {
  const launcher = join(PROGRAM_DIR, 'launch');
  writeFileDurably(launcher, launcherText({ ...programs, slots: SLOTS_DIR }), 0o755);
  chmodSync(launcher, 0o755);
  writeFileDurably(join('/etc/systemd/system', UNIT), unitText({ launcher }), 0o644);
}

/** So that `install` says when the token is not good, rather than a log nobody reads. */
async function waitForIdentity(config: AgentConfig): Promise<void> {
  for (let tries = 0; tries < 60; tries++) {
    if (loadIdentity(config.stateDir) !== null) return;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  const { readStatus } = await import('./status.js');
  throw new Error(`installed, but not enrolled yet: ${readStatus(config)?.reason ?? `see journalctl -u ${UNIT}`}`);
}

async function must(argv: readonly string[]): Promise<void> {
  const result = await run(argv, { timeoutMs: 60_000 });
  if (result.code !== 0) throw new Error(`${argv.join(' ')}: ${tail(result.stderr || result.stdout, 400)}`);
}
