// Whom sudo's rules let in: by name, by alias, by group, and by files that its own file includes.
import { expect, test } from '@jest/globals';
import { privilegedUsers } from './privileged.js';
import { readSudoers } from './sudoers.js';

const sudoers = (files: Record<string, string>) =>
  readSudoers({
    read: (path) => files[path] ?? null,
    list: (folder) =>
      Object.keys(files)
        .filter((path) => path.startsWith(`${folder}/`))
        .map((path) => path.slice(folder.length + 1)),
  });

test.each<[string, string, Record<string, string>]>([
  ['a user', 'eve ALL=(ALL:ALL) NOPASSWD: ALL', { 'eve in /etc/sudoers': 'ALL=(ALL:ALL) NOPASSWD: ALL' }],
  [
    'several',
    'eve, bob  ALL = (ALL)\tALL',
    { 'eve in /etc/sudoers': 'ALL = (ALL) ALL', 'bob in /etc/sudoers': 'ALL = (ALL) ALL' },
  ],
  ['a group', '%sudo ALL=(ALL) ALL', { '%sudo in /etc/sudoers': 'ALL=(ALL) ALL' }],
  ['everybody', 'ALL ALL=(root) /bin/ls', { 'everybody in /etc/sudoers': 'ALL=(root) /bin/ls' }],
  ['a number', '#1000 ALL=(ALL) ALL', { '#1000 in /etc/sudoers': 'ALL=(ALL) ALL' }],
  [
    'who is quoted or escaped',
    '"odd one" ALL=ALL\nDOM\\\\eve ALL=ALL',
    { 'odd one in /etc/sudoers': 'ALL=ALL', 'DOM\\eve in /etc/sudoers': 'ALL=ALL' },
  ],
  [
    'an alias',
    'User_Alias A = eve, B : B = bob\nA ALL=ALL',
    { 'eve in /etc/sudoers': 'ALL=ALL', 'bob in /etc/sudoers': 'ALL=ALL' },
  ],
  [
    'an alias of itself',
    'User_Alias A = A, eve\nA ALL=ALL',
    { 'A in /etc/sudoers': 'ALL=ALL', 'eve in /etc/sudoers': 'ALL=ALL' },
  ],
  ['a line that goes on', 'eve ALL = \\\n  ALL', { 'eve in /etc/sudoers': 'ALL = ALL' }],
  ['two rules of one', 'eve a=x\neve b=y', { 'eve in /etc/sudoers': 'a=x; b=y' }],
  ['nobody who is kept out', 'eve, !bob ALL=ALL', { 'eve in /etc/sudoers': 'ALL=ALL' }],
  [
    'nothing by comments and settings',
    '# eve ALL=ALL\n#eve ALL=ALL\nDefaults:eve !x\nDefaults env_reset\nCmnd_Alias X = /bin/x\nHost_Alias H = a',
    {},
  ],
])('names %s', (_, text, grants) => {
  expect(sudoers({ '/etc/sudoers': text }).grants).toEqual(grants);
});

test('drop-ins are read as sudo reads them, in circles too', () => {
  const found = sudoers({
    '/etc/sudoers': '@includedir /etc/sudoers.d\n#include local\nUser_Alias OPS = carl',
    '/etc/sudoers.d/eve': 'eve ALL=(ALL) NOPASSWD: ALL\n@include /etc/sudoers',
    '/etc/sudoers.d/README.md': 'mallory ALL=ALL',
    '/etc/sudoers.d/old~': 'mallory ALL=ALL',
    '/etc/local': '%deploy ALL=ALL\nOPS ALL=ALL',
  });
  expect(Object.keys(found.grants).sort()).toEqual([
    '%deploy in /etc/local',
    'carl in /etc/local',
    'eve in /etc/sudoers.d/eve',
  ]);
  expect(found.groups).toEqual(['deploy']);
});

test('members of a group that sudo lets in are privileged', () => {
  const files: Record<string, string> = {
    '/etc/sudoers': '%deploy ALL=(ALL) ALL',
    '/etc/passwd': 'root:x:0:0::/root:/bin/sh\n',
    '/etc/group': 'deploy:x:50:eve\nusers:x:100:bob\n',
  };
  expect(privilegedUsers({ read: (path) => files[path] ?? null })).toEqual({
    root: '',
    'eve in deploy': '',
    '%deploy in /etc/sudoers': 'ALL=(ALL) ALL',
  });
});

test('what is told of a rule is short enough to be told', () => {
  const [may] = Object.values(sudoers({ '/etc/sudoers': `eve ALL=${'/bin/x, '.repeat(1_000)}` }).grants);
  expect(may?.length).toBe(300);
});
