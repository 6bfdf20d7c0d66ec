// The package on a real host: installed, enrolled, scanned, upgraded, removed, purged.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { shareInHost } from '../../lab/host.js';
import { type Lab, upLab } from '../../lab/index.js';
import { type FakeGateway, startFakeGateway } from '../helpers/fake-gateway.js';
import { describeRealHosts, labStartLimit } from '../helpers/real-hosts.js';
import { repositoryRoot } from '../helpers/repository.js';

const LIMIT = 120_000;
const HOST = 1;

describeRealHosts('the package on a real host', () => {
  let lab: Lab;
  let gateway: FakeGateway;
  let out: string;
  beforeAll(async () => {
    out = mkdtempSync(join(tmpdir(), 'ringmaster-packages-'));
    lab = await upLab(1);
    gateway = await startFakeGateway({ address: lab.gatewayAddress });
    for (const version of ['1.0.0', '1.0.1']) {
      const script = join(repositoryRoot, 'scripts/package-agent.mjs');
      const made = spawnSync(process.execPath, [script, '--out', out, '--only', 'deb', '--fast', '--version', version]);
      expect(made.status).toBe(0);
      copyFileSync(join(out, nameOf(version)), join(lab.shareDir, nameOf(version)));
    }
  }, labStartLimit);
  afterAll(async () => {
    await gateway?.close();
    await lab?.down();
    rmSync(out, { recursive: true, force: true });
  }, LIMIT);

  const nameOf = (version: string) => `ringmaster-agent_${version}_amd64.deb`;
  const install = (version: string) =>
    lab.must(HOST, ['dpkg', '--install', `${shareInHost}/${nameOf(version)}`], { timeoutMs: 60_000 });
  const unit = async (property: string) =>
    (await lab.must(HOST, ['systemctl', 'show', '-p', property, '--value', 'ringmaster-agent.service'])).trim();
  const newest = () => gateway.polls.findLast((poll) => poll.request.observations !== undefined)?.request.observations;
  const until = async (what: string, look: () => Promise<boolean> | boolean) => {
    for (const end = performance.now() + 45_000; performance.now() < end; ) {
      if (await look()) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(
      `never: ${what}\n${(await lab.exec(HOST, ['journalctl', '-u', 'ringmaster-agent', '-n', '20'])).stdout}`,
    );
  };

  test(
    'installed it waits; enrolled by one command it runs, and a first inventory arrives',
    async () => {
      await install('1.0.0');
      expect([await unit('ActiveState'), await unit('UnitFileState')]).toEqual(['inactive', 'enabled']);
      expect(gateway.requests).toEqual([]);
      await lab.must(HOST, ['ringmaster-agent', 'install', '--url', gateway.url, '--token', gateway.joinToken], {
        timeoutMs: 60_000,
      });
      await gateway.waitForInventory(1, 60_000);
      expect(gateway.inventories[0]?.facts).toMatchObject({ agentVersion: '1.0.0' });
      // Its parts are the package's: nothing was copied elsewhere.
      expect(
        (await lab.exec(HOST, ['ls', '/opt/ringmaster-agent', '/etc/systemd/system/ringmaster-agent.service'])).code,
      ).not.toBe(0);
      expect(await unit('FragmentPath')).toMatch(/\/lib\/systemd\/system\/ringmaster-agent\.service$/);
    },
    LIMIT,
  );

  test(
    'an upgrade keeps identity, journal and limits, and restarts it once',
    async () => {
      const identity = await lab.must(HOST, ['cat', '/var/lib/ringmaster-agent/identity/identity.json']);
      await lab.push(HOST, Buffer.from('{"neverTouch": ["linux-*"]}'), '/etc/ringmaster-agent/limits.json', 0o644);
      const before = await unit('MainPID');
      await install('1.0.1');
      await until('the new version polls', () => newest()?.agentVersion === '1.0.1');
      expect(await unit('MainPID')).not.toBe(before);
      expect(await lab.must(HOST, ['cat', '/var/lib/ringmaster-agent/identity/identity.json'])).toBe(identity);
      expect(await lab.must(HOST, ['cat', '/etc/ringmaster-agent/limits.json'])).toBe('{"neverTouch": ["linux-*"]}');
      expect(gateway.endpoints.size).toBe(1);
    },
    LIMIT,
  );

  test(
    'removed it is gone but remembers; purged nothing stays, and the package database is clean',
    async () => {
      await lab.must(HOST, ['dpkg', '--remove', 'ringmaster-agent'], { timeoutMs: 60_000 });
      const polls = gateway.polls.length;
      expect((await lab.exec(HOST, ['pgrep', '-f', 'ringmaster-agent.mjs'])).code).toBe(1);
      await lab.must(HOST, ['test', '-s', '/var/lib/ringmaster-agent/identity/key.pem']);
      await install('1.0.1');
      await until('it goes on as the same endpoint', () => gateway.polls.length > polls);
      expect(gateway.endpoints.size).toBe(1);
      await lab.must(HOST, ['dpkg', '--purge', 'ringmaster-agent'], { timeoutMs: 60_000 });
      const left = await lab.exec(HOST, [
        'sh',
        '-c',
        "find / -xdev -path /proc -prune -o -path /sys -prune -o -name '*ringmaster-agent*' -print | grep -v '^/\\(proc\\|sys\\|run\\|var/log/journal\\)' | grep -v '\\.deb$'",
      ]);
      expect(left.stdout.split('\n').filter((line) => line !== '' && !line.startsWith(shareInHost))).toEqual([]);
      expect(await lab.must(HOST, ['dpkg', '--audit'])).toBe('');
    },
    LIMIT,
  );
});
