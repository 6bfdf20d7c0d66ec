import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { HostIsOff, type Lab, leftovers, upLab } from '../../lab/index.js';
import { describeRealHosts, labStartLimit } from '../helpers/real-hosts.js';

describeRealHosts('lab', () => {
  let lab: Lab;
  const limit = 120_000;

  beforeAll(async () => {
    lab = await upLab(2, { zoneByHost: { 2: 'Asia/Tokyo' }, unsafeIo: false });
  }, labStartLimit);
  afterAll(async () => {
    await lab?.down();
  }, limit);

  test(
    'a fresh host has months of genuine upgrades pending',
    async () => {
      const simulated = await lab.must(1, ['apt-get', '--simulate', 'dist-upgrade']);
      const pending = [...simulated.matchAll(/^Inst (\S+)/gm)].map((m) => m[1]);
      expect(pending.length).toBeGreaterThanOrEqual(28);
      expect(pending).toEqual(expect.arrayContaining(['libc6', 'openssl', 'curl', 'openssh-server', 'sudo', 'perl']));
      // The archive named today is the one those upgrades come from: fetching one works and its hash is right.
      await lab.must(1, ['apt-get', 'update']);
      await lab.must(1, ['apt-get', 'install', '--yes', '--only-upgrade', '--no-remove', 'sudo']);
      const after = await lab.must(1, ['apt-get', '--simulate', 'dist-upgrade']);
      expect([...after.matchAll(/^Inst sudo /gm)]).toEqual([]);
    },
    limit,
  );

  test('hosts differ in name, machine id, address and zone, and see each other and nothing else', async () => {
    const facts = (i: number) => lab.must(i, ['sh', '-c', 'hostname; cat /etc/machine-id; date +%Z']);
    const [name1, id1, zone1] = (await facts(1)).split('\n');
    const [name2, id2, zone2] = (await facts(2)).split('\n');
    expect([name1, zone1, name2, zone2]).toEqual(['host1', 'UTC', 'host2', 'JST']);
    expect(id1).toMatch(/^[0-9a-f]{32}$/);
    expect(id2).not.toBe(id1);
    expect(await lab.must(1, ['ip', 'route', 'show', 'default'])).toBe('');
    const reach = (url: string) => lab.exec(1, ['curl', '--silent', '--fail', '--output', '/dev/null', url]);
    expect((await reach(`${lab.relayUrl}/lab/dists/lab/InRelease`)).code).toBe(0);
    const elsewhere = await lab.exec(1, ['curl', '-s', '-x', lab.relayUrl, 'http://elsewhere.example/x']);
    expect(elsewhere.stdout).toBe('the lab has no way to elsewhere.example\n');
  });

  test('exec passes input, output and exit code; files go in and out byte for byte', async () => {
    const echoed = await lab.exec(1, ['sh', '-c', 'cat; echo no >&2; exit 7'], { stdin: 'in' });
    expect(echoed).toEqual({ code: 7, stdout: 'in', stderr: 'no\n' });
    const bytes = Buffer.from([0, 255, 10, 13, 128]);
    await lab.push(1, bytes, '/srv/deep/er/file', 0o640);
    expect(await lab.read(1, '/srv/deep/er/file')).toEqual(bytes);
    expect(await lab.must(1, ['stat', '-c', '%a %U', '/srv/deep/er/file'])).toBe('640 root\n');
    await expect(lab.exec(1, ['sleep', '600'], { timeoutMs: 200 })).rejects.toThrow('not finished after 200 ms');
    // Ours alone, and given the moment a killed process takes to go: a booting host runs sleeps of its own.
    for (let look = 0; (await lab.exec(1, ['pgrep', '-fx', 'sleep 600'])).code === 0; look += 1)
      expect(look).toBeLessThan(100);
  });

  test(
    'published packages install from the signed repository, good and bad',
    async () => {
      await lab.repo.publish([{ name: 'labapp', version: '1.0', mode: 'good' }]);
      await lab.must(1, ['apt-get', 'update']);
      await lab.must(1, ['apt-get', 'install', '--yes', 'labapp']);
      const health = async () => {
        const response = await fetch(`http://${lab.host(1).address}:8088/`);
        return `${response.status} ${await response.text()}`;
      };
      expect(await health()).toBe('200 labapp 1.0\n');

      await lab.repo.publish([{ name: 'labapp', version: '1.1', mode: 'bad-health', cves: ['CVE-2026-0001'] }]);
      await lab.must(1, ['apt-get', 'update']);
      await lab.must(1, ['apt-get', 'install', '--yes', 'labapp']);
      expect(await health()).toBe('503 labapp 1.1\n');

      await lab.repo.publish([{ name: 'labapp', version: '1.2', mode: 'postinst-fail' }]);
      await lab.must(1, ['apt-get', 'update']);
      expect((await lab.exec(1, ['apt-get', 'install', '--yes', 'labapp'])).code).toBe(100);
      expect(await lab.must(1, ['dpkg', '--list', 'labapp'])).toMatch(/^iF {2}labapp +1\.2 /m);

      await lab.repo.publish([{ name: 'labdb', version: '1', mode: 'good' }]);
      lab.repo.tamper('labdb', '1');
      await lab.must(1, ['apt-get', 'update']);
      const tampered = await lab.exec(1, ['apt-get', 'install', '--yes', 'labdb']);
      expect(tampered.code).toBe(100);
      expect(tampered.stderr).toContain('Hash Sum mismatch');
    },
    limit,
  );

  test(
    'a reboot is a new boot of the same disk',
    async () => {
      await lab.must(1, ['sh', '-c', 'echo kept >/srv/mark; echo lost >/run/mark']);
      const before = lab.bootMark(1);
      expect(before).toBeDefined();
      await lab.reboot(1);
      expect(lab.bootMark(1)).toBeGreaterThan(before ?? Number.POSITIVE_INFINITY);
      expect(String(await lab.read(1, '/srv/mark'))).toBe('kept\n');
      expect((await lab.exec(1, ['test', '-e', '/run/mark'])).code).toBe(1);
    },
    limit,
  );

  test(
    'a power cut ends everything at once, and the host comes back with its disk',
    async () => {
      const running = lab.exec(1, ['sh', '-c', 'echo begun >/srv/cut; sleep 600; echo ended >/srv/cut']);
      while ((await lab.exec(1, ['grep', '-q', 'begun', '/srv/cut'])).code !== 0) await new Promise(setImmediate);
      await lab.cutPower(1);
      expect((await running).code).not.toBe(0);
      expect(lab.isOn(1)).toBe(false);
      await expect(lab.exec(1, ['true'])).rejects.toThrow(HostIsOff);
      expect(lab.status().map((h) => h.power)).toEqual(['off', 'on']);
      await lab.on(1);
      expect(String(await lab.read(1, '/srv/cut'))).toBe('begun\n');
    },
    limit,
  );

  test(
    'a host that is off wakes by its own magic packet',
    async () => {
      await lab.off(2);
      expect(lab.isOn(2)).toBe(false);
      await lab.wake(2);
      expect(await lab.must(2, ['hostname'])).toBe('host2\n');
    },
    limit,
  );

  test(
    'two labs run side by side, and down leaves nothing of one and all of the other',
    async () => {
      const other = await upLab(1);
      expect(other.gatewayAddress).not.toBe(lab.gatewayAddress);
      expect(await other.leftovers()).not.toEqual([]);
      await other.down();
      expect(await leftovers(other.id)).toEqual([]);
      expect(await lab.must(1, ['hostname'])).toBe('host1\n');
    },
    limit,
  );
});
