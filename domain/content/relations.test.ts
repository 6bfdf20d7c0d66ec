import { expect, test } from '@jest/globals';
import { hasVersion, relationsOf } from './relations.js';

const plain = (name: string) => ({ name, arch: null, version: null });

test.each<[string, ReturnType<typeof relationsOf>]>([
  ['', []],
  ['libc6', [plain('libc6')]],
  ['libc6 (>= 2.36), libaio1', [{ ...plain('libc6'), version: { op: '>=', text: '2.36' } }, plain('libaio1')]],
  ['default-mta | mail-transport-agent', [plain('default-mta'), plain('mail-transport-agent')]],
  ['python3:any (>= 3.9~)', [{ ...plain('python3'), version: { op: '>=', text: '3.9~' } }]],
  ['perl:native', [plain('perl')]],
  ['libc6:i386', [{ ...plain('libc6'), arch: 'i386' }]],
  ['gcc-12-base (=12.2.0-14+deb12u1)', [{ ...plain('gcc-12-base'), version: { op: '=', text: '12.2.0-14+deb12u1' } }]],
  [
    'old (< 2), older (> 1:1)',
    [
      { ...plain('old'), version: { op: '<=', text: '2' } },
      { ...plain('older'), version: { op: '>=', text: '1:1' } },
    ],
  ],
  ['a\n  (<< 2)\n ,b', [{ ...plain('a'), version: { op: '<<', text: '2' } }, plain('b')]],
])('a list of relations is read: %s', (list, relations) => {
  expect(relationsOf(list)).toEqual(relations);
});

test.each(['UPPER', 'a b', 'a (1)', 'a (>= 1', 'a (== 1)', 'a (>= 1) extra', '../etc', 'a:', ',,|,'])(
  'what is not understood names nothing: %s',
  (list) => {
    expect(relationsOf(`${list}, good`).map(({ name }) => name)).toEqual(['good']);
  },
);

test.each<[string, string, boolean]>([
  ['a', '1', true],
  ['a (= 1)', '1', true],
  ['a (= 1)', '1-0', true],
  ['a (>> 1)', '1', false],
  ['a (>> 1)', '1.1~rc', true],
  ['a (>= 1)', '1~rc', false],
  ['a (<< 1)', '1~rc', true],
  ['a (<= 1)', '1:0', false],
  ['a (>= x)', '1', false],
  ['a (>= 1)', 'x', false],
])('%s is satisfied by %s: %s', (list, version, expected) => {
  expect(relationsOf(list).map((one) => hasVersion(one, version))).toEqual([expected]);
});
