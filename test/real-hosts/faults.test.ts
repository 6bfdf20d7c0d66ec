import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { defaultPort } from '../../lab/index.js';
import { type Approver, addApprover, approveByMail } from '../helpers/real-fleet/approve.js';
import { approvalBy, dailyHours, openPolicy, patchOf, ringOf } from '../helpers/real-fleet/documents.js';
import type { RealHost } from '../helpers/real-fleet/host.js';
import { brokenPromises } from '../helpers/real-fleet/promises.js';
import { type RealFleet, startRealFleet } from '../helpers/real-fleet.js';
import { describeRealHosts, labStartLimit } from '../helpers/real-hosts.js';

const LIMIT = 480_000;
const MINUTE = 60_000;

/** The hosts by number, the part each plays, and the packages it has in version 1.0 while 1.1 is there to be had. */
const PARTS = [
  { part: 'canary', packages: ['labpost', 'labhealth'] },
  { part: 'canary', packages: ['labpost', 'labhealth'] },
  { part: 'bystander', packages: ['labpost', 'labhealth'] },
  { part: 'powerless', packages: [] },
  { part: 'away', packages: ['labaway'] },
  { part: 'present', packages: ['labaway', 'labslow'] },
  { part: 'overtaken', packages: ['labgate'] },
  { part: 'held', packages: ['labgate', 'labboot'] },
  { part: 'limited', packages: ['labgate'] },
] as const;
const numbersOf = (...parts: readonly (typeof PARTS)[number]['part'][]): number[] =>
  PARTS.flatMap(({ part }, at) => (parts.includes(part) ? [at + 1] : []));
const [BYSTANDER, POWERLESS, AWAY, PRESENT, OVERTAKEN, HELD, LIMITED] = numbersOf(
  'bystander',
  'powerless',
  'away',
  'present',
  'overtaken',
  'held',
  'limited',
) as [number, number, number, number, number, number, number];

const policyFor = (part: string, over: Readonly<Record<string, unknown>>) => ({
  precedence: 2,
  document: openPolicy({ appliesTo: { labels: { part } }, ...over }),
});

describeRealHosts('faults on real hosts', () => {
  let fleet: RealFleet;
  let approver: Approver;
  /** Takes minutes of waiting for a window, so it goes on beside the other tests. */
  let caughtUp: Promise<Awaited<ReturnType<typeof missAWindow>>>;

  beforeAll(async () => {
    const names = [...new Set(PARTS.flatMap(({ packages }) => packages))];
    fleet = await startRealFleet({
      hosts: PARTS.map(({ part, packages }) => ({
        labels: { part },
        before: async (host: RealHost) => {
          if (packages.length > 0) await host.install(...packages.map((name) => `${name}=1.0`));
          if (part === 'overtaken') await host.installUnattendedUpgrades('Ringmaster Lab');
        },
      })),
      lab: { unsafeIo: false },
      archive: true,
      furnish: (lab) =>
        lab.repo.publish([
          ...names.map((name) => ({ name, version: '1.0', mode: 'good' }) as const),
          { name: 'labpost', version: '1.1', mode: 'postinst-fail' },
          { name: 'labhealth', version: '1.1', mode: 'bad-health' },
          { name: 'labslow', version: '1.1', mode: 'slow', slowSeconds: 6 },
          { name: 'labboot', version: '1.1', mode: 'slow', slowSeconds: 4 },
          { name: 'labaway', version: '1.1', mode: 'good' },
          { name: 'labgate', version: '1.1', mode: 'good' },
        ]),
      policies: {
        open: { precedence: 1, document: openPolicy() },
        canaries: policyFor('canary', {
          healthChecks: [{ type: 'http', url: `http://127.0.0.1:${defaultPort('labhealth')}/` }],
        }),
        rebooted: policyFor('held', { reboot: 'always' }),
      },
    });
    approver = await addApprover(fleet);
    await Promise.all(numbersOf('canary').map((index) => fleet.host(index).configure({ healthGraceSeconds: 4 })));
    caughtUp = missAWindow();
    caughtUp.catch(() => undefined);
  }, labStartLimit);
  afterAll(() => fleet?.end(), LIMIT);

  /** Two windows a day, the next of which opens in minutes; the host is off in the one that is open now. */
  async function missAWindow() {
    const now = Math.floor(Date.now() / MINUTE) * MINUTE;
    const zone = 'Etc/UTC';
    const missed = dailyHours({ opens: new Date(now - MINUTE), zone, duration: 'PT3M' });
    const nextOpens = new Date(now + 3 * MINUTE);
    const next = dailyHours({ opens: nextOpens, zone, duration: 'PT2H' });
    const hours = { ...missed, apply: { windows: [...missed.apply.windows, ...next.apply.windows] } };
    await fleet.api('PUT', '/v1/policy-sets/twice', policyFor('away', { hours }));
    await fleet.lab.off(AWAY);
    const ids = await Promise.all([AWAY, PRESENT].map((index) => fleet.endpointId(index)));
    const id = await fleet.createChange(
      patchOf({
        name: 'a host is off',
        include: { packages: ['labaway'] },
        rings: [ringOf({ minSample: 1 })],
        over: { scope: { ids }, offlineAfterMinutes: 1 },
      }),
    );
    const passed = await fleet.waitFor(
      'the ring has passed without the host that is off',
      async () =>
        (await fleet.rows(`SELECT state FROM ring WHERE change_id = $1 AND ordinal = 0 AND state = 'passed'`, [id]))[0],
      260,
    );
    const whileOff = await fleet.orders(id);
    await fleet.waitFor('the missed window has closed', () => Date.now() > now + 2 * MINUTE + 5_000);
    await fleet.lab.wake(AWAY);
    const change = await fleet.closed(id);
    return { id, passed, whileOff, change, nextOpens };
  }

  test.each([
    ['whose postinst fails', 'labpost', 'labhealth'],
    ['whose service answers 503', 'labhealth', 'labpost'],
  ])(
    'a package %s takes all updates it came with back to the exact old versions; the budget halts the ring, and nothing else is touched',
    async (_, name, other) => {
      const hosts = numbersOf('canary', 'bystander').map((index) => fleet.host(index));
      const before = await Promise.all(hosts.map((host) => host.versions()));
      const id = await fleet.createChange(
        patchOf({
          name: `bad ${name}`,
          include: 'all',
          exclude: [other],
          rings: [
            ringOf({ name: 'canaries', select: { labels: { part: 'canary' } }, maxInFlight: 1 }),
            ringOf({ name: 'rest' }),
          ],
          over: { scope: { ids: await Promise.all(hosts.map((host) => fleet.endpointId(host.index))) } },
        }),
      );
      const halted = await fleet.waitFor('the ring is halted', async () => {
        const rings = await fleet.rows(
          `SELECT ordinal, state, halted, halt_reason, halted_by FROM ring WHERE change_id = $1 ORDER BY 1`,
          [id],
        );
        const settled = (await fleet.orders(id)).every((order) => ['pending', 'reverted'].includes(order.state));
        return rings[0].halted && settled ? rings : null;
      });
      expect(halted[0]).toMatchObject({
        halted_by: 'budget',
        halt_reason: expect.stringContaining('error budget spent'),
      });
      const orders = await fleet.orders(id);
      // One canary failed and went back; the other was never let out; the bystander's ring has not even been opened.
      expect(orders.map((order) => order.state).sort()).toEqual(['pending', 'reverted']);
      expect(orders.map((order) => order.host).sort()).toEqual(numbersOf('canary'));
      const tried = orders.find((order) => order.state === 'reverted');
      expect(tried?.reason).toMatch(name === 'labpost' ? /labpost/ : /not healthy: http .* answered 503/);

      await fleet.api('POST', `/v1/changes/${id}/abort`, { reason: 'it is broken' });
      expect((await fleet.closed(id)).outcome).toBe('aborted');
      expect((await fleet.orders(id)).map((order) => order.state).sort()).toEqual(['reverted', 'withdrawn']);
      for (const [at, host] of hosts.entries()) {
        expect(await host.versions()).toEqual(before[at]);
        expect(await host.audit()).toBe('');
        expect((await host.starts()).has(tried?.id ?? '')).toBe(host.index === tried?.host);
        expect(await host.answer(name)).toBe(`200 ${name} 1.0`);
      }
    },
    LIMIT,
  );

  test(
    'a ring that had passed is taken back on a person’s word: every version is as it was, and later rings never open',
    async () => {
      const [bystander, held] = [fleet.host(BYSTANDER), fleet.host(HELD)];
      const before = await bystander.versions();
      const untouched = await held.versions();
      const id = await fleet.createChange(
        patchOf({
          name: 'taken back',
          include: 'all',
          exclude: ['lab*'],
          rings: [
            ringOf({ name: 'first', select: { labels: { part: 'bystander' } } }),
            ringOf({ name: 'second', approvals: [approvalBy(approver.id)] }),
          ],
          over: { scope: { ids: [await fleet.endpointId(BYSTANDER), await fleet.endpointId(HELD)] } },
        }),
      );
      await fleet.waitFor(
        'the second ring waits for approval',
        async () =>
          (await fleet.rows('SELECT waiting_for FROM change WHERE id = $1', [id]))[0].waiting_for?.includes('approval'),
        200,
      );
      const patched = await bystander.versions();
      expect(patched.get('libc6')).not.toBe(before.get('libc6'));
      await fleet.api('POST', `/v1/changes/${id}/rollback`, { reason: 'the business says no' });
      expect((await fleet.closed(id)).outcome).toBe('rolledBack');
      expect(await fleet.orders(id, 'revert')).toEqual([
        expect.objectContaining({ host: BYSTANDER, state: 'reverted' }),
      ]);
      expect(await bystander.versions()).toEqual(before);
      expect(await bystander.audit()).toBe('');
      expect(await held.versions()).toEqual(untouched);
    },
    LIMIT,
  );

  test(
    'a power cut while libc6 is being unpacked ends consistent: installed and proven, or gone back',
    async () => {
      const host = fleet.host(POWERLESS);
      const before = await host.versions();
      const id = await fleet.createChange(
        patchOf({ name: 'cut short', labels: { part: 'powerless' }, include: { sources: ['glibc'] } }),
      );
      // dpkg is stopped in the middle, so that the power goes while libc6 is half unpacked and not a moment later.
      const [log, format] = ['/var/log/dpkg.log', '-f=$' + '{db:Status-Status}'];
      const script = `until grep -q "status half-installed libc6:" ${log}; do :; done; pkill -STOP -x dpkg; dpkg-query -W "$1" libc6`;
      expect(await host.run(['sh', '-c', script, 'sh', format])).toBe('half-installed');
      await fleet.lab.cutPower(POWERLESS);
      await fleet.lab.on(POWERLESS);

      const change = await fleet.closed(id);
      const [order] = await fleet.orders(id);
      const after = await host.versions();
      const planned = await fleet.rows('SELECT name, version FROM update_fact WHERE change_id = $1 ORDER BY name', [
        id,
      ]);
      const went = planned.map(({ name }) => [name, after.get(name)]);
      expect(planned.map(({ name }) => name)).toEqual(['libc-bin', 'libc6']);
      if (order?.state === 'succeeded') {
        expect(change.outcome).toBe('completed');
        expect(went).toEqual(planned.map(({ name, version }) => [name, version]));
      } else {
        expect(order?.state).toBe('reverted');
        expect(went).toEqual(planned.map(({ name }) => [name, before.get(name)]));
      }
      expect(await host.audit()).toBe('');
      expect((await host.starts()).get(order?.id ?? '')).toEqual([{ permitted: true }]);
      expect(await host.run(['dpkg', '--verify', 'libc6', 'libc-bin'])).not.toMatch(/^..5/m);
      expect(await host.run(['systemctl', 'is-system-running'])).toBe('running\n');
    },
    LIMIT,
  );

  test(
    'a host where unattended-upgrades got there first counts as satisfied; a hold and the owner’s limits are honoured',
    async () => {
      const parts = [OVERTAKEN, HELD, LIMITED];
      const name = 'gated';
      const ids = await Promise.all(parts.map((index) => fleet.endpointId(index)));
      const id = await fleet.createChange(
        patchOf({
          name,
          include: { packages: ['labgate'] },
          rings: [ringOf({ approvals: [approvalBy(approver.id)] })],
          over: { scope: { ids } },
        }),
      );
      await fleet.waitFor('approval is asked for', () =>
        fleet.mailbox.mails.find((mail) => mail.subject.includes(name)),
      );
      // The plan is frozen; what owners do now, it does not know.
      await fleet.host(OVERTAKEN).run(['unattended-upgrade']);
      await fleet.host(HELD).run(['apt-mark', 'hold', 'labgate']);
      await fleet.lab.push(LIMITED, Buffer.from('{"neverTouch": ["labg*"]}'), '/etc/ringmaster-agent/limits.json');
      await approveByMail({ fleet, approver, change: name });
      const change = await fleet.closed(id);
      const orders = await fleet.orders(id);
      expect(change).toMatchObject({ outcome: 'completed', summary: { planned: 3, succeeded: 1, confirmed: 1 } });
      expect(orders).toEqual([
        expect.objectContaining({ host: OVERTAKEN, state: 'succeeded', startedAt: null }),
        expect.objectContaining({ host: HELD, state: 'skipped', reason: expect.stringContaining('held') }),
        expect.objectContaining({ host: LIMITED, state: 'skipped', reason: expect.stringContaining('labg*') }),
      ]);
      expect(await Promise.all(parts.map((index) => fleet.host(index).version('labgate')))).toEqual([
        '1.1',
        '1.0',
        '1.0',
      ]);
      expect((await fleet.host(OVERTAKEN).starts()).size).toBe(0);
      const hands = await fleet.waitFor('the other hands are reported', async () => {
        const [seen] = await fleet.rows('SELECT observations FROM endpoint WHERE id = $1', [ids[0]]);
        const { otherHands } = seen.observations;
        const did: readonly { what: string }[] = otherHands?.lastTransactionsOfOthers ?? [];
        return did.some(({ what }) => what.endsWith('unattended-upgrade')) ? otherHands : null;
      });
      expect(hands.enabled).toContain('unattended-upgrades.service');
    },
    LIMIT,
  );

  test(
    'the agent is killed in the middle of applying: applied once, and proven',
    async () => {
      const host = fleet.host(PRESENT);
      const id = await fleet.createChange(
        patchOf({ name: 'slow', labels: { part: 'present' }, include: { packages: ['labslow'] } }),
      );
      await fleet.waitFor('labslow is being configured', async () => {
        const [order] = await fleet.orders(id);
        return (
          order?.state === 'applying' &&
          (await host.run(['sh', '-c', 'grep -c "configure labslow:all 1.1" /var/log/dpkg.log || true'])) !== '0\n'
        );
      });
      const pid = await host.agentPid();
      await host.killAgent();
      const change = await fleet.closed(id);
      expect(change.outcome).toBe('completed');
      const [order] = await fleet.orders(id);
      expect(order?.state).toBe('succeeded');
      expect(await host.agentPid()).not.toBe(pid);
      expect((await host.starts()).get(order?.id ?? '')).toEqual([{ permitted: true }]);
      expect(await host.version('labslow')).toBe('1.1');
      expect(await host.audit()).toBe('');
      const configured = await host.run(['grep', '-c', ' configure labslow:all 1.1 ', '/var/log/dpkg.log']);
      expect(configured.trim()).toBe('1');
    },
    LIMIT,
  );

  test(
    'a reboot is a step of its own, and succeeds while the worker is dead',
    async () => {
      const host = fleet.host(HELD);
      const before = fleet.lab.bootMark(HELD);
      const id = await fleet.createChange(
        patchOf({ name: 'reboot', labels: { part: 'held' }, include: { packages: ['labboot'] } }),
      );
      await fleet.waitFor('it is being applied', async () => (await fleet.orders(id))[0]?.state === 'applying');
      await fleet.killWorker();
      await fleet.waitFor('the host says so itself', async () => (await fleet.orders(id))[0]?.state === 'succeeded');
      expect(fleet.lab.bootMark(HELD)).toBeGreaterThan(before ?? Number.POSITIVE_INFINITY);
      await fleet.startWorker();
      expect((await fleet.closed(id)).outcome).toBe('completed');
      const [order] = await fleet.orders(id);
      const steps = (await host.book()).orders[order?.id ?? '']?.reports.map((report) => report.type);
      expect(steps).toEqual(['accept', 'staged', 'apply', 'applied', 'reboot', 'booted', 'healthy']);
      expect(await host.version('labboot')).toBe('1.1');
      expect(await host.answer('labboot')).toBe('200 labboot 1.1');
    },
    LIMIT,
  );

  test(
    'a host that is off in its window is caught up in the next one',
    async () => {
      const { id, whileOff, change, nextOpens } = await caughtUp;
      expect(whileOff).toEqual([
        expect.objectContaining({ host: AWAY, state: 'pending' }),
        expect.objectContaining({ host: PRESENT, state: 'succeeded', ring: 0 }),
      ]);
      expect(change.outcome).toBe('completed');
      const [away] = await fleet.orders(id);
      expect(away).toMatchObject({ host: AWAY, state: 'succeeded', ring: 1000, homeRing: 0 });
      expect(away?.startedAt?.getTime()).toBeGreaterThanOrEqual(nextOpens.getTime());
      expect(await fleet.host(AWAY).version('labaway')).toBe('1.1');
    },
    LIMIT,
  );

  test(
    'afterwards every order has ended, each was begun at most once and inside its permit, and the audit chain holds',
    async () => {
      expect(await brokenPromises(fleet)).toEqual([]);
    },
    LIMIT,
  );
});
