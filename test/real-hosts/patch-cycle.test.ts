import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Approver, addApprover, approveByMail } from '../helpers/real-fleet/approve.js';
import { approvalBy, dailyHours, openPolicy, patchOf, ringOf } from '../helpers/real-fleet/documents.js';
import { brokenPromises } from '../helpers/real-fleet/promises.js';
import { type HostPlan, type RealFleet, startRealFleet } from '../helpers/real-fleet.js';
import { describeRealHosts, labStartLimit } from '../helpers/real-hosts.js';

const LIMIT = 720_000;
const MINUTE = 60_000;
const BERLIN = 'Europe/Berlin';
const NEW_YORK = 'America/New_York';
const NAME = 'everything pending';
const LAB_PACKAGE = 'labapp';

const hostNumbers = Array.from({ length: 10 }, (_, i) => i + 1);
const ringOfHost = (index: number) => (index <= 2 ? 'test' : index <= 4 ? 'early' : index <= 7 ? 'most' : 'late');
/** The last ring is in New York altogether. */
const zoneOfHost = (index: number) => (ringOfHost(index) === 'late' || index % 2 === 0 ? NEW_YORK : BERLIN);

describeRealHosts('a patch cycle on ten real hosts', () => {
  let fleet: RealFleet;
  let approver: Approver;
  let lateOpens: Date;

  beforeAll(async () => {
    const hosts = hostNumbers.map(
      (index): HostPlan => ({
        labels: { ring: ringOfHost(index), site: zoneOfHost(index) },
        before: (host) => host.install(`${LAB_PACKAGE}=1.0`),
      }),
    );
    fleet = await startRealFleet({
      hosts,
      lab: { zoneByHost: Object.fromEntries(hostNumbers.map((index) => [index, zoneOfHost(index)])) },
      archive: true,
      furnish: (lab) =>
        lab.repo.publish([
          { name: LAB_PACKAGE, version: '1.0', mode: 'good' },
          { name: LAB_PACKAGE, version: '1.1', mode: 'good', cves: ['CVE-2026-0001'] },
        ]),
      policies: {},
    });
    approver = await addApprover(fleet);
    const opened = new Date(Date.now() - 60 * MINUTE);
    // Later than the rings before it are done on a machine that has nothing else to do, so that the last ring has to wait.
    lateOpens = new Date(Math.ceil((Date.now() + 2 * MINUTE) / MINUTE) * MINUTE);
    const sites = [
      { name: 'berlin', precedence: 1, labels: { site: BERLIN }, opens: opened, zone: BERLIN },
      { name: 'new-york', precedence: 1, labels: { site: NEW_YORK }, opens: opened, zone: NEW_YORK },
      { name: 'new-york-late', precedence: 2, labels: { ring: 'late' }, opens: lateOpens, zone: NEW_YORK },
    ];
    for (const { name, precedence, labels, opens, zone } of sites) {
      const hours = dailyHours({ opens, zone, duration: 'PT6H' });
      const healthChecks = [{ type: 'http', url: 'http://127.0.0.1:8088/' }];
      const document = openPolicy({ appliesTo: { labels }, hours, healthChecks });
      await fleet.api('PUT', `/v1/policy-sets/${name}`, { precedence, document });
    }
  }, labStartLimit);
  afterAll(() => fleet?.end(), LIMIT);

  test(
    'all updates of the distribution and our own repository, four rings, two zones, one approval by POST on the mailed page: each version is proven on its host',
    async () => {
      const pending = await fleet.host(1).pending();
      expect(pending.length).toBeGreaterThan(28);
      expect(pending).toEqual(expect.arrayContaining(['libc6', 'openssl', 'openssh-server', 'perl', LAB_PACKAGE]));

      const rings = ['test', 'early', 'most', 'late'].map((ring, ordinal) =>
        ringOf({ name: ring, select: { labels: { ring } }, approvals: ordinal === 1 ? [approvalBy(approver.id)] : [] }),
      );
      const id = await fleet.createChange(patchOf({ name: NAME, include: 'all', rings }));
      const { mail, page } = await approveByMail({ fleet, approver, change: NAME });
      expect(mail).toMatch(/ring 0 "test" \(passed\): 2 succeeded, 0 failed/);
      expect(mail).toMatch(/glibc \S+ -> \S+ on 2 endpoints: libc-bin, libc6 \[CVE-/);
      expect(mail).toMatch(/labapp 1\.0 -> 1\.1 on 2 endpoints: labapp \[CVE-2026-0001\]/);
      expect(page).toContain('Your decision (approve) has been counted.');

      const change = await fleet.closed(id, LIMIT / 1_000);
      expect(change).toMatchObject({ outcome: 'completed', summary: { planned: 10, succeeded: 10, confirmed: 10 } });
      const orders = await fleet.orders(id);
      expect(orders.map(({ host, state, homeRing }) => [host, state, rings[homeRing]?.name])).toEqual(
        hostNumbers.map((index) => [index, 'succeeded', ringOfHost(index)]),
      );
      const startsIn = (ring: string) =>
        orders.filter((order) => ringOfHost(order.host) === ring).map((order) => order.startedAt?.getTime() ?? 0);
      expect(Math.min(...startsIn('late'))).toBeGreaterThanOrEqual(lateOpens.getTime());
      expect(Math.max(...startsIn('test'))).toBeLessThan(Math.min(...startsIn('early')));

      const planned = await fleet.rows(
        `SELECT e.name AS host, f.name, f.version, f.outcome, f.confirmed_at IS NOT NULL AS confirmed, f.window_kept
           FROM update_fact f JOIN endpoint e ON e.id = f.endpoint_id WHERE f.change_id = $1`,
        [id],
      );
      expect(planned.length).toBe(10 * pending.length);
      expect(planned.filter((fact) => !fact.confirmed || fact.window_kept === false)).toEqual([]);
      for (const order of orders) {
        const host = fleet.host(order.host);
        const versions = await host.versions();
        const facts = planned.filter((fact) => fact.host === host.name);
        // What dpkg on the host says, against what the change was to install: nothing missing, nothing left to do.
        expect(facts.map(({ name }) => name).sort()).toEqual(pending);
        expect(facts.map(({ name }) => [name, versions.get(name)])).toEqual(
          facts.map(({ name, version }) => [name, version]),
        );
        expect(await host.pending()).toEqual([]);
        expect(await host.audit()).toBe('');
        expect([...(await host.starts())]).toEqual([[order.id, [{ permitted: true }]]]);
        expect(await host.answer(LAB_PACKAGE)).toBe(`200 ${LAB_PACKAGE} 1.1`);
      }
      expect(await brokenPromises(fleet)).toEqual([]);
    },
    LIMIT,
  );
});
