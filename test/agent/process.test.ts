// The agent as a process of its own, over real HTTP, on a simulated machine: identity, keys, journal, one server away.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { build } from 'esbuild';
import {
  generateSigningKeyPem,
  ORDER_TYPE,
  PERMIT_TYPE,
  signEnvelope,
  signingKeyFromPem,
} from '../../protocol/envelope.js';
import type { OrderDocument } from '../../protocol/messages.js';
import { type FakeGateway, startFakeGateway } from '../helpers/fake-gateway.js';
import { PLAN } from '../helpers/fake-host.js';

const LIMIT = 30_000;
let bundleDir: string;
let dir: string;
let gateway: FakeGateway;
const running = new Set<ChildProcess>();

beforeAll(async () => {
  bundleDir = mkdtempSync(join(tmpdir(), 'agent-bundle-'));
  await build({
    entryPoints: ['agent/main.ts'],
    outfile: join(bundleDir, 'ringmaster-agent.mjs'),
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    banner: { js: "import { createRequire as __cr } from 'node:module'; const require = __cr(import.meta.url);" },
    logLevel: 'error',
  });
});
afterAll(() => rmSync(bundleDir, { recursive: true, force: true }));
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'agent-'));
  gateway = await startFakeGateway();
});
afterEach(async () => {
  for (const child of running) await stop(child);
  await gateway.close();
  rmSync(dir, { recursive: true, force: true });
});

function makeMachine(state: string, machineId: string): void {
  mkdirSync(join(state, 'simulated'), { recursive: true });
  const machine = { machineId, packages: [{ name: 'app', version: '1' }], available: [{ name: 'app', version: '2' }] };
  writeFileSync(join(state, 'simulated', 'machine.json'), JSON.stringify(machine));
}

function configFor(state: string, over: object = {}): string {
  const file = join(dir, `${randomUUID()}.json`);
  const config = {
    server: gateway.url,
    name: 'sim',
    stateDir: state,
    joinToken: gateway.joinToken,
    provider: 'simulated',
  };
  writeFileSync(
    file,
    JSON.stringify({ ...config, healthGraceSeconds: 1, reportBatchSeconds: 1, minPollSeconds: 0.05, ...over }),
  );
  return file;
}

/** A machine with an agent's configuration, `machineId` of 32 hex digits. */
function newMachine(machineId = randomUUID().replaceAll('-', '')) {
  const state = join(dir, machineId);
  makeMachine(state, machineId);
  return {
    state,
    config: configFor(state),
    status: () => JSON.parse(readFileSync(join(state, 'status.json'), 'utf8')),
  };
}

function start(config: string, ...command: string[]): ChildProcess {
  const argv = command.length > 0 ? command : ['run'];
  const child = spawn(process.execPath, [join(bundleDir, 'ringmaster-agent.mjs'), ...argv, '--config', config], {
    stdio: 'pipe',
  });
  running.add(child);
  return child;
}

async function stop(child: ChildProcess): Promise<void> {
  running.delete(child);
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

async function ended(child: ChildProcess): Promise<{ code: number | null; text: string }> {
  let text = '';
  child.stdout?.on('data', (chunk) => (text += chunk));
  child.stderr?.on('data', (chunk) => (text += chunk));
  const [code] = await once(child, 'close');
  running.delete(child);
  return { code, text };
}

/** A condition that throws (a file that is not there yet) is not met yet. */
async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  const met = () => {
    try {
      return condition();
    } catch {
      return false;
    }
  };
  while (!met()) {
    if (Date.now() > deadline) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}

async function enrolled(): Promise<string> {
  await until('enrolled', () => gateway.endpoints.has('sim') && gateway.polls.length > 0);
  return gateway.endpoints.get('sim') as string;
}

function changeOrder(endpointId: string, over: Partial<OrderDocument> = {}): OrderDocument {
  const bytes = Buffer.from(`a package ${randomUUID()}`);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  gateway.content.set(sha256, bytes);
  return {
    v: 1,
    orderId: randomUUID(),
    endpointId,
    changeId: null,
    kind: 'change',
    planDigest: PLAN,
    approvals: [],
    issuedAt: Date.now(),
    expiresAt: Date.now() + 600_000,
    provider: 'simulated',
    updates: [{ name: 'app', arch: 'amd64', from: '1', to: '2', source: 'app', sha256, size: bytes.length }],
    previous: [{ name: 'app', arch: 'amd64', version: '1', sha256, size: bytes.length }],
    reverts: null,
    reboot: 'never',
    healthChecks: [],
    hooks: [],
    rateLimit: null,
    ...over,
  };
}

const done = (orderId: string, state = 'succeeded') => gateway.waitFor(orderId, [state], 20_000);

describe('enrolment', () => {
  test(
    'a server that is not the one the token names gets nothing, and nothing of it is kept',
    async () => {
      const machine = newMachine();
      const config = configFor(machine.state, { joinToken: `${gateway.joinToken.split('.')[0]}.${'0'.repeat(64)}` });
      const { code, text } = await ended(start(config));
      expect({ code, text }).toEqual({ code: 1, text: expect.stringContaining('not the one the join token names') });
      expect(existsSync(join(machine.state, 'identity', 'identity.json'))).toBe(false);
      expect(gateway.polls).toEqual([]);
    },
    LIMIT,
  );

  test(
    'killed while enrolling: the same key asks again and is the same endpoint',
    async () => {
      const machine = newMachine();
      const first = start(machine.config);
      const id = await enrolled();
      await stop(first);
      rmSync(join(machine.state, 'identity', 'identity.json'));
      gateway.endpoints.clear();
      start(machine.config);
      expect(await enrolled()).toBe(id);
    },
    LIMIT,
  );

  test(
    'only one agent works on one state',
    async () => {
      const machine = newMachine();
      start(machine.config);
      await enrolled();
      const { code, text } = await ended(start(machine.config));
      expect({ code, text }).toEqual({ code: 1, text: expect.stringContaining('another agent') });
      const shown = await ended(start(machine.config, 'status', '--json'));
      expect(JSON.parse(shown.text)).toMatchObject({ state: 'running', endpointId: gateway.endpoints.get('sim') });
    },
    LIMIT,
  );
});

describe('keys', () => {
  const fresh = signingKeyFromPem(generateSigningKeyPem());
  const entry = (key: typeof fresh, revoked = false) => ({
    keyid: key.keyid,
    publicKey: key.publicKey,
    notBefore: 0,
    notAfter: 4e12,
    revoked,
  });

  test(
    'during a rotation both keys count; a revoked one does not; an older set is refused',
    async () => {
      const machine = newMachine();
      start(machine.config);
      const id = await enrolled();
      const { worker } = gateway.keys;

      gateway.setKeySet({ keys: [entry(worker), entry(fresh)] });
      const byOld = changeOrder(id, { kind: 'scan', updates: [], previous: [] });
      gateway.offer(byOld, null);
      await done(byOld.orderId);
      const byNew = changeOrder(id);
      const start_ = Date.now() + 60_000;
      const permit = {
        v: 1,
        orderId: byNew.orderId,
        endpointId: id,
        planDigest: PLAN,
        issuedAt: Date.now(),
        startBy: start_,
        rebootBy: null,
      };
      gateway.offer(byNew, null);
      gateway.offerRaw(
        id,
        signEnvelope({ type: ORDER_TYPE, document: byNew, key: fresh }),
        signEnvelope({ type: PERMIT_TYPE, document: permit, key: fresh }),
      );
      await until('applied', () =>
        gateway.polls
          .flatMap((p) => p.request.reports)
          .filter((r) => r.orderId === byNew.orderId)
          .flatMap((r) => r.events)
          .some((r) => r.type === 'healthy'),
      );

      gateway.setKeySet({ keys: [entry(worker, true), entry(fresh)] });
      const byRevoked = changeOrder(id, { kind: 'scan', updates: [], previous: [] });
      gateway.offer(byRevoked, null);
      await until('said', () => machine.status().untrusted.includes('order: no signature by a trusted key'));
      expect(gateway.order(byRevoked.orderId).reports).toEqual([]);

      gateway.setKeySet({ version: 1, keys: [entry(worker)] });
      const seen = gateway.polls.length;
      await until('more polls', () => gateway.polls.length > seen + 2);
      expect(JSON.parse(readFileSync(join(machine.state, 'identity', 'identity.json'), 'utf8')).keySet.version).toBe(3);
      expect(gateway.order(byRevoked.orderId).reports).toEqual([]);
    },
    LIMIT,
  );
});

describe('a machine that is not what it was', () => {
  test(
    'a copy of another machine stays silent until it is enrolled anew',
    async () => {
      const machine = newMachine();
      const original = start(machine.config);
      const id = await enrolled();
      await stop(original);
      const copy = join(dir, 'copy');
      cpSync(machine.state, copy, { recursive: true });
      makeMachine(copy, 'c'.repeat(32));
      const config = configFor(copy);
      const polls = gateway.polls.length;
      const clone = start(config);
      const status = () => JSON.parse(readFileSync(join(copy, 'status.json'), 'utf8'));
      await until('quarantined', () => status().state === 'quarantined');
      expect(status().reason).toContain('a copy of another machine');
      expect(gateway.polls.length).toBe(polls);
      await stop(clone);
      const again = await ended(start(config, 'enrol', '--anew', '--token', gateway.joinToken));
      expect(again.code).toBe(0);
      expect(again.text.trim()).not.toBe(`enrolled as ${id}`);
    },
    LIMIT,
  );

  test(
    'a journal put back to an earlier copy: the server knows more, and nothing is changed any more',
    async () => {
      const machine = newMachine();
      let agent = start(machine.config);
      const id = await enrolled();
      const first = changeOrder(id);
      gateway.offer(first, null);
      await done(first.orderId, 'staged');
      await stop(agent);
      const earlier = join(dir, 'earlier');
      cpSync(join(machine.state, 'journal'), earlier, { recursive: true });
      agent = start(machine.config);
      gateway.permit(first.orderId, {});
      await done(first.orderId);
      await stop(agent);
      cpSync(earlier, join(machine.state, 'journal'), { recursive: true });
      start(machine.config);
      await until('quarantined', () => machine.status().state === 'quarantined');
      const effects = () => readFileSync(join(machine.state, 'simulated', 'effects.jsonl'), 'utf8');
      const before = effects();
      const next = changeOrder(id);
      gateway.offer(next, {});
      await done(next.orderId, 'failed');
      expect(gateway.order(next.orderId).reports.at(-1)).toMatchObject({
        type: 'refuse',
        reason: expect.stringContaining('quarantined'),
      });
      expect(effects()).toBe(before);
    },
    LIMIT,
  );
});

describe('the server goes away', () => {
  test(
    'in the middle of an order: it is finished, and reported when the server is back, once',
    async () => {
      const machine = newMachine();
      writeFileSync(join(machine.state, 'simulated', 'behaviour.json'), JSON.stringify({ applyMs: 1_000 }));
      start(machine.config);
      const order = changeOrder(await enrolled());
      gateway.offer(order, {});
      const effects = () =>
        existsSync(join(machine.state, 'simulated', 'effects.jsonl'))
          ? readFileSync(join(machine.state, 'simulated', 'effects.jsonl'), 'utf8')
          : '';
      await until('begun', () => effects().includes('"begin"'));
      gateway.down = true;
      await until('installed', () => effects().includes('"end"'));
      gateway.down = false;
      await done(order.orderId);
      expect(effects().match(/"begin"/g)).toHaveLength(1);
    },
    LIMIT,
  );

  test(
    'killed at any moment: one start of the package manager, and every order told to its end',
    async () => {
      const machine = newMachine();
      writeFileSync(join(machine.state, 'simulated', 'behaviour.json'), JSON.stringify({ applyMs: 300 }));
      let agent = start(machine.config);
      const order = changeOrder(await enrolled());
      gateway.offer(order, {});
      for (let kill = 0; kill < 6; kill++) {
        await new Promise((resolve) => setTimeout(resolve, 120 + 90 * kill));
        await stop(agent);
        agent = start(machine.config);
      }
      await done(order.orderId);
      const effects = readFileSync(join(machine.state, 'simulated', 'effects.jsonl'), 'utf8');
      expect(effects.match(/"begin"/g)).toHaveLength(1);
      expect(gateway.order(order.orderId).reports.filter((r) => r.type === 'apply')).toHaveLength(1);
    },
    LIMIT,
  );
});
