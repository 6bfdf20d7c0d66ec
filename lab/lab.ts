// A lab: N real Debian hosts with systemd, on a network of their own, patched from today's archive and a repository of ours.
import { randomInt } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildBase, labCacheDir } from './base.js';
import { type Forward, startForward, type Target } from './forward.js';
import * as host from './host.js';
import { raiseInotifyLimit } from './inotify.js';
import { withLock } from './lock.js';
import * as network from './network.js';
import { identify, mustRun, type RunOptions, type RunResult, waitUntil } from './process.js';
import { type Relay, type RelayStats, startRelay } from './relay.js';
import { LabRepository, repoKeyringInHost, repoSourceLine } from './repo.js';
import { requireLab } from './requirements.js';
import { hostUpstreams } from './sources.js';
import { checkLabId, type HostState, type LabState, labDir, readState, writeState } from './state.js';
import { labLock, leftovers, removeDeadLabs, teardown } from './teardown.js';
import { listenForWake, sendMagicPacket, type WakeListener } from './wake.js';

/** The proxy's port on the bridge. */
const relayPort = 3142;
/** Leads from the bridge to a Ringmaster on this machine. Not its own port: one that listens everywhere must find that free. */
const gatewayPort = 3143;

export type LabOptions = {
  /** 1 to 7 of a-z and 0-9; labs with different ids run side by side. LAB_ID, else a random one. */
  id?: string;
  /** IANA zone by host number (from 1); UTC for the others. */
  zoneByHost?: Readonly<Record<number, string>>;
  /** Whether hosts, and dpkg in them, may skip syncing to disk (fast, the default). Say false where the power is cut. */
  unsafeIo?: boolean;
  /** Where progress is told; nowhere by default. */
  log?: (line: string) => void;
};

/** A host as others see it. */
export type LabHost = { index: number; name: string; address: string; mac: string; zone: string };

export type HostStatus = LabHost & { power: 'on' | 'off' };

/** A running lab. Made by `upLab`, or by `openLab` for one that another process made. */
export class Lab {
  readonly id: string;
  /** The lab's own apt repository. */
  readonly repo: LabRepository;

  private constructor(
    private readonly state: LabState,
    architecture: string,
    private readonly services: { relay: Relay; forward: Forward; wake: WakeListener } | undefined,
  ) {
    this.id = state.id;
    this.repo = new LabRepository(join(labDir(state.id), 'repo'), architecture);
  }

  /** Use `upLab`. */
  static async start(count: number, options: LabOptions): Promise<Lab> {
    requireLab();
    if (!Number.isInteger(count) || count < 1 || count > network.maxHosts)
      throw new RangeError(`number of hosts: ${count} is not in 1 to ${network.maxHosts}`);
    const id = checkLabId(options.id ?? process.env.LAB_ID ?? randomInt(36 ** 5).toString(36));
    const log = options.log ?? (() => {});
    const base = await buildBase();
    if (base.builtInMs > 0) log(`base built in ${(base.builtInMs / 1000).toFixed(1)} s`);
    const state = await reserve({ id, count, options, layers: base.layers });
    try {
      const lab = await Lab.furnish(state, base.architecture);
      for (const { index } of state.hosts)
        host.createDisk({ id, index, zone: lab.host(index).zone, files: lab.hostFiles(index, options) });
      await Promise.all(state.hosts.map((h) => lab.boot(h.index)));
      return lab;
    } catch (error) {
      await teardown(id).catch(() => {}); // what went wrong first is what the caller must see
      throw error;
    }
  }

  /** Use `openLab`. */
  static async open(id: string): Promise<Lab> {
    const state = readState(checkLabId(id));
    if (state === undefined) throw new Error(`there is no lab ${id}; help: npm run lab -- up 10`);
    const architecture = (await mustRun(['dpkg', '--print-architecture'])).trim();
    return new Lab(state, architecture, undefined);
  }

  /** Network, repository and services, before any host runs. */
  private static async furnish(state: LabState, architecture: string): Promise<Lab> {
    await network.createNetwork(state);
    mkdirSync(host.shareDir(state.id), { recursive: true });
    const repository = new LabRepository(join(labDir(state.id), 'repo'), architecture);
    await repository.create();
    const relay = await startRelay({
      address: network.bridgeAddress(state.subnet),
      port: state.relayPort,
      cacheDir: join(labCacheDir(), 'relay'),
      upstreams: await hostUpstreams(),
      repositoryDir: repository.publicDir,
    });
    const forward = await startForward({
      address: network.bridgeAddress(state.subnet),
      port: state.gatewayPort,
      target: () => readState(state.id)?.server, // another process may have written it since
    });
    let lab: Lab | undefined;
    const wake = await listenForWake(network.broadcastAddress(state.subnet), (mac) => {
      const woken = state.hosts.find((h) => h.mac === mac);
      if (woken !== undefined) lab?.on(woken.index).catch(() => {}); // the sender waits for the host, not for us
    });
    lab = new Lab(state, architecture, { relay, forward, wake });
    return lab;
  }

  get hosts(): LabHost[] {
    return this.state.hosts.map((h) => this.host(h.index));
  }

  /** @throws RangeError when the lab has no such host. */
  host(index: number): LabHost {
    const found = this.state.hosts.find((h) => h.index === index);
    if (found === undefined) throw new RangeError(`the lab has hosts 1 to ${this.state.hosts.length}, not ${index}`);
    return { index, name: `host${index}`, address: found.address, mac: found.mac, zone: found.zone };
  }

  /** The machine's address on the lab's bridge: listen here to be reached by the hosts (they know it as `gateway`). */
  get gatewayAddress(): string {
    return network.bridgeAddress(this.state.subnet);
  }

  /** Where hosts reach the Ringmaster on this machine that `setServer` named. */
  get gatewayUrl(): string {
    return `http://gateway:${this.state.gatewayPort}`;
  }

  /** What `gatewayUrl` leads to, if anything yet. */
  get server(): Target | undefined {
    return readState(this.id)?.server;
  }

  /** Lets `gatewayUrl` lead to a server that listens on this machine, perhaps on the loopback address only. */
  setServer(server: Target): void {
    const state = readState(this.id);
    if (state === undefined) throw new Error(`there is no lab ${this.id}`);
    writeState({ ...state, server });
  }

  /** Base URL of the relay; `/lab` below it is the lab's repository, `/debian`, `/debian-updates`, `/debian-security` the archive's. */
  get relayUrl(): string {
    return `http://${this.gatewayAddress}:${this.state.relayPort}`;
  }

  /** What the relay served since the start; undefined when another process runs it. */
  get relayStats(): RelayStats | undefined {
    return this.services?.relay.stats;
  }

  /** A folder outside that every host sees, read-only, as `/opt/lab`. */
  get shareDir(): string {
    return host.shareDir(this.id);
  }

  /** Runs a command as root in a host; its exit code is a result. @throws HostIsOff, CommandTimedOut */
  exec(index: number, argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return host.execInHost({ id: this.id, index: this.host(index).index }, argv, options);
  }

  /** As `exec`, but an exit code other than 0 throws; returns standard output. @throws Error with the output's end */
  async must(index: number, argv: readonly string[], options: RunOptions = {}): Promise<string> {
    return mustRun(host.enterArgv(this.id, this.host(index).index, argv), options);
  }

  /** The command to spawn for an interactive `exec`. @throws HostIsOff */
  enterArgv(index: number, argv: readonly string[]): string[] {
    return host.enterArgv(this.id, this.host(index).index, argv);
  }

  /** Puts a file (a path of ours, or bytes) into a running host; folders are made. `mode` like 0o644. */
  async push(index: number, from: string | Buffer, remotePath: string, mode = 0o644): Promise<void> {
    const stdin = typeof from === 'string' ? readFileSync(from) : from;
    const script = 'mkdir -p "$(dirname "$1")"; cat >"$1.new"; chmod "$2" "$1.new"; mv "$1.new" "$1"';
    await this.must(index, ['sh', '-ec', script, 'sh', remotePath, mode.toString(8)], { stdin });
  }

  /** Bytes of a file of a running host. @throws Error when it cannot be read. */
  async read(index: number, path: string): Promise<Buffer> {
    const { code, stdout, stderr } = await host.execForBytes({ id: this.id, index: this.host(index).index }, [
      'cat',
      '--',
      path,
    ]);
    if (code !== 0) throw new Error(`host ${index}: ${stderr.toString('utf8').trim()}`);
    return stdout;
  }

  /** Tells one boot from the next; undefined while off. */
  bootMark(index: number): number | undefined {
    return host.bootMark(this.id, this.host(index).index);
  }

  isOn(index: number): boolean {
    return host.isOn(this.id, this.host(index).index);
  }

  status(): HostStatus[] {
    return this.hosts.map((h) => ({ ...h, power: this.isOn(h.index) ? 'on' : 'off' }));
  }

  /** Restarts in order; resolves when the host is up again. @throws HostIsOff */
  reboot(index: number): Promise<void> {
    return host.rebootHost(this.id, this.host(index).index);
  }

  /** Kills the whole host at once, as a power failure does; its disk keeps what was written. */
  cutPower(index: number): Promise<void> {
    return host.cutPower(this.id, this.host(index).index);
  }

  /** Shuts down in order; resolves when the host is off. */
  off(index: number): Promise<void> {
    return host.shutDown(this.id, this.host(index).index);
  }

  /** Presses the power button; resolves when the host has booted. */
  async on(index: number): Promise<void> {
    await this.boot(this.host(index).index);
  }

  /** Broadcasts the host's magic packet and waits until it has booted. Needs the lab's controller, which hears it. */
  async wake(index: number): Promise<void> {
    const { mac } = this.host(index);
    await sendMagicPacket({
      mac,
      broadcast: network.broadcastAddress(this.state.subnet),
      from: this.gatewayAddress,
    });
    await waitUntil(`host ${index} waking`, 10_000, () => this.isOn(index));
    await host.waitBooted(this.id, index);
  }

  /** Pulls the network cable of a running host, or puts it back. */
  setCable(index: number, plugged: boolean): Promise<void> {
    return network.setCable(this.id, this.host(index).index, plugged);
  }

  /** Ends and removes everything. @throws LabLeftovers when something stayed. */
  async down(): Promise<void> {
    await this.services?.wake.close();
    await this.services?.forward.close();
    await this.services?.relay.close();
    await teardown(this.id);
  }

  /** What of this lab exists on the machine, in words; empty after `down`. */
  leftovers(): Promise<string[]> {
    return leftovers(this.id);
  }

  private async boot(index: number): Promise<void> {
    await host.powerOn({ id: this.id, index, layers: this.state.layers, sync: this.state.sync });
    await host.waitBooted(this.id, index);
  }

  private hostFiles(index: number, options: LabOptions): Record<string, string> {
    const { address, name } = this.host(index);
    return {
      'etc/hosts': `127.0.0.1 localhost\n${address} ${name}\n${this.gatewayAddress} gateway\n`,
      'etc/apt/apt.conf.d/98lab-relay': `Acquire::http::Proxy "${this.relayUrl}";\n`,
      'etc/apt/sources.list.d/lab.list': repoSourceLine,
      [repoKeyringInHost.slice(1)]: this.repo.publicKey,
      ...(options.unsafeIo === false ? {} : { 'etc/dpkg/dpkg.cfg.d/91lab-unsafe-io': 'force-unsafe-io\n' }),
    };
  }
}

/** Writes the lab's state, which reserves its id and network, after removing labs nobody controls any more. */
function reserve(wanted: { id: string; count: number; options: LabOptions; layers: string[] }): Promise<LabState> {
  return withLock(labLock(), async () => {
    await removeDeadLabs();
    const { id, count, options, layers } = wanted;
    if (readState(id) !== undefined) throw new Error(`lab ${id} is already up; help: npm run lab -- down`);
    const controller = identify(process.pid);
    if (controller === undefined) throw new Error('/proc is not mounted');
    raiseInotifyLimit(count);
    const subnet = await network.freeSubnet();
    const hosts: HostState[] = Array.from({ length: count }, (_, i) => ({
      index: i + 1,
      mac: network.hostMac(subnet, i + 1),
      address: network.hostAddress(subnet, i + 1),
      zone: options.zoneByHost?.[i + 1] ?? 'Etc/UTC',
    }));
    const sync = options.unsafeIo === false;
    const state: LabState = { id, subnet, controller, relayPort, gatewayPort, hosts, layers, sync };
    mkdirSync(labDir(id), { recursive: true, mode: 0o755 });
    writeState(state);
    return state;
  });
}

/**
 * Boots `count` hosts (numbered from 1) and resolves when all have. The calling process serves their relay and hears
 * their magic packets: `down` before it ends (the next lab removes what a killed one left).
 * @throws LabUnavailable when the machine can't run it; RangeError on a bad count or id.
 */
export function upLab(count: number, options: LabOptions = {}): Promise<Lab> {
  return Lab.start(count, options);
}

/** The lab another process made. @throws Error when there is none by this id. */
export function openLab(id: string): Promise<Lab> {
  return Lab.open(id);
}
