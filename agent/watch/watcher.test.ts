// What is noticed between scans is told once, in order, and also when the server was away or the agent was killed in between.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { NoticedRequest } from '../../protocol/messages.js';
import { type Look, parseStatus, services } from './look.js';
import { privilegedUsers } from './privileged.js';
import { watchOnce } from './watcher.js';

let dir: string;
let seen: Look;
let rules: Record<string, string> | null;
let scannerFails: boolean;
let away: boolean;
let told: NoticedRequest['items'][number][];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ringmaster-watch-'));
  seen = {
    listener: { 'tcp 0.0.0.0:22': '' },
    service: {},
    privilegedUser: { root: '' },
    package: { 'bash:amd64': '5.1' },
  };
  rules = { xccdf_org_rule_a: 'pass' };
  away = false;
  scannerFails = false;
  told = [];
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const round = () =>
  watchOnce({
    dir,
    look: () => seen,
    criticalRules: async () => {
      if (scannerFails) throw new Error('its content is not to be had');
      return rules;
    },
    now: () => 1_000,
    send: async ({ items }) => {
      told.push(...items);
      if (away) throw new Error('away');
    },
    log: () => undefined,
  });
const words = () => told.map(({ kind, action, name }) => `${kind} ${action} ${name}`);

test('the first look tells nothing; what is new, gone or different is told once', async () => {
  await round();
  expect(told).toEqual([]);
  seen = {
    listener: { 'tcp 0.0.0.0:22': '', 'tcp 0.0.0.0:23': '' },
    service: { 'telnet.service': '' },
    privilegedUser: { root: '', 'eve in sudo': '' },
    package: { 'bash:amd64': '5.2' },
  };
  rules = { xccdf_org_rule_a: 'fail' };
  await round();
  expect(words()).toEqual([
    'listener added tcp 0.0.0.0:23',
    'service added telnet.service',
    'privilegedUser added eve in sudo',
    'package changed bash:amd64',
    'rule changed xccdf_org_rule_a',
  ]);
  expect(told.at(-1)?.detail).toEqual({ before: 'pass', after: 'fail' });
  rules = null;
  await round();
  expect(told).toHaveLength(5);
});

test('a user may be called like anything', async () => {
  await round();
  const odd = JSON.parse('{"root": "", "constructor": "", "__proto__": ""}') as Record<string, string>;
  seen = { ...seen, privilegedUser: odd };
  await round();
  expect(words().sort()).toEqual(['privilegedUser added __proto__', 'privilegedUser added constructor']);
  seen = { ...seen, privilegedUser: { root: '' } };
  await round();
  expect(words().slice(2).sort()).toEqual(['privilegedUser removed __proto__', 'privilegedUser removed constructor']);
});

test('what could not be told, or whose answer was lost, is told again under the same key, with what came since', async () => {
  await round();
  seen = { ...seen, service: { 'a.service': '' } };
  away = true;
  await expect(round()).rejects.toThrow('away');
  seen = { ...seen, service: {} };
  away = false;
  await round();
  expect(words()).toEqual(['service added a.service', 'service added a.service', 'service removed a.service']);
  expect(told[0]?.key).toBe(told[1]?.key);
  expect(told[2]?.key).not.toBe(told[1]?.key);
});

test('a scanner without its content keeps nothing else from being told, and nothing is told twice by that', async () => {
  await round();
  seen = { ...seen, privilegedUser: { root: '', eve: '' } };
  scannerFails = true;
  await expect(round()).rejects.toThrow('its content');
  expect(words()).toEqual(['privilegedUser added eve']);
  scannerFails = false;
  rules = { xccdf_org_rule_a: 'fail' };
  await round();
  expect(words()).toEqual(['privilegedUser added eve', 'rule changed xccdf_org_rule_a']);
});

test('what differs on the very first look is not lost when the scanner fails on it', async () => {
  scannerFails = true;
  await expect(round()).rejects.toThrow('its content');
  scannerFails = false;
  seen = { ...seen, service: { 'a.service': '' } };
  await round();
  expect(words()).toEqual(['service added a.service']);
});

test('privileged are uid 0 and members of groups that lead to root', () => {
  const passwd =
    'root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\neve:x:1000:27::/:/bin/sh\nbob:x:1001:1001::/:/bin/sh\n';
  const group = 'root:x:0:\nsudo:x:27:bob,\nusers:x:100:carl\n';
  const files: Record<string, string> = { '/etc/passwd': passwd, '/etc/group': group };
  expect(Object.keys(privilegedUsers({ read: (path) => files[path] ?? null }))).toEqual([
    ...['bob in sudo', 'eve in sudo', 'root', 'toor'],
  ]);
});

test('only installed packages are there', () => {
  const entry = (name: string, status: string) =>
    `Package: ${name}\nStatus: ${status}\nArchitecture: amd64\nVersion: 1.0\n`;
  const text = [
    entry('a', 'install ok installed'),
    entry('b', 'deinstall ok config-files'),
    entry('c', 'hold ok installed'),
  ].join('\n');
  expect(parseStatus(text)).toEqual({ 'a:amd64': '1.0', 'c:amd64': '1.0' });
});

test('services are found below any slice, where systemd puts instances of templates; not those of sessions', () => {
  const paths = [
    'system.slice/ssh.service',
    'system.slice/system-door.slice/door@1.service',
    'a.slice/a-b.slice/deep.service',
  ];
  const none = ['system.slice/not-one.mount/x.service', 'user.slice/user-0.slice/user@0.service'];
  for (const path of [...paths, ...none]) mkdirSync(join(dir, path), { recursive: true });
  expect(Object.keys(services([join(dir, 'missing'), dir])).sort()).toEqual([
    'deep.service',
    'door@1.service',
    'ssh.service',
  ]);
});

test('an agent that has learned to see more services and whom sudo lets in tells none of them as new', async () => {
  writeFileSync(join(dir, 'watched.json'), JSON.stringify({ look: { ...seen, service: {} }, rules: {}, pending: [] }));
  const sudoers = { 'eve in /etc/sudoers.d/eve': 'ALL=(ALL) ALL', 'bob in deploy': '' };
  seen = { ...seen, service: { 'getty@tty1.service': '' }, privilegedUser: { root: '', eve: '', ...sudoers } };
  await round();
  expect(words()).toEqual(['privilegedUser added eve']);
  seen = { ...seen, service: { 'getty@tty1.service': '', 'door@1.service': '' } };
  await round();
  expect(words().at(-1)).toBe('service added door@1.service');
  seen = { ...seen, privilegedUser: { root: '', eve: '', ...sudoers, 'carl in /etc/sudoers': 'ALL=(ALL) ALL' } };
  await round();
  expect(words().at(-1)).toBe('privilegedUser added carl in /etc/sudoers');
});
