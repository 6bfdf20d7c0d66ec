/** A host and its package manager in memory, for tests of the agent's executor: it outlives any number of agents. */
import {
  type Direction,
  KEPT,
  type Provider,
  type RunOutcome,
  type Transaction,
} from '../../agent/providers/provider.js';
import type { OrderDocument } from '../../protocol/messages.js';

export const ENDPOINT = '00000000-0000-4000-8000-00000000e001';
export const ORDER = '00000000-0000-4000-8000-000000000001';
export const PLAN = 'a'.repeat(64);

export function orderDoc(over: Partial<OrderDocument> = {}): OrderDocument {
  return {
    v: 1,
    orderId: ORDER,
    endpointId: ENDPOINT,
    changeId: null,
    kind: 'change',
    planDigest: PLAN,
    approvals: [],
    issuedAt: 0,
    expiresAt: 1e15,
    provider: 'fake',
    updates: [update('app', '1', '2'), update('lib', '1', '2')],
    previous: [old('app', '1'), old('lib', '1')],
    reverts: null,
    reboot: 'never',
    healthChecks: [{ type: 'port', port: 80 }],
    hooks: [],
    rateLimit: null,
    ...over,
  };
}

export function update(
  name: string,
  from: string | null,
  to: string,
  source = 'src',
): OrderDocument['updates'][number] {
  return { name, arch: 'all', from, to, source, sha256: digestOf(name, to), size: 10 };
}

export function old(name: string, version: string): OrderDocument['previous'][number] {
  return { name, arch: 'all', version, sha256: digestOf(name, version), size: 10 };
}

const digestOf = (name: string, version: string) =>
  Buffer.from(`${name}${version}`).toString('hex').padEnd(64, '0').slice(0, 64);

export interface FakeHost {
  readonly versions: Map<string, string>;
  readonly provider: Provider;
  /** Package manager runs that really started, `forward <order>` or `back <order>`. */
  readonly runs: string[];
  healthy: boolean;
  rebootNeeded: boolean;
  boots: number;
  auditText: string;
  /** What the next runs do instead of working. */
  behaviour: { forward: 'works' | 'half' | 'interrupted'; back: 'works' | 'half' };
  simulation: string | null;
  /** Who else is at work on the packages, as is seen when asked; and as a run finds that is to begin. */
  others: string | null;
  lockedOut: string | null;
}

export function createFakeHost(start: Record<string, string> = { app: '1', lib: '1' }): FakeHost {
  const versions = new Map(Object.entries(start));
  const finished = new Map<string, RunOutcome>();
  const host: FakeHost = {
    versions,
    runs: [],
    healthy: true,
    rebootNeeded: false,
    boots: 1,
    auditText: '',
    behaviour: { forward: 'works', back: 'works' },
    simulation: null,
    others: null,
    lockedOut: null,
    provider: {
      name: 'fake',
      compareVersions: (a, b) => Math.sign(Number(a) - Number(b)) as -1 | 0 | 1,
      installed: async (packages) =>
        new Map(
          packages.flatMap(({ name, arch }) => {
            const version = versions.get(name);
            return version === undefined ? [] : [[`${name}:${arch}`, { version, whole: true, held: false }]];
          }),
        ),
      audit: async () => host.auditText,
      simulate: async () => (host.simulation === null ? { ok: true } : { ok: false, reason: host.simulation }),
      findOldFile: async () => null,
      snapshot: async () => KEPT,
      async run(tx, direction, { again }) {
        const id = `${direction} ${tx.orderId}`;
        const before = finished.get(id);
        if (before !== undefined && !again) return before;
        if (host.lockedOut !== null) return { interrupted: false, output: '', notBegun: host.lockedOut };
        host.runs.push(id);
        const outcome = execute(host, tx, direction);
        finished.set(id, outcome);
        return outcome;
      },
      othersAtWork: async () => host.others,
      hasBegun: async (tx, direction) => finished.has(`${direction} ${tx.orderId}`),
      repair: async () => [],
      async judge(tx, direction) {
        const wrong = tx.changes.find(
          (c) => c.from !== null && versions.get(c.name) !== (direction === 'forward' ? c.to : c.from),
        );
        return wrong === undefined
          ? { ok: true }
          : { ok: false, reason: `${wrong.name} is ${versions.get(wrong.name)}` };
      },
      rebootNeed: async () => ({ required: host.rebootNeeded, reasons: [], onOldCode: [] }),
      inventory: async () => {
        throw new Error('not asked for here');
      },
    },
  };
  return host;
}

function execute(host: FakeHost, tx: Transaction, direction: Direction): RunOutcome {
  const how = host.behaviour[direction];
  const changes = how === 'works' ? tx.changes : tx.changes.slice(0, 1);
  for (const change of changes) {
    const version = direction === 'forward' ? change.to : change.from;
    if (version !== null) host.versions.set(change.name, version);
  }
  if (how === 'interrupted') host.behaviour.forward = 'works';
  return { interrupted: how === 'interrupted', output: how };
}
