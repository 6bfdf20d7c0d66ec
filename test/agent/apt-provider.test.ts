import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Lab, upLab } from '../../lab/index.js';
import type { AgentReport, OrderDocument } from '../../protocol/messages.js';
import { eventually } from '../helpers/api-process.js';
import { type FakeGateway, startFakeGateway } from '../helpers/fake-gateway.js';
import { describeRealHosts, labStartLimit } from '../helpers/real-hosts.js';
import { auditOf, changeOrder, enrolHost, givePackage, pendingMoves, versionOf } from './agent-host.js';

const http = (port = 8088): OrderDocument['healthChecks'] => [
  { type: 'http', url: `http://127.0.0.1:${port}/`, status: 200 },
];
const typesOf = (reports: readonly AgentReport[]) => reports.map((r) => r.type).filter((type) => type !== 'note');
const LIMIT = 180_000;

describeRealHosts('the agent on a real host', () => {
  let lab: Lab;
  let gateway: FakeGateway;
  const ids: Record<number, string> = {};
  let genuine: OrderDocument;

  beforeAll(async () => {
    lab = await upLab(2, { unsafeIo: false });
    gateway = await startFakeGateway({ address: lab.gatewayAddress });
    await lab.repo.publish([
      { name: 'labapp', version: '1.0', mode: 'good' },
      { name: 'labapp', version: '2.0', mode: 'good' },
      { name: 'labapp', version: '2.1', mode: 'postinst-fail' },
      { name: 'labapp', version: '2.2', mode: 'bad-health' },
      { name: 'labapp', version: '2.3', mode: 'slow', slowSeconds: 6 },
      { name: 'labapp', version: '2.4', mode: 'needs-reboot' },
      { name: 'labapp', version: '2.5', mode: 'good', depends: ['labdb'] },
      { name: 'labapp', version: '2.6', mode: 'crash' },
      { name: 'labdb', version: '1.0', mode: 'good' },
      { name: 'labdb', version: '2.0', mode: 'good' },
    ]);
    for (const index of [1, 2]) {
      await givePackage(lab, index, { name: 'labapp', version: '1.0' });
      ids[index] = await enrolHost(lab, gateway, index);
    }
  }, labStartLimit);
  afterAll(async () => {
    await gateway?.close();
    await lab?.down();
  }, LIMIT);

  const order = (index: number, moves: Parameters<typeof changeOrder>[0]['moves'], over: Partial<OrderDocument> = {}) =>
    changeOrder({ lab, index, gateway, endpointId: ids[index] ?? '', moves, over });
  const run = async (
    doc: OrderDocument,
    states: readonly string[] = ['succeeded', 'reverted', 'failed', 'revertFailed', 'skipped'],
  ) => {
    gateway.offer(doc, {});
    return gateway.waitFor(doc.orderId, states, LIMIT - 10_000);
  };
  const agentPid = async (index: number) =>
    Number(
      (await lab.must(index, ['systemctl', 'show', '-p', 'MainPID', '--value', 'ringmaster-agent.service'])).trim(),
    );

  test(
    'its first inventory names what is installed, pending, running and listening; it idles below 70 MB',
    async () => {
      await gateway.waitForInventory(2, 60_000);
      const inventory = gateway.inventories.find((i) => i.facts.hostname === 'host1');
      expect(inventory).toMatchObject({
        complete: true,
        provider: 'apt',
        auditClean: true,
        rebootRequired: false,
        indexAgeSeconds: 0,
      });
      expect(inventory?.updates.map((u) => u.name)).toEqual(
        expect.arrayContaining(['libc6', 'openssl', 'sudo', 'labapp']),
      );
      expect(inventory?.packages.find((p) => p.name === 'libssl3')).toMatchObject({ source: 'openssl' });
      expect(inventory?.services).toEqual(expect.arrayContaining([{ name: 'labapp.service', active: true }]));
      expect(inventory?.listeners).toEqual(
        expect.arrayContaining([expect.objectContaining({ port: 8088, protocol: 'tcp' })]),
      );
      const status = await lab.must(1, ['cat', `/proc/${await agentPid(1)}/status`]);
      const kilobytes = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]);
      expect(kilobytes).toBeGreaterThan(0);
      expect(kilobytes).toBeLessThan(70 * 1024);
    },
    LIMIT,
  );

  test(
    'genuine upgrades of several sources: the exact bytes, reported in batches',
    async () => {
      const moves = await pendingMoves(lab, 1, ['openssl', 'sudo', 'curl']);
      expect(moves.map((m) => m.name)).toEqual(expect.arrayContaining(['openssl', 'libssl3', 'sudo', 'curl']));
      const automatic = await lab.must(1, ['apt-mark', 'showauto']);
      const doc = await order(1, moves, { healthChecks: http() });
      genuine = doc;
      const pollsOfIt = () => gateway.polls.filter((p) => p.endpointId === ids[1]).length;
      const hasty = pollsOfIt();
      gateway.nextPollSeconds = 60;
      // Once it has been told so, only the wake-up channel can make the agent fetch it.
      await eventually(
        async () => pollsOfIt(),
        (polls) => polls > hasty,
      );
      const before = pollsOfIt();
      const reports = await run(doc);
      const polls = pollsOfIt() - before;
      gateway.nextPollSeconds = 0.5;
      gateway.wake();
      expect(typesOf(reports)).toEqual(['accept', 'staged', 'apply', 'applied', 'healthy']);
      for (const move of moves) expect(await versionOf(lab, 1, move.name)).toBe(`ii ${move.to}`);
      expect(await auditOf(lab, 1)).toBe('');
      expect(await lab.must(1, ['apt-mark', 'showauto'])).toBe(automatic);
      // Two requests: the one that fetched it, the one that reported it; and one more for each ten seconds of work.
      const seconds = ((reports.at(-1)?.at ?? 0) - (reports[0]?.at ?? 0)) / 1_000;
      expect(polls).toBeLessThanOrEqual(2 + Math.floor(seconds / 10));
    },
    LIMIT,
  );

  test(
    'a revert that would take other packages along is not begun; all binaries of the sources together go back',
    async () => {
      const part = (list: readonly { name: string }[]) => list.filter((p) => p.name === 'libcurl4') as never;
      const over = { kind: 'revert' as const, expiresAt: Date.now() + 600_000 };
      const some: OrderDocument = {
        ...genuine,
        ...over,
        orderId: '00000000-0000-4000-8000-0000000000a1',
        reverts: UNKNOWN_ORDER,
        updates: part(genuine.updates),
        previous: part(genuine.previous),
      };
      expect((await run(some)).at(-1)).toMatchObject({
        type: 'failed',
        cause: expect.stringContaining('going back would do something else'),
      });
      for (const { name, to } of genuine.updates) expect(await versionOf(lab, 1, name)).toBe(`ii ${to}`);
      const all = { ...genuine, ...over, orderId: '00000000-0000-4000-8000-0000000000a2', reverts: genuine.orderId };
      expect(typesOf(await run(all))).toEqual(['accept', 'staged', 'revertBegun', 'reverted']);
      for (const { name, from } of genuine.updates) expect(await versionOf(lab, 1, name)).toBe(`ii ${from}`);
      expect(await versionOf(lab, 1, 'openssh-server')).toMatch(/^ii /);
      expect(await auditOf(lab, 1)).toBe('');
    },
    LIMIT,
  );

  describe('a version that breaks the host goes back by itself', () => {
    test.each([
      ['its configuration script fails', '2.1', ['accept', 'staged', 'apply', 'revertBegun', 'reverted']],
      ['its service answers 503', '2.2', ['accept', 'staged', 'apply', 'applied', 'revertBegun', 'reverted']],
      ['its service exits at once', '2.6', ['accept', 'staged', 'apply', 'applied', 'revertBegun', 'reverted']],
    ])(
      '%s',
      async (_, version, expected) => {
        await lab.must(1, ['sh', '-c', 'echo "greeting=mine" >/etc/labapp/labapp.conf']);
        const doc = await order(1, [{ name: 'labapp', from: '1.0', to: version }], { healthChecks: http() });
        const reports = await run(doc);
        expect(typesOf(reports)).toEqual(expected);
        expect(await versionOf(lab, 1, 'labapp')).toBe('ii 1.0');
        expect(await auditOf(lab, 1)).toBe('');
        expect(await lab.must(1, ['cat', '/etc/labapp/labapp.conf'])).toBe('greeting=mine\n');
        const snapshot = await lab.must(1, [
          'cat',
          `/var/lib/ringmaster-agent/orders/${doc.orderId}/etc/manifest.json`,
        ]);
        expect(JSON.parse(snapshot)).toEqual(
          expect.arrayContaining([expect.objectContaining({ path: '/etc/labapp/labapp.conf', mode: 0o644 })]),
        );
        expect(await lab.must(1, ['curl', '-s', 'http://127.0.0.1:8088/'])).toBe('labapp 1.0\n');
      },
      LIMIT,
    );
  });

  describe('what is refused or declined, with nothing touched', () => {
    const untouched = async () => {
      expect(await versionOf(lab, 1, 'labapp')).toBe('ii 1.0');
      expect(await versionOf(lab, 1, 'labdb')).toBe('none');
    };
    test(
      'a simulation that differs from the plan',
      async () => {
        const doc = await order(1, [{ name: 'labapp', from: '1.0', to: '2.5' }]);
        const reports = await run(doc);
        expect(reports.at(-1)).toMatchObject({
          type: 'refuse',
          reason: expect.stringContaining('simulation differs from the plan'),
        });
        await untouched();
      },
      LIMIT,
    );
    test(
      'content whose digest differs',
      async () => {
        const doc = await order(1, [{ name: 'labapp', from: '1.0', to: '2.0' }]);
        const bytes = gateway.content.get(doc.updates[0]?.sha256 ?? '') as Buffer;
        const bad = Buffer.from(bytes);
        bad[bad.length - 1] = (bad.at(-1) ?? 0) ^ 1;
        gateway.content.set(doc.updates[0]?.sha256 ?? '', bad);
        const reports = await run(doc);
        gateway.content.set(doc.updates[0]?.sha256 ?? '', bytes);
        expect(reports.at(-1)).toMatchObject({ type: 'refuse', reason: expect.stringContaining('digest') });
        await untouched();
      },
      LIMIT,
    );
    test(
      'a package that its owner holds',
      async () => {
        await lab.must(1, ['apt-mark', 'hold', 'labapp']);
        const reports = await run(await order(1, [{ name: 'labapp', from: '1.0', to: '2.0' }]));
        await lab.must(1, ['apt-mark', 'unhold', 'labapp']);
        expect(reports.at(-1)).toMatchObject({ type: 'decline', reason: 'labapp is held on this endpoint' });
        await untouched();
      },
      LIMIT,
    );
    test(
      "the owner's limits file, malformed",
      async () => {
        await lab.push(1, Buffer.from('{"hold": maybe}'), '/etc/ringmaster-agent/limits.json');
        const reports = await run(await order(1, [{ name: 'labapp', from: '1.0', to: '2.0' }]));
        await lab.must(1, ['rm', '/etc/ringmaster-agent/limits.json']);
        expect(reports.at(-1)).toMatchObject({
          type: 'decline',
          reason: expect.stringContaining("can't be understood"),
        });
        await untouched();
      },
      LIMIT,
    );
    test(
      'a clock 10 minutes off: staged, said, not begun; the clocks agree again: done',
      async () => {
        gateway.clockOffset = 600_000;
        const doc = await order(2, [{ name: 'labapp', from: '1.0', to: '2.0' }]);
        doc.expiresAt = Date.now() + 7_200_000;
        gateway.offer(doc, {});
        await gateway.waitFor(doc.orderId, ['staged'], 60_000);
        const noted = () => gateway.order(doc.orderId).reports.find((r) => r.type === 'note');
        await until('a note', async () => noted() !== undefined);
        expect(noted()).toMatchObject({ text: expect.stringMatching(/clock is 10 min behind/) });
        expect(await versionOf(lab, 2, 'labapp')).toBe('ii 1.0');
        gateway.clockOffset = 0;
        gateway.permit(doc.orderId, {});
        await gateway.waitFor(doc.orderId, ['succeeded'], 60_000);
      },
      LIMIT,
    );
  });

  test(
    'killed with dpkg at work: one apply, and the change is proven all the same',
    async () => {
      const doc = await order(1, [{ name: 'labapp', from: '1.0', to: '2.3' }], { healthChecks: http() });
      gateway.offer(doc, {});
      await until('dpkg at work', async () => (await lab.exec(1, ['pgrep', '-f', 'labapp.postinst'])).code === 0);
      await lab.must(1, ['kill', '-9', String(await agentPid(1))]);
      const reports = await gateway.waitFor(doc.orderId, ['succeeded'], 120_000);
      expect(typesOf(reports)).toEqual(['accept', 'staged', 'apply', 'applied', 'healthy']);
      const log = await lab.must(1, ['cat', '/var/log/apt/history.log']);
      expect(log.match(/labapp:\S+ \(1\.0, 2\.3\)/g)).toHaveLength(1);
    },
    LIMIT,
  );

  test(
    'agent and package manager killed together: repaired, and proven',
    async () => {
      await givePackage(lab, 1, { name: 'labapp', version: '1.0' });
      const doc = await order(1, [{ name: 'labapp', from: '1.0', to: '2.3' }], { healthChecks: http() });
      gateway.offer(doc, {});
      await until('dpkg at work', async () => (await lab.exec(1, ['pgrep', '-f', 'labapp.postinst'])).code === 0);
      await lab.exec(1, [
        'sh',
        '-c',
        'kill -9 "$1"; pkill -9 -f ringmaster-run; pkill -9 apt-get; pkill -9 dpkg; pkill -9 -f labapp.postinst',
        'sh',
        String(await agentPid(1)),
      ]);
      const reports = await gateway.waitFor(doc.orderId, ['succeeded', 'reverted', 'failed'], 120_000);
      expect(typesOf(reports)).toEqual(['accept', 'staged', 'apply', 'applied', 'healthy']);
      expect(reports.find((r) => r.type === 'note')).toMatchObject({ text: expect.stringContaining('repaired') });
      expect(await auditOf(lab, 1)).toBe('');
    },
    LIMIT,
  );

  test(
    'a filesystem of its own that is too small is found before anything begins, and named',
    async () => {
      await givePackage(lab, 1, { name: 'labapp', version: '1.0' });
      // Only the packages' own listing tells that they write there.
      await lab.must(1, ['mount', '-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', '/usr/share/doc']);
      const doc = await order(1, [{ name: 'labapp', from: '1.0', to: '2.3' }]);
      const reports = await run(doc);
      await lab.must(1, ['umount', '/usr/share/doc']);
      expect(typesOf(reports)).toEqual(['accept', 'failed']);
      expect(reports.at(-1)).toMatchObject({
        cause: expect.stringMatching(
          /^not enough disk space on \/usr\/share\/doc: \d+ bytes \(\d+ MB\) needed, \d+ bytes \(\d+ MB\) free$/,
        ),
      });
      expect(await versionOf(lab, 1, 'labapp')).toBe('ii 1.0');
    },
    LIMIT,
  );

  test(
    'a reboot is its own step, and waits for its permit',
    async () => {
      await givePackage(lab, 1, { name: 'labapp', version: '1.0' });
      const doc = await order(1, [{ name: 'labapp', from: '1.0', to: '2.4' }], {
        reboot: 'ifNeeded',
        healthChecks: http(),
      });
      gateway.offer(doc, { rebootBy: null });
      await gateway.waitFor(doc.orderId, ['awaitingReboot'], 60_000);
      const mark = lab.bootMark(1);
      gateway.permit(doc.orderId, {});
      const reports = await gateway.waitFor(doc.orderId, ['succeeded'], 120_000);
      expect(typesOf(reports)).toEqual(['accept', 'staged', 'apply', 'applied', 'reboot', 'booted', 'healthy']);
      expect(lab.bootMark(1)).not.toBe(mark);
    },
    LIMIT,
  );

  test(
    'the power goes while libc6 is unpacked: the host ends consistent, on the new version',
    async () => {
      const moves = await pendingMoves(lab, 2, ['libc6', 'libc-bin']);
      expect(moves.map((m) => m.name)).toContain('libc6');
      const doc = await order(2, moves, { healthChecks: http() });
      gateway.offer(doc, {});
      await until(
        'libc6 half unpacked',
        async () => (await lab.exec(2, ['grep', '-q', 'status half-installed libc6', '/var/log/dpkg.log'])).code === 0,
        5,
      );
      await lab.cutPower(2);
      await lab.on(2);
      const reports = await gateway.waitFor(doc.orderId, ['succeeded', 'reverted'], 150_000);
      expect(typesOf(reports)).toEqual(['accept', 'staged', 'apply', 'applied', 'healthy']);
      expect(reports.find((r) => r.type === 'note')).toMatchObject({ text: expect.stringContaining('cut short') });
      for (const move of moves) expect(await versionOf(lab, 2, move.name)).toBe(`ii ${move.to}`);
      expect(await auditOf(lab, 2)).toBe('');
      expect(await lab.must(2, ['dpkg', '--verify', 'libc6'])).not.toMatch(/^..5/m);
    },
    LIMIT,
  );
});

const UNKNOWN_ORDER = '00000000-0000-4000-8000-00000000ffff';

/** @throws when it has not come true within a minute. */
async function until(what: string, condition: () => Promise<boolean>, pollMs = 30): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}
