import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MAX_NESTING, nestingFault } from './group-loops.js';
import { changesWithTime, type Group, groupsNamed, matches, type Selectable, type Selector } from './selector.js';
import { isLike } from './selector-condition.js';
import { selectorSchema } from './selector-schema.js';

const HOUR = 3_600_000;
const web: Selectable = {
  id: 'e-1',
  name: 'web-1',
  labels: { site: 'berlin', env: 'prod' },
  traits: {
    text: {
      os: ['Debian GNU/Linux 12 (bookworm)', 'debian 12'],
      kernel: ['6.1.0-28-amd64'],
      zone: ['Europe/Berlin'],
      state: ['active'],
      function: ['shop'],
      sensitivity: ['moderate'],
    },
    simulated: false,
    scanOnly: false,
    silentMs: 2 * HOUR,
  },
};
const groupsOf = (given: Record<string, Selector>): Map<string, Group> =>
  new Map(Object.entries(given).map(([name, selector]) => [name, { name, selector }]));
const groups = groupsOf({
  ERP: { labels: { app: 'erp' } },
  Berlin: { where: 'label.site = berlin' },
  'Berlin shop': { where: 'group Berlin and function = shop' },
  broken: { where: 'label.site =' },
  'loop a': { groups: ['loop b'] },
  'loop b': { where: 'group "loop a" or name = none' },
});
const hit = (selector: Selector, endpoint: Selectable = web) => matches({ endpoint, selector, groups });

describe('selector text', () => {
  test.each([
    [
      'label.site = "berlin" and (os ~ "debian 12*" or group "ERP") and not name in ("web-2","web-3") and sensitivity >= moderate and lastSeen < 7d',
      true,
    ],
    ['label.site = Berlin', false],
    ['label.site ~ BER*', true],
    ['label.none != x', true],
    ['has label.none', false],
    ['os = "debian 12"', true],
    ['os ~ "*bookworm*"', true],
    ['os != "debian 12"', false],
    ['kernel ~ 6.1.*', true],
    ['zone = Europe/Berlin', true],
    ['function = shop', true],
    ['attackLikelihood >= low', false],
    ['attackLikelihood < high', false],
    ['has attackLikelihood', false],
    ['sensitivity > moderate', false],
    ['sensitivity <= moderate', true],
    ['sensitivity in (moderate, high)', true],
    ['lastSeen > 1h', true],
    ['lastSeen > 3h', false],
    ['simulated', false],
    ['not scanOnly', true],
    ['group "Berlin shop"', true],
    ['group ERP', false],
    ['not group ERP', true],
    ['all', true],
  ])('%s: %s', (where, expected) => {
    expect(hit({ where })).toBe(expected);
  });

  test.each([
    ['a group nobody made', { where: 'group gone' }],
    ['not in a group nobody made', { where: 'not group gone' }],
    ['not in a group that can’t be read', { where: 'not group broken' }],
    ['not in a group that leads back to itself', { where: 'not group "loop a"' }],
    ['a text that can’t be read', { where: 'name =' }],
    ['nothing', {}],
  ])('%s matches nothing', (_, selector) => {
    expect(hit(selector)).toBe(false);
  });

  test('what is decided anyway is not held up by a group that is not there', () => {
    expect(hit({ where: 'name = web-1 or group gone' })).toBe(true);
    expect(hit({ groups: ['gone', 'Berlin'] })).toBe(true);
  });

  test('where traits were not loaded, what asks for them matches nothing, also negated', () => {
    const { traits: _, ...bare } = web;
    for (const where of ['os ~ *', 'not os ~ *', 'not simulated', 'lastSeen > 0s', 'not has function']) {
      expect([where, hit({ where }, bare)]).toEqual([where, false]);
    }
    expect(hit({ where: 'name ~ web*' }, bare)).toBe(true);
  });

  test('never heard of is longer ago than any time', () => {
    const silent = { ...web, traits: { ...(web.traits as NonNullable<Selectable['traits']>), silentMs: null } };
    expect(hit({ where: 'lastSeen > 3660d' }, silent)).toBe(true);
    expect(hit({ where: 'lastSeen < 3660d' }, silent)).toBe(false);
  });

  test('every part of a selector must hold', () => {
    expect(hit({ labels: { env: 'prod' }, where: 'name = web-1' })).toBe(true);
    expect(hit({ labels: { env: 'test' }, where: 'name = web-1' })).toBe(false);
    expect(hit({ all: true, where: 'name = web-2' })).toBe(false);
  });

  test('the schema names the column', () => {
    const result = selectorSchema.safeParse({ where: 'label.site = ' });
    expect(result.error?.issues).toMatchObject([{ path: ['where'], message: 'column 14: expected a value after "="' }]);
  });

  test('names its groups and whether time changes it', () => {
    const selector = { groups: ['ERP'], where: 'group Berlin and not (group Berlin or group old)' };
    expect(groupsNamed(selector)).toEqual([
      { name: 'ERP', field: 'groups[0]' },
      { name: 'Berlin', field: 'where' },
      { name: 'old', field: 'where' },
    ]);
    expect(changesWithTime({ groups: ['b'] }, groupsOf({ b: { groups: ['c'] }, c: { where: 'lastSeen < 1d' } }))).toBe(
      true,
    );
    expect(changesWithTime({ groups: ['loop a'] }, groups)).toBe(false);
  });
});

test('patterns agree with the expression they stand for', () => {
  const text = fc.string({ maxLength: 8, unit: fc.constantFrom('a', 'B', '.', '(', '*') });
  fc.assert(
    fc.property(text, text, (subject, pattern) => {
      const expression = pattern.replace(/[.(]/g, '\\$&').replace(/\*/g, '.*');
      expect(isLike(subject, pattern)).toBe(new RegExp(`^${expression}$`, 'is').test(subject));
    }),
    { numRuns: 2_000 },
  );
});

describe('nesting', () => {
  test.each<[string, Record<string, Selector>, string | null]>([
    ['a group of itself', { a: { groups: ['a'] } }, 'a → a'],
    ['three in a ring', { a: { groups: ['b'] }, b: { where: 'group c' }, c: { groups: ['a'] } }, 'a → b → c → a'],
    ['a way into a ring', { a: { groups: ['b'] }, b: { groups: ['c'] }, c: { groups: ['b'] } }, 'b → c → b'],
    ['a diamond', { a: { groups: ['b', 'c'] }, b: { groups: ['d'] }, c: { groups: ['d'] }, d: { all: true } }, null],
    ['a group nobody made', { a: { groups: ['gone'] } }, null],
  ])('%s', (_, given, loop) => {
    expect(nestingFault(groupsOf(given), 'a')).toEqual(loop === null ? null : expect.stringContaining(loop));
  });

  const chain = (length: number, selector: (next: string) => Selector) =>
    groupsOf({
      ...Object.fromEntries(Array.from({ length }, (_, i) => [`g${i}`, selector(`g${i + 1}`)])),
      [`g${length}`]: { all: true },
    });

  test('the deepest that is allowed is judged without running out of stack, and one more is refused', () => {
    const plain = chain(MAX_NESTING - 1, (next) => ({ groups: [next] }));
    expect(nestingFault(plain, 'g0')).toBeNull();
    expect(matches({ endpoint: web, selector: { groups: ['g0'] }, groups: plain })).toBe(true);
    expect(
      nestingFault(
        chain(MAX_NESTING, (next) => ({ groups: [next] })),
        'g0',
      ),
    ).toContain('nest more than');
    const texts = chain(9, (next) => ({ where: `${'not not '.repeat(24)}(group ${next} and all)` }));
    expect(nestingFault(texts, 'g9')).toBeNull();
    expect(matches({ endpoint: web, selector: { groups: ['g0'] }, groups: texts })).toBe(true);
    expect(
      nestingFault(
        chain(10_000, (next) => ({ groups: [next] })),
        'g0',
      ),
    ).toContain('nest more than');
  });

  test('each group is judged once, however many ways lead to it', () => {
    const wide = groupsOf({
      ...Object.fromEntries(
        Array.from({ length: 60 }, (_, i) => [`g${i}`, { where: `group g${i + 1} and not not group g${i + 1}` }]),
      ),
      g60: { all: true },
    });
    expect(matches({ endpoint: web, selector: { groups: ['g0'] }, groups: wide })).toBe(true);
  });
});
