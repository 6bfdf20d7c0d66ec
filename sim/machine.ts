/** A simulated host: what is installed on it, and how it takes what is done to it. It keeps only what differs from its profile. */
import { randomUUID } from 'node:crypto';
import type { Installed } from '../agent/orders/plan.js';
import { compareDebVersionTexts } from '../domain/content/deb-version.js';
import { type InventoryRequest, type OrderDocument, PROTOCOL_VERSION } from '../protocol/messages.js';
import { ARCHITECTURE, type Profile } from './catalogue.js';

export const PROVIDER = 'simulated';

/** How a host behaves; what a control command may change while it runs. */
export interface Behaviour {
  /** How long its package manager works, there and back. */
  readonly applyMs: number;
  readonly revertMs: number;
  /** Its package manager stops after the first package of a change. */
  readonly failApply: boolean;
  /** Its checks fail after a change. */
  readonly unhealthyAfter: boolean;
  /** Going back does not work either. */
  readonly failRevert: boolean;
  readonly rebootRequired: boolean;
  readonly rebootMs: number;
  /** Not on the network: it neither polls nor holds a wake-up channel. */
  readonly offline: boolean;
}

/** What the repository offers now: package to version. Shared by the fleet. */
export type Offered = ReadonlyMap<string, string>;

export class Machine {
  readonly machineId = randomUUID();
  private readonly changed = new Map<string, string>();
  private boots = 1;

  constructor(
    private readonly profile: Profile,
    private readonly offered: Offered,
    public behaviour: Behaviour,
  ) {}

  get bootId(): string {
    return `simulated/${this.machineId}/${this.boots}`;
  }

  reboot(): void {
    this.boots += 1;
  }

  version(name: string): string | undefined {
    return this.changed.get(name) ?? this.profile.versions.get(name);
  }

  install(name: string, version: string): void {
    this.changed.set(name, version);
  }

  /** As the agent's plan wants it. */
  installed(updates: OrderDocument['updates']): Installed {
    return new Map(
      updates.flatMap(({ name, arch }) => {
        const version = this.version(name);
        return version === undefined ? [] : [[`${name}:${arch}`, { version, whole: true, held: false }] as const];
      }),
    );
  }

  facts(name: string): Record<string, unknown> {
    return {
      hostname: name,
      os: 'Simulated Linux 1',
      osId: 'simulated',
      osVersion: '1',
      architecture: ARCHITECTURE,
      role: this.profile.role,
      root: true,
      simulated: true,
    };
  }

  inventory(args: {
    readonly name: string;
    readonly scanId: string;
    readonly orderId: string | null;
    readonly at: number;
  }): InventoryRequest {
    const packages: InventoryRequest['packages'] = [];
    const updates: InventoryRequest['updates'] = [];
    const add = (name: string, version: string) => {
      packages.push({ name, arch: ARCHITECTURE, version, source: name, sourceVersion: version });
      const candidate = this.offered.get(name);
      if (candidate !== undefined && candidate !== version && compare(candidate, version) === 1)
        updates.push({ name, arch: ARCHITECTURE, installed: version, candidate });
    };
    for (const [name, version] of this.profile.versions) add(name, this.changed.get(name) ?? version);
    for (const [name, version] of this.changed) if (!this.profile.versions.has(name)) add(name, version);
    return {
      protocol: PROTOCOL_VERSION,
      scanId: args.scanId,
      orderId: args.orderId,
      startedAt: Math.round(args.at),
      complete: true,
      incompleteReason: null,
      provider: PROVIDER,
      indexAgeSeconds: 0,
      auditClean: true,
      rebootRequired: false,
      facts: this.facts(args.name),
      packages,
      updates,
      services: [],
      listeners: [],
    };
  }
}

/** Order of two versions, as Debian has it; null when one is none. */
export function compare(a: string, b: string): -1 | 0 | 1 | null {
  const result = compareDebVersionTexts(a, b);
  return result.ok ? result.order : null;
}
