import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  bringsOf,
  broughtBy,
  type IndexedPackage,
  MAX_LIST_BYTES,
  MOST_BROUGHT,
  packageIndex,
  packageListText,
  readPackageList,
} from './brings.js';
import { sha256Hex } from './canonical.js';
import { hasVersion, relationsOf } from './relations.js';

const pkg = (name: string, depends = '', over: Partial<IndexedPackage> = {}): IndexedPackage => {
  const file = { name, version: '1', arch: 'amd64', ...over };
  return { sha256: sha256Hex(`${file.name} ${file.version} ${file.arch}`), depends, provides: '', ...file };
};
const brought = (root: IndexedPackage, ...others: readonly IndexedPackage[]) =>
  broughtBy(packageIndex([root, ...others]), root).map(({ name, version, arch }) =>
    version === '1' && arch === 'amd64' ? name : `${name}:${arch}=${version}`,
  );

describe('what installing a package may bring', () => {
  test.each<[string, IndexedPackage[], string[]]>([
    ['nothing, where it needs nothing', [pkg('root'), pkg('other')], []],
    [
      'what it needs, what that needs, and so on',
      [pkg('root', 'a'), pkg('a', 'b'), pkg('b', 'c'), pkg('c'), pkg('d')],
      ['a', 'b', 'c'],
    ],
    ['every alternative', [pkg('root', 'a | b'), pkg('a'), pkg('b')], ['a', 'b']],
    [
      'whatever stands in for it',
      [pkg('root', 'mta'), pkg('exim', '', { provides: 'mta' }), pkg('postfix', 'x', { provides: 'y, mta' }), pkg('x')],
      ['exim', 'postfix', 'x'],
    ],
    [
      'not who stands in for no version, where one is asked for',
      [
        pkg('root', 'lib (>= 2)'),
        pkg('a', '', { provides: 'lib' }),
        pkg('b', '', { provides: 'lib (= 2)' }),
        pkg('c', '', { provides: 'lib (= 1)' }),
      ],
      ['b'],
    ],
    [
      'each version that will do, and no other',
      [pkg('root', 'a (>= 2)'), pkg('a'), pkg('a', 'b', { version: '2' }), pkg('a', '', { version: '3' }), pkg('b')],
      ['a:amd64=2', 'a:amd64=3', 'b'],
    ],
    [
      'of another architecture only where that is named',
      [pkg('root', 'a, b:arm64'), pkg('a', '', { arch: 'all' }), pkg('b'), pkg('b', '', { arch: 'arm64' })],
      ['a:all=1', 'b:arm64=1'],
    ],
    [
      'itself it does not bring, in no version',
      [pkg('root', 'a'), pkg('a', 'root'), pkg('root', 'z', { version: '2' }), pkg('z')],
      ['a', 'z'],
    ],
    ['nothing for what nobody has', [pkg('root', 'gone | a'), pkg('a')], ['a']],
  ])('%s', (_, [root, ...others], expected) => {
    expect(brought(root as IndexedPackage, ...others)).toEqual(expected);
  });

  test('a chain of any length, and a ring', () => {
    const chain = Array.from({ length: 4_000 }, (_, i) => pkg(`p${i}`, `p${(i + 1) % 4_000}`));
    expect(brought(chain[0] as IndexedPackage, ...chain.slice(1))).toHaveLength(3_999);
  });

  test('of a package that the index does not have it is not known what it brings', () => {
    const root = pkg('root', 'a');
    const index = packageIndex([pkg('a'), { ...root, sha256: 'f'.repeat(64) }]);
    expect(broughtBy(index, root)).toEqual([]);
    expect(bringsOf(index, root)).toEqual({ ok: false, reason: 'is not in the index any more that named it' });
  });

  test('more than anybody approves is no list', () => {
    const many = Array.from({ length: MOST_BROUGHT + 1 }, (_, i) => pkg(`p${i}`, '', { provides: 'all-of-them' }));
    const root = pkg('root', 'all-of-them');
    expect(bringsOf(packageIndex([root, ...many]), root)).toEqual({
      ok: false,
      reason: `may bring ${MOST_BROUGHT + 1} packages, and more than ${MOST_BROUGHT} are nobody's to approve`,
    });
  });
});

const names = ['a', 'b', 'c', 'd', 'e'] as const;
const relation = fc
  .record({
    name: fc.constantFrom(...names, 'v', 'w'),
    op: fc.constantFrom('', '>=', '=', '<<'),
    version: fc.constantFrom('1', '2'),
  })
  .map(({ name, op, version }) => (op === '' ? name : `${name} (${op} ${version})`));
const list = fc
  .array(
    fc.array(relation, { minLength: 1, maxLength: 2 }).map((some) => some.join(' | ')),
    { maxLength: 3 },
  )
  .map((some) => some.join(', '));
const aPackage = fc
  .record({
    name: fc.constantFrom(...names),
    version: fc.constantFrom('1', '2'),
    depends: list,
    provides: fc.constantFrom('', 'v', 'w (= 1)', 'v, w (= 2)'),
  })
  .map(({ name, depends, ...over }) => pkg(name, depends, over));
const anIndex = fc.uniqueArray(aPackage, {
  minLength: 1,
  maxLength: 8,
  selector: ({ name, version }) => `${name} ${version}`,
});

test('whatever way a package manager takes, it ends within the list; and the list is as small as that allows', () => {
  fc.assert(
    fc.property(anIndex, fc.infiniteStream(fc.nat()), (packages, choices) => {
      const [root] = packages as [IndexedPackage];
      const may = new Set(broughtBy(packageIndex(packages), root).map(({ sha256 }) => sha256));
      // One package manager of many: for each need, any package that will do.
      const will = (name: string, need: ReturnType<typeof relationsOf>[number]) =>
        packages.filter(
          (one) =>
            (one.name === name && hasVersion(need, one.version)) ||
            relationsOf(one.provides).some(
              (it) =>
                it.name === name && (it.version === null ? need.version === null : hasVersion(need, it.version.text)),
            ),
        );
      const installed = new Set([root]);
      for (const one of installed) {
        for (const group of one.depends.split(',')) {
          const able = relationsOf(group).flatMap((need) => will(need.name, need));
          const chosen = able[(choices.next().value as number) % Math.max(1, able.length)];
          if (chosen !== undefined) installed.add(chosen);
        }
      }
      for (const one of installed) if (one.name !== root.name) expect(may).toContain(one.sha256);
      // Nothing is on it that nothing on it needs.
      const onIt = packages.filter((one) => one === root || may.has(one.sha256) || one.name === root.name);
      for (const one of packages.filter(({ sha256 }) => may.has(sha256)))
        expect(
          onIt.some(({ depends }) => relationsOf(depends).some((need) => will(need.name, need).includes(one))),
        ).toBe(true);
    }),
  );
});

test('what is written is read again, and the digest does not depend on the order of the index', () => {
  fc.assert(
    fc.property(anIndex, (packages) => {
      const [root] = packages as [IndexedPackage];
      const brings = bringsOf(packageIndex(packages), root);
      if (!brings.ok) throw new Error(brings.reason);
      const again = bringsOf(packageIndex([...packages].reverse()), root);
      expect(again).toEqual(brings);
      expect(brings.list).toEqual({
        sha256: sha256Hex(brings.text),
        size: Buffer.byteLength(brings.text),
        packages: broughtBy(packageIndex(packages), root).length,
      });
      expect(readPackageList(brings.text)).toEqual({ ok: true, packages: broughtBy(packageIndex(packages), root) });
    }),
  );
});

const LINE = `a 1 amd64 ${'a'.repeat(64)}`;
const HEADER = 'ringmaster-package-list-v1';
test.each<[string, string, string]>([
  ['nothing', '', 'does not say that it is one'],
  ['something else', '{"v":1}\n', 'does not say that it is one'],
  ['a list that is cut off', `${HEADER}\n${LINE}`, 'has no end'],
  [
    'a line that is too long',
    `${HEADER}\n${'a'.repeat(200)} 1 amd64 ${'a'.repeat(64)}\n`,
    'has a line 2 that names no file',
  ],
  ['a path for a name', `${HEADER}\n../a 1 amd64 ${'a'.repeat(64)}\n`, 'has a line 2 that names no package'],
  ['no version', `${HEADER}\na x amd64 ${'a'.repeat(64)}\n`, 'has a line 2 that names no package'],
  ['no digest', `${HEADER}\na 1 amd64 ${'A'.repeat(64)}\n`, 'has a line 2 that names no file'],
  ['more on a line', `${HEADER}\n${LINE} more\n`, 'has a line 2 that names no file'],
  ['a line twice', `${HEADER}\n${LINE}\n${LINE}\n`, 'is not in order at line 3'],
  ['lines out of order', `${HEADER}\nb${LINE.slice(1)}\n${LINE}\n`, 'is not in order at line 3'],
  ['too many lines', `${HEADER}\n${`${LINE}\n`.repeat(MOST_BROUGHT + 1)}`, `has more than ${MOST_BROUGHT} lines`],
  ['too many bytes', 'x'.repeat(MAX_LIST_BYTES + 1), `is larger than ${MAX_LIST_BYTES} bytes`],
])('what is no list is refused: %s', (_, text, reason) => {
  expect(readPackageList(text)).toEqual({ ok: false, reason: `the list of packages ${reason}` });
});

test('an empty list says that nothing may come', () => {
  expect(readPackageList(packageListText([]))).toEqual({ ok: true, packages: [] });
});
