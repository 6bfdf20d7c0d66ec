/** Puts the agent together (the only place that does) and keeps it running. */
import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { APPROVED_PACKAGES, FROZEN_PACKAGES, PACKAGE_FIXES } from '../domain/baseline/rule-name.js';
import { PROTOCOL_VERSION } from '../protocol/messages.js';
import type { AgentConfig } from './config.js';
import { enrol } from './enrol.js';
import { runHooks } from './hooks/hooks.js';
import { AGENT_VERSION } from './inventory/facts.js';
import { openJournal } from './journal/journal.js';
import { loadLimits, windowOpen } from './limits/limits.js';
import { type Machine, openMachine } from './machine.js';
import { openOrders } from './orders/book.js';
import { createExecutor } from './orders/executor.js';
import { tidy } from './orders/housekeeping.js';
import { createLedger } from './orders/ledger.js';
import { createAssess } from './providers/openscap/assess.js';
import { createCriticalRules, keepCritical } from './providers/openscap/critical.js';
import { createOpenscapProvider } from './providers/openscap/index.js';
import { hasScanner } from './providers/openscap/oscap.js';
import { createSelfProvider, selfPlace } from './providers/self/index.js';
import { createScanner } from './scanner.js';
import { writeStatus } from './status.js';
import { run } from './system/run.js';
import { createServerClock, MAX_SKEW_MS } from './transport/clock.js';
import { createContentCache } from './transport/content.js';
import { createGatewayClient } from './transport/gateway-client.js';
import { type Identity, loadIdentity, loadOrMakeKey, saveIdentity } from './transport/identity.js';
import { acceptKeySet, trustedKeys } from './transport/key-set.js';
import { createPoller } from './transport/poller.js';
import { openWakeChannel } from './transport/wake.js';

import { createHostStamp, HOST } from './watch/host-state.js';
import { look, services } from './watch/look.js';
import { createModesStamp, modeRootsOf } from './watch/modes-stamp.js';
import { keepWatching, type WatcherDeps } from './watch/watcher.js';

export type Log = (message: string, fields?: Readonly<Record<string, unknown>>) => void;

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const REBOOT_FLUSH_MS = 5_000;
const WATCH_MS = 15_000;
const DAY_MS = 24 * 3_600_000;

/** Runs until the process ends. @throws Error when it can't begin: configuration, state, or enrolment refused. */
export async function runAgent(config: AgentConfig, log: Log): Promise<void> {
  mkdirSync(config.stateDir, { recursive: true, mode: 0o711 });
  const machine = await openMachine(config, log);
  const { provider, bootId } = machine;
  const place = selfPlace(process.env);
  const clock = createServerClock(machine.now);
  const key = loadOrMakeKey(config.stateDir);
  let identity: Identity | null = loadIdentity(config.stateDir);
  const ca = config.caFile === null ? undefined : readFileSync(config.caFile, 'utf8');
  const trust = ca === undefined ? {} : { ca };
  const client = createGatewayClient({
    url: config.server,
    ...trust,
    key,
    keyid: () => identity?.endpointId ?? key.keyid,
    clock,
    now: machine.now,
  });
  if (identity !== null && identity.machineId !== machine.id) {
    const reason =
      'this is a copy of another machine: its key was made elsewhere; help: ringmaster-agent enrol --token TOKEN --anew';
    writeStatus(config, { state: 'quarantined', reason, endpointId: identity.endpointId });
    log(reason);
    // Stays up without a word to the server: a copy that polls would cost the original its identity.
    setInterval(() => undefined, 3_600_000);
    return;
  }
  identity ??= await enrolUntilDone({ config, machine, key: key.publicKey, client, clock, log });
  const me: { identity: Identity } = { identity };

  const opened = openJournal({ dir: join(config.stateDir, 'journal'), now: Date.now });
  if (opened.tornTail) log('the last write of the journal was cut off and is dropped');
  const limits = () => loadLimits(config.limitsFile);
  const content = createContentCache({ dir: join(config.stateDir, 'content'), fetch: client.content });

  const fatal = (error: Error) => {
    log('the agent can not go on', { error: error.message });
    process.exit(1);
  };
  const ledger = createLedger({
    journal: opened.journal,
    records: opened.records,
    now: () => Math.round(clock.estimate()),
    // While orders are worked on, their reports gather; `settled` sends what there is when nothing moves any more.
    changed: () => poller.say(config.reportBatchSeconds * 1_000),
  });
  const self =
    place === null
      ? null
      : createSelfProvider({
          place,
          version: AGENT_VERSION,
          program: process.argv[1] ?? '',
          sleep,
          log,
          restart: async () => {
            await poller.flush(REBOOT_FLUSH_MS);
            process.exit(0);
          },
        });
  const orderDir = (orderId: string) => join(config.stateDir, 'orders', orderId);
  const assessmentsDir = join(config.stateDir, 'assessments');
  const largeDir = join(config.stateDir, 'large');
  const openscap = createOpenscapProvider({
    run,
    content,
    orderDir,
    largeDir,
    log,
    packages: provider?.name === 'apt' ? { apt: provider, limits, moved: () => scanner.soon() } : null,
  });
  /** Beside the package manager's; the scanner may be installed and removed while we run. */
  const further = () => [
    ...(self === null ? [] : [self.name]),
    ...(hasScanner() && !machine.simulated && process.getuid?.() === 0 ? [openscap.name] : []),
  ];
  const scanner = createScanner({
    config,
    provider,
    self: self !== null,
    refresh: machine.mayChange && !config.scanOnly,
    now: () => clock.estimate(),
    busy: () => executor.busy,
    send: (inventory) => client.inventory(inventory),
    scanned: () => poller.soon(50),
    log,
  });
  const executor = createExecutor({
    ledger,
    provider: provider ?? (await import('./providers/none.js')).noProvider,
    providers: new Map([...(self === null ? [] : [self]), openscap].map((one) => [one.name, one])),
    content,
    clock,
    limits,
    ownWindowOpen: () => {
      const now = new Date();
      return windowOpen(limits(), { weekday: now.getDay(), hour: now.getHours(), minute: now.getMinutes() });
    },
    runChecks: machine.runChecks,
    runHooks: (hooks, when, context) => runHooks({ hooks, when, dir: config.hooksDir, ownerUid: 0, context, run }),
    scan: scanner.scan,
    assess: createAssess({
      run,
      content,
      dir: assessmentsDir,
      now: () => clock.estimate(),
      send: (request) => client.assessment(request),
      handOver: (orderId, packed) => client.arf(orderId, packed),
    }),
    newId: randomUUID,
    bootId,
    tellServer: () => poller.flush(REBOOT_FLUSH_MS),
    reboot: machine.reboot,
    scanOnly: config.scanOnly || !machine.mayChange,
    orderDir,
    sleep,
    mono: () => performance.now(),
    healthGraceMs: config.healthGraceSeconds * 1_000,
    log,
    settled: () => {
      poller.say(0);
      const retry = executor.retryInMs();
      if (retry !== null) setTimeout(() => executor.work().catch(fatal), retry).unref();
    },
  });
  const poller = createPoller({
    client,
    ledger,
    executor: () => executor,
    clock,
    bootId,
    now: () => machine.now().wall,
    random: Math.random,
    minPollSeconds: config.minPollSeconds,
    context: async (keySetVersion) => {
      if (keySetVersion > me.identity.keySet.version) {
        // With the old set it goes on: what only the new one vouches for is not taken in, and offered again.
        await refreshKeySet().catch((error: Error) => log('the newer key set is not taken', { reason: error.message }));
      }
      const latest = clock.latest() ?? Date.now();
      const trusted = trustedKeys(me.identity.keySet, latest);
      const { endpointId } = me.identity;
      return { endpointId, trusted, latest, provider: provider?.name ?? 'none', providers: further() };
    },
    observations: () => ({ ...scanner.observations(), ...observe() }),
    localLimits: () => ({ ...limits() }),
    agent: () => ({
      version: AGENT_VERSION,
      slot: place?.slot ?? 'unmanaged',
      providers: [
        ...(provider === null ? [] : [provider.name]),
        ...further(),
        ...(provider?.name === 'apt' && further().includes(openscap.name)
          ? [PACKAGE_FIXES, APPROVED_PACKAGES, FROZEN_PACKAGES]
          : []),
      ],
    }),
    scanNow: scanner.soon,
    polled: () => {
      if (poller.state.lastContactAt !== null && poller.state.lastError === null) self?.checkedIn();
      writeStatus(config, status());
    },
    fatal,
    log,
  });

  const refreshKeySet = async () => {
    const { keySet } = await client.keySet();
    const { rootPublicKey, rootFingerprint } = me.identity;
    const accepted = acceptKeySet({
      envelope: keySet,
      rootPublicKey,
      rootFingerprint,
      newestVersion: me.identity.keySet.version,
    });
    if (!accepted.ok) throw new Error(accepted.reason);
    me.identity = { ...me.identity, keySet: accepted.keySet };
    saveIdentity(config.stateDir, me.identity);
  };
  const observe = () => {
    const skew = clock.skewMs() ?? 0;
    const { untrusted } = poller.state;
    return {
      agentVersion: AGENT_VERSION,
      protocol: PROTOCOL_VERSION,
      quarantine: ledger.book.quarantine,
      // Rounded, so that it is told when it changes and not at every poll.
      clockSkewSeconds: Math.abs(skew) > MAX_SKEW_MS ? Math.round(skew / 10_000) * 10 : null,
      untrusted,
      limitsMalformed: limits().malformed,
      waiting: Object.fromEntries(executor.waiting),
    };
  };
  const status = () => ({
    agentVersion: AGENT_VERSION,
    slot: place?.slot ?? 'unmanaged',
    state: ledger.book.quarantine === null ? 'running' : 'quarantined',
    reason: ledger.book.quarantine ?? poller.state.lastError,
    endpointId: me.identity.endpointId,
    server: config.server,
    lastContactAt: poller.state.lastContactAt,
    clockSkewMs: clock.skewMs(),
    lastScan: scanner.last(),
    orders: openOrders(ledger.book).map(({ orderId, kind, core }) => ({
      orderId,
      kind,
      state: core.state,
      waiting: executor.waiting.get(orderId) ?? null,
    })),
    untrusted: poller.state.untrusted,
  });

  if (opened.damage !== null) ledger.quarantine(`the journal was damaged: ${opened.damage}`);
  const ordersDir = join(config.stateDir, 'orders');
  const clean = () => tidy({ ordersDir, largeDir, content, book: ledger.book, now: Date.now() });
  clean();
  setInterval(clean, DAY_MS);
  if (!machine.simulated) {
    const watched = { now: () => performance.now(), log };
    const modesStamp = createModesStamp(watched);
    const watch: WatcherDeps = {
      dir: config.stateDir,
      look,
      criticalRules: createCriticalRules({
        run,
        content,
        dir: assessmentsDir,
        stamp: createHostStamp({ ...HOST, services: () => Object.keys(services()) }, watched),
        modesStamp: (rules) => modesStamp(modeRootsOf(rules)),
        busy: () => executor.busy,
      }),
      now: () => clock.estimate(),
      send: async (request) => {
        const { watched } = await client.noticed(request);
        if (watched !== undefined) keepCritical(assessmentsDir, watched);
      },
      log,
    };
    keepWatching(watch, WATCH_MS);
  }
  poller.start();
  scanner.start();
  openWakeChannel({
    target: client.wake,
    ...trust,
    onWake: () => poller.soon(100 * Math.random()),
    // A fleet comes back together when its server does.
    onOpen: () => poller.soon(3_000 * Math.random()),
    random: Math.random,
  });
  // What was begun before a crash goes on at once, also when the server can't be reached.
  await executor.work().catch(fatal);
}

async function enrolUntilDone(args: {
  readonly config: AgentConfig;
  readonly machine: Machine;
  readonly key: string;
  readonly client: ReturnType<typeof createGatewayClient>;
  readonly clock: ReturnType<typeof createServerClock>;
  readonly log: Log;
}): Promise<Identity> {
  const { config, log } = args;
  if (config.joinToken === null) throw new Error('not enrolled, and the configuration has no joinToken');
  const { isPassing } = await import('./transport/gateway-client.js');
  for (let wait = 1_000; ; wait = Math.min(60_000, wait * 2)) {
    try {
      const identity = await enrol({
        config,
        machine: args.machine,
        token: config.joinToken,
        publicKey: args.key,
        client: args.client,
        clock: args.clock,
      });
      log('enrolled', { endpointId: identity.endpointId });
      return identity;
    } catch (error) {
      writeStatus(config, { state: 'enrolling', reason: (error as Error).message });
      if (!isPassing(error)) throw error;
      log('enrolment waits', { error: (error as Error).message });
      await sleep(wait * (0.5 + Math.random()));
    }
  }
}
