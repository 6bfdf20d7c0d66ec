/** Named processes that can be killed, stopped and started one by one, and that never outlive the test. */
import { readdirSync, readFileSync } from 'node:fs';
import {
  identify,
  isRunning,
  type ProcessIdentity,
  signalProcess,
  waitForExit,
} from '../../../cli/up/process-identity.js';

export interface Started {
  /** The program's own process, not its keeper's. */
  readonly pid: number;
  /** Ends it in an orderly way and waits. */
  readonly stop: () => Promise<void>;
}

export type StartProgram = () => Promise<Started>;

interface Entry {
  readonly begin: StartProgram;
  /** Started again when it ends by itself, as a supervisor would. */
  readonly keep: boolean;
  started: Started | null;
  identity: ProcessIdentity | null;
  wanted: boolean;
  stopped: boolean;
}

const KEEP_MS = 150;

export class Processes {
  private readonly entries = new Map<string, Entry>();
  private keeping: Promise<void> = Promise.resolve();
  private ended = false;
  private readonly timer = setInterval(() => {
    this.keeping = this.keeping.then(() => this.keepUp());
  }, KEEP_MS);

  /** Starts a program under a name. @param options.keep start it again whenever it ends by itself */
  async add(name: string, begin: StartProgram, options: { keep?: boolean } = {}): Promise<void> {
    const keep = options.keep ?? false;
    this.entries.set(name, { begin, keep, started: null, identity: null, wanted: false, stopped: false });
    await this.start(name);
  }

  async start(name: string): Promise<void> {
    const entry = this.entry(name);
    const started = await entry.begin();
    entry.started = started;
    entry.identity = identify(started.pid) ?? null;
    entry.wanted = true;
    entry.stopped = false;
  }

  /** SIGKILL to the program and every child it has; returns when they are gone. It stays away until {@link start}. */
  async kill9(name: string): Promise<void> {
    const entry = this.entry(name);
    entry.wanted = false;
    await this.keeping;
    const { identity } = entry;
    if (identity === null) throw new Error(`${name} does not run`);
    // PostgreSQL's children are sessions of their own: they are found by their parent while that lives.
    const family = [identity.pid, ...childrenOf(identity.pid)].map(identify).filter((one) => one !== undefined);
    for (const one of family) signalProcess(one, 'SIGKILL');
    for (const one of family) {
      if (!(await waitForExit(one, 10_000))) throw new Error(`${name}: process ${one.pid} does not die`);
    }
    await entry.started?.stop();
  }

  /** SIGSTOP: it holds its connections and locks, and does nothing. */
  freeze(name: string): void {
    const entry = this.entry(name);
    if (entry.identity === null || !signalProcess(entry.identity, 'SIGSTOP')) throw new Error(`${name} does not run`);
    entry.stopped = true;
  }

  thaw(name: string): void {
    const entry = this.entry(name);
    if (entry.identity !== null) signalProcess(entry.identity, 'SIGCONT');
    entry.stopped = false;
  }

  /** Ends it in an orderly way; it stays away until {@link start}. */
  async stop(name: string): Promise<void> {
    const entry = this.entry(name);
    entry.wanted = false;
    await this.keeping;
    await entry.started?.stop();
  }

  /** Of the program itself. */
  pid(name: string): number | undefined {
    return this.entry(name).identity?.pid;
  }

  isRunning(name: string): boolean {
    const { identity } = this.entry(name);
    return identity !== null && isRunning(identity);
  }

  names(): string[] {
    return [...this.entries.keys()];
  }

  /** Ends everything, the last started first. */
  async end(): Promise<void> {
    this.ended = true;
    clearInterval(this.timer);
    for (const entry of this.entries.values()) entry.wanted = false;
    await this.keeping;
    const names = this.names().reverse();
    for (const name of names) if (this.entry(name).stopped) this.thaw(name);
    const servers = names.filter((name) => ['postgres', 'temporal'].includes(name));
    await Promise.all(names.filter((name) => !servers.includes(name)).map((name) => this.entry(name).started?.stop()));
    for (const name of servers) await this.entry(name).started?.stop();
  }

  private async keepUp(): Promise<void> {
    for (const [name, entry] of this.entries) {
      if (this.ended) return;
      if (entry.keep && entry.wanted && !this.isRunning(name)) await this.start(name);
    }
  }

  private entry(name: string): Entry {
    const entry = this.entries.get(name);
    if (entry === undefined) throw new Error(`there is no process ${name}, only ${this.names().join(', ')}`);
    return entry;
  }
}

function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
        return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === parent;
      } catch {
        return false;
      }
    })
    .map(Number);
}
