import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { othersIn } from './inventory.js';
import {
  type DpkgEntry,
  parseDpkgQuery,
  parseNeedrestart,
  parseSimulation,
  parseVerify,
  simulationDifference,
  wirePackages,
} from './parse.js';

const name = fc.stringMatching(/^[a-z0-9][a-z0-9+.-]{1,20}$/);
const version = fc.stringMatching(/^(\d:)?\d[A-Za-z0-9.+~]{0,12}(-[0-9a-z.+~]{1,6})?$/);

describe('dpkg-query', () => {
  const line = (over: Partial<DpkgEntry>) => {
    const e = {
      name: 'a1',
      arch: 'amd64',
      version: '1',
      want: 'install',
      errorFlag: 'ok',
      status: 'installed',
      source: 'a1',
      sourceVersion: '1',
      ...over,
    };
    return [e.name, e.arch, e.version, e.want, e.errorFlag, e.status, e.source, e.sourceVersion].join('\t');
  };
  test('what is on the disk, in whatever state', () => {
    const text = [
      line({}),
      line({ name: 'torn', errorFlag: 'reinstreq', status: 'half-installed' }),
      line({ name: 'half', status: 'half-configured' }),
      line({ name: 'gone', want: 'deinstall', status: 'config-files' }),
      line({ name: 'never', status: 'not-installed' }),
      '',
    ].join('\n');
    expect(parseDpkgQuery(text).map((e) => [e.name, e.status, e.errorFlag])).toEqual([
      ['a1', 'installed', 'ok'],
      ['torn', 'half-installed', 'reinstreq'],
      ['half', 'half-configured', 'ok'],
    ]);
  });
  test('any packages come back as they were', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(name, version)), (packages) => {
        const text = packages.map(([n, v]) => line({ name: n, version: v, source: n, sourceVersion: v })).join('\n');
        expect(parseDpkgQuery(text).map((e) => [e.name, e.version])).toEqual(packages);
      }),
    );
  });
  test('names and versions the wire has no room for are left out, by name', () => {
    const entries = parseDpkgQuery(
      [line({}), line({ name: 'Bad_Name' }), line({ name: 'odd', version: '1 2' })].join('\n'),
    );
    expect(wirePackages(entries)).toMatchObject({ packages: [{ name: 'a1' }], odd: ['Bad_Name', 'odd'] });
  });
});

describe('apt-get -s', () => {
  // As apt of Debian 12 prints them.
  const text = [
    'NOTE: This is only a simulation!',
    'Inst libc6 [2.36-9+deb12u9] (2.36-9+deb12u13 Debian-Security:12/oldstable-security [amd64]) []',
    'Inst libc6:i386 [2.36-9+deb12u9] (2.36-9+deb12u13 Debian-Security:12/oldstable-security [i386])',
    'Inst labapp [1.0] (2.0 local-deb [all])',
    'Inst libnew (1:3.1-1 Debian:12.9/stable [amd64])',
    'Remv openssh-server [1:9.2p1-2] [a:amd64 ]',
    'Conf libc6 (2.36-9+deb12u13 Debian-Security:12/oldstable-security [amd64])',
  ].join('\n');
  test('installs and removals', () => {
    expect(parseSimulation(text)).toEqual({
      installs: [
        { name: 'libc6', arch: 'amd64', from: '2.36-9+deb12u9', to: '2.36-9+deb12u13' },
        { name: 'libc6', arch: 'i386', from: '2.36-9+deb12u9', to: '2.36-9+deb12u13' },
        { name: 'labapp', arch: 'all', from: '1.0', to: '2.0' },
        { name: 'libnew', arch: 'amd64', from: null, to: '1:3.1-1' },
      ],
      removes: ['openssh-server'],
    });
  });

  test('any plan equals its own simulation, and no other', () => {
    const change = fc.record({ name, arch: fc.constantFrom('amd64', 'all'), from: fc.option(version), to: version });
    const plans = fc.uniqueArray(change, { selector: (c) => c.name, minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(plans, fc.nat(), (plan, pick) => {
        const lines = plan.map(
          (c) => `Inst ${c.name} ${c.from === null ? '' : `[${c.from}] `}(${c.to} local-deb [${c.arch}])`,
        );
        const difference = (text_: string[]) => simulationDifference(plan, parseSimulation(text_.join('\n')), 'amd64');
        expect(difference(lines)).toBeNull();
        const without = lines.filter((_, i) => i !== pick % lines.length);
        expect(difference(without)).toContain('would not move');
        expect(difference([...lines, 'Inst zz-not-planned (1 x [all])'])).toContain('would also move zz-not-planned');
        expect(difference([...lines, 'Remv zz-innocent [1]'])).toBe('would remove zz-innocent');
      }),
    );
  });

  test('another version, from or to, is a difference', () => {
    const plan = [{ name: 'app', arch: 'all', from: '1', to: '2' }];
    expect(simulationDifference(plan, parseSimulation('Inst app [1] (3 x [all])'), 'amd64')).toBe(
      'would move app:amd64 from 1 to 3, not from 1 to 2',
    );
    expect(simulationDifference(plan, parseSimulation('Inst app [0] (2 x [all])'), 'amd64')).toContain(
      'from 0 to 2, not from 1 to 2',
    );
  });

  test('any text is read without an exception', () => {
    fc.assert(
      fc.property(fc.string(), (t) => {
        parseSimulation(t);
        parseVerify(t);
        parseDpkgQuery(t);
        parseNeedrestart(t);
      }),
    );
  });
});

test('dpkg --verify: damage, but neither configuration nor left-out documentation', () => {
  const text = [
    '??5??????   /lib/x86_64-linux-gnu/libc.so.6',
    '??5?????? c /etc/gai.conf',
    'missing     /usr/share/doc/libc6/copyright',
    'missing   c /etc/ld.so.conf',
    'missing     /usr/bin/ldd',
    '?????????   /usr/lib/fine',
    'missing     /usr/sbin/x (Permission denied)',
  ].join('\n');
  expect(parseVerify(text)).toEqual(['/lib/x86_64-linux-gnu/libc.so.6', '/usr/bin/ldd', '/usr/sbin/x']);
});

test('needrestart -b', () => {
  const text =
    'NEEDRESTART-VER: 3.6\nNEEDRESTART-KCUR: 6.1.0-9\nNEEDRESTART-KSTA: 3\nNEEDRESTART-SVC: cron.service\nNEEDRESTART-SVC: ssh.service\n';
  expect(parseNeedrestart(text)).toEqual({ kernelState: 3, services: ['cron.service', 'ssh.service'] });
  expect(parseNeedrestart('')).toEqual({ kernelState: 0, services: [] });
});

test('other hands in the history: everything but our own command lines', () => {
  const history = [
    'Start-Date: 2026-11-01  06:00:00\nCommandline: /usr/bin/unattended-upgrade\nUpgrade: sudo:amd64 (1, 2)\nEnd-Date: x\n',
    'Start-Date: 2026-11-02  06:00:00\nCommandline: apt-get -y install /var/lib/ringmaster-agent/orders/x/debs/y.deb\nEnd-Date: x\n',
    'Start-Date: 2026-11-03  06:00:00\nCommandline: apt install vim\nRequested-By: eve (1000)\nEnd-Date: x\n',
  ].join('\n');
  expect(othersIn(history, '/var/lib/ringmaster-agent')).toEqual([
    { at: '2026-11-01  06:00:00', what: '/usr/bin/unattended-upgrade' },
    { at: '2026-11-03  06:00:00', what: 'apt install vim (eve (1000))' },
  ]);
});
