/** Simulated hosts with the real agent, and what their own disks say happened to them. */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { decodeFrames } from '../../../agent/journal/frames.js';
import { applyRecord, type Book, EMPTY_BOOK, type OrderRecord } from '../../../agent/orders/book.js';
import {
  type Behaviour,
  type Effect,
  type MachineFile,
  openDisk,
  readEffects,
  stateOf,
} from '../../../agent/providers/simulated/state.js';
import type { AgentReport, PermitDocument } from '../../../protocol/messages.js';
import { repositoryRoot } from '../repository.js';

/** A start as the host's own journal has it: the permit it held, and when the package manager really began. */
export interface HostStart {
  readonly orderId: string;
  readonly direction: 'forward' | 'back';
  readonly permit: PermitDocument | null;
  /** The stamp of the report that announced it: the latest time the server's clock could show. */
  readonly announcedAt: number;
}

/** A moment of the agent's own commit: a report's entry not yet in its journal, half written, or on disk and nothing more. */
export interface JournalPoint {
  readonly report: AgentReport['type'];
  readonly when: 'before' | 'torn' | 'after';
}

export class Host {
  readonly stateDir: string;
  readonly process: string;

  constructor(
    readonly name: string,
    dir: string,
  ) {
    this.process = `agent-${name}`;
    this.stateDir = join(dir, 'state');
  }

  private get pointFile(): string {
    return join(this.stateDir, 'journal-point.json');
  }

  get simulatedDir(): string {
    return join(this.stateDir, 'simulated');
  }

  make(machine: Omit<MachineFile, 'machineId'>): void {
    mkdirSync(this.simulatedDir, { recursive: true });
    const file: MachineFile = { machineId: randomUUID(), ...machine };
    writeFileSync(join(this.simulatedDir, 'machine.json'), JSON.stringify(file));
  }

  /** How the machine is to behave from now on; what is not named is as usual. */
  behave(behaviour: Partial<Behaviour>): void {
    const path = join(this.simulatedDir, 'behaviour.json');
    writeFileSync(`${path}.new`, JSON.stringify(behaviour));
    renameSync(`${path}.new`, path);
  }

  /** For the agent's process, so that {@link standAt} reaches it. */
  get journalPointsEnv(): Record<string, string> {
    const preload = pathToFileURL(join(repositoryRoot, 'test/helpers/stack/journal-points.mjs')).href;
    return { NODE_OPTIONS: `--import=${preload}`, RINGMASTER_TEST_JOURNAL_POINT: this.pointFile };
  }

  /** From now on the agent's process stands still at this write to its journal; null: at none, once it is started again. */
  standAt(point: JournalPoint | null): void {
    rmSync(`${this.pointFile}.reached`, { force: true });
    if (point === null) rmSync(this.pointFile, { force: true });
    else writeFileSync(this.pointFile, JSON.stringify(point));
  }

  standsStill(): boolean {
    return existsSync(`${this.pointFile}.reached`);
  }

  effects(): readonly Effect[] {
    return readEffects(this.simulatedDir);
  }

  version(name: string): string | undefined {
    return stateOf(openDisk(this.simulatedDir).machine, this.effects()).versions.get(name);
  }

  journal(): readonly OrderRecord[] {
    const path = join(this.stateDir, 'journal', 'journal');
    const { payloads } = decodeFrames(existsSync(path) ? readFileSync(path) : Buffer.alloc(0));
    return payloads.map((payload) => JSON.parse(payload.toString('utf8')) as OrderRecord);
  }

  book(): Book {
    return this.journal().reduce<Book>(applyRecord, EMPTY_BOOK);
  }

  /** Every start its journal announces, in order. */
  starts(): readonly HostStart[] {
    const permits = new Map<string, PermitDocument>();
    const kinds = new Map<string, string>();
    const starts: HostStart[] = [];
    for (const record of this.journal()) {
      if (record.type === 'order') kinds.set(record.orderId, record.kind);
      if (record.type === 'permit') permits.set(record.orderId, record.permit);
      if (record.type !== 'report') continue;
      const { report, orderId } = record;
      const undoing = kinds.get(orderId) === 'revert';
      if (report.type === 'apply' || (report.type === 'revertBegun' && undoing)) {
        const permit = permits.get(orderId) ?? null;
        starts.push({ orderId, direction: undoing ? 'back' : 'forward', permit, announcedAt: report.at });
      }
    }
    return starts;
  }
}
