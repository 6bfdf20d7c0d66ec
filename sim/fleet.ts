/** A whole simulated fleet in one process. */
import { parseJoinToken } from '../agent/transport/identity.js';
import { generateSigningKeyPem, signingKeyFromPem } from '../protocol/envelope.js';
import { createAgenda } from './agenda.js';
import { CATALOGUE, profileOf } from './catalogue.js';
import { createConnections } from './connections.js';
import { Endpoint } from './endpoint.js';
import { Refused } from './gateway.js';
import { type Behaviour, Machine } from './machine.js';
import { newStats, type Stats, type Surroundings, Trust } from './surroundings.js';

export interface FleetOptions {
  readonly url: URL;
  readonly ca?: string;
  readonly endpoints: number;
  /** Join tokens, taken in turn. */
  readonly tokens: readonly string[];
  /** Names are `<prefix>-<role>-<number>`. */
  readonly prefix: string;
  readonly zone: string;
  readonly packages: number;
  readonly connections: number;
  readonly wakeUp: boolean;
  readonly wakeSpreadMs: number;
  readonly reconnectSpreadMs: number;
  readonly reportBatchMs: number;
  readonly applyMs: { readonly from: number; readonly to: number };
  readonly failPercent: number;
  readonly unhealthyPercent: number;
  readonly offlinePercent: number;
  readonly rebootPercent: number;
  readonly rebootMs: number;
}

export interface OrdersOfChange {
  count: number;
  /** When they came in, in order; the first so many. */
  readonly times: number[];
}

const KEPT_TIMES = 5_000;

export interface Fleet {
  readonly stats: Stats;
  /** When orders of a change came in (epoch ms, this computer's clock). */
  readonly changes: ReadonlyMap<string, OrdersOfChange>;
  /** Enrols everybody, sends the first inventories and begins to poll. Goes on trying while the server can't be reached. */
  start(): Promise<void>;
  /** @param names `null`: everybody. @returns how many there were. @throws Error naming one that is not there. */
  behave(names: readonly string[] | null, behaviour: Partial<Behaviour>): number;
  /** From now on the repository offers these versions. */
  offer(packages: readonly { readonly name: string; readonly version: string }[]): void;
  /** Breaks every connection; everybody comes back at once. */
  reconnect(): void;
  readonly names: readonly string[];
  stop(): void;
}

/** @param options.changed hears of the first order of each change. */
export function createFleet(
  options: FleetOptions & { readonly firstOrder?: (order: { changeId: string; kind: string; at: number }) => void },
): Fleet {
  const tokens = options.tokens.map(parseJoinToken);
  if (tokens.length === 0) throw new Error('a fleet needs a join token');
  const stats = newStats();
  const changes = new Map<string, OrdersOfChange>();
  const offered = new Map(
    CATALOGUE.flatMap(({ name, offered: version }) => (version === null ? [] : [[name, version]])),
  );
  const connections = createConnections({
    url: options.url,
    most: options.connections,
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  });
  const agenda = createAgenda<Endpoint>({ now: Date.now, due: (endpoint) => endpoint.due(Date.now()) });
  const around: Surroundings = {
    url: options.url,
    ...(options.ca === undefined ? {} : { ca: options.ca }),
    zone: options.zone,
    connections,
    agenda,
    trust: new Trust(),
    stats,
    wakeUp: options.wakeUp,
    wakeSpreadMs: options.wakeSpreadMs,
    reconnectSpreadMs: options.reconnectSpreadMs,
    reportBatchMs: options.reportBatchMs,
    orderTaken: (changeId, kind) => {
      const at = Date.now();
      const known = changes.get(changeId);
      if (known === undefined) {
        changes.set(changeId, { count: 1, times: [at] });
        options.firstOrder?.({ changeId, kind, at });
      } else {
        known.count += 1;
        if (known.times.length < KEPT_TIMES) known.times.push(at);
      }
    },
  };
  const width = String(options.endpoints).length;
  const endpoints = Array.from({ length: options.endpoints }, (_, index) => {
    const profile = profileOf({ index, packages: options.packages });
    const name = `${options.prefix}-${profile.role}-${String(index + 1).padStart(width, '0')}`;
    const machine = new Machine(profile, offered, behaviourOf(options, index));
    return new Endpoint(around, name, machine, signingKeyFromPem(generateSigningKeyPem()));
  });
  const byName = new Map(endpoints.map((endpoint) => [endpoint.name, endpoint]));
  let stopped = false;

  const startOne = async (endpoint: Endpoint, index: number): Promise<void> => {
    for (let wait = 250; !stopped; wait = Math.min(10_000, wait * 2)) {
      try {
        if (endpoint.endpointId === null)
          await endpoint.enrol(tokens[index % tokens.length] as (typeof tokens)[number]);
        await endpoint.begin();
        return;
      } catch (error) {
        stats.lastError = (error as Error).message;
        if (error instanceof Refused && error.status < 500 && error.status !== 429) throw error;
        await new Promise((resolve) => setTimeout(resolve, wait * (0.5 + Math.random())));
      }
    }
  };

  return {
    stats,
    changes,
    names: endpoints.map((endpoint) => endpoint.name),
    async start() {
      let next = 0;
      const enrolSome = async () => {
        for (let index = next++; index < endpoints.length; index = next++)
          await startOne(endpoints[index] as Endpoint, index);
      };
      await Promise.all(Array.from({ length: options.connections }, enrolSome));
    },
    behave(names, behaviour) {
      const chosen = (names ?? [...byName.keys()]).map((name) => {
        const endpoint = byName.get(name);
        if (endpoint === undefined) throw new Error(`there is no endpoint ${name}`);
        return endpoint;
      });
      for (const endpoint of chosen) endpoint.behave(behaviour);
      return chosen.length;
    },
    offer(packages) {
      for (const { name, version } of packages) offered.set(name, version);
    },
    reconnect() {
      connections.drop();
      for (const endpoint of endpoints) endpoint.reconnect();
    },
    stop() {
      stopped = true;
      agenda.stop();
      connections.drop();
      for (const endpoint of endpoints) endpoint.behave({ offline: true });
    },
  };
}

/** Spread evenly and always alike, so that a run can be repeated: every k-th host fails, is offline, needs a reboot. */
function behaviourOf(options: FleetOptions, index: number): Behaviour {
  const share = (percent: number, salt: number) =>
    (((index + 1) * 2_654_435_761 + salt * 7_919_317) >>> 0) % 10_000 < percent * 100;
  const { from, to } = options.applyMs;
  const at = ((((index + 1) * 40_503) >>> 0) % 1_000) / 1_000;
  const applyMs = Math.round(from + (to - from) * at);
  return {
    applyMs,
    revertMs: applyMs,
    failApply: share(options.failPercent, 1),
    unhealthyAfter: share(options.unhealthyPercent, 2),
    failRevert: false,
    rebootRequired: share(options.rebootPercent, 3),
    rebootMs: options.rebootMs,
    offline: share(options.offlinePercent, 4),
  };
}
