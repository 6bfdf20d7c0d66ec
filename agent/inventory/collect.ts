/** A whole inventory: the machine, its packages, what it could upgrade, what runs and what listens. */
import { existsSync } from 'node:fs';
import { type InventoryRequest, PROTOCOL_VERSION, SELF_PACKAGE } from '../../protocol/messages.js';
import type { Provider } from '../providers/provider.js';
import type { Run } from '../system/run.js';
import { AGENT_VERSION, readFacts } from './facts.js';
import { readListeners } from './listeners.js';

export interface ScanRequest {
  readonly scanId: string;
  readonly orderId: string | null;
}

/** `provider` null: a host without a package manager we know; its inventory is there, but never complete. */
export async function collectInventory(
  deps: {
    readonly run: Run;
    readonly provider: Provider | null;
    /** Whether the agent updates itself, and so is part of what can be planned and proven. */
    readonly self: boolean;
    readonly refresh: boolean;
    readonly now: () => number;
  },
  request: ScanRequest,
): Promise<InventoryRequest> {
  const startedAt = Math.round(deps.now());
  const packages = deps.provider === null ? NO_PACKAGES : await deps.provider.inventory({ refresh: deps.refresh });
  const { complete, incompleteReason, provider, indexAgeSeconds, auditClean } = packages;
  return {
    protocol: PROTOCOL_VERSION,
    ...request,
    startedAt,
    complete,
    incompleteReason,
    provider,
    indexAgeSeconds,
    auditClean,
    rebootRequired: existsSync('/run/reboot-required'),
    facts: { ...(await readFacts(deps.run)), ...(provider === 'simulated' ? { simulated: true } : {}) },
    packages: [...(deps.self ? [OWN_PROGRAM] : []), ...packages.packages].slice(0, 20_000),
    updates: packages.updates.slice(0, 20_000),
    services: await readServices(deps.run),
    listeners: readListeners({ withProcesses: true }),
  };
}

const OWN_PROGRAM = {
  name: SELF_PACKAGE,
  arch: 'all',
  version: AGENT_VERSION,
  source: 'ringmaster-agent',
  sourceVersion: AGENT_VERSION,
};

const NO_PACKAGES = {
  complete: false,
  incompleteReason: 'this host has no package manager that the agent knows',
  provider: 'none',
  indexAgeSeconds: null,
  auditClean: true,
  packages: [],
  updates: [],
};

async function readServices(run: Run): Promise<InventoryRequest['services']> {
  const listed = await run(['systemctl', 'list-units', '--type=service', '--all', '--plain', '--no-legend', '--full'], {
    timeoutMs: 20_000,
  });
  if (listed.code !== 0) return [];
  return listed.stdout
    .split('\n')
    .flatMap((line) => {
      const [unit, load, active] = line.trim().split(/\s+/);
      if (unit === undefined || active === undefined || !unit.endsWith('.service') || load === 'not-found') return [];
      return [{ name: unit.slice(0, 256), active: active === 'active' }];
    })
    .slice(0, 5_000);
}
