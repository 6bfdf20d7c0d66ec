// A mode is raised for more than a trial only after one: what counts as raising, and when a trial is over.
import { describe, expect, test } from '@jest/globals';
import { type Modes, type SideRecord, whyNotWidened, whyUnfinished, widens } from './widening.js';

const side = (over: Partial<SideRecord> = {}): SideRecord => ({
  ...{ endpoints: 2, measured: 2, waiting: 0, atWork: 0, succeeded: 1, reverted: 0, failed: 0, fixable: true },
  ...over,
});
const modes = (over: Partial<Modes> = {}): Modes => ({
  ...{ baseline: 'house', checklistId: 1, appliesTo: { labels: { team: 'shop' } }, mode: 'observe', trial: null },
  ...over,
});
const endpoint = (id: string, labels: Record<string, string>) => ({ id, name: id, labels });
const SHOP = [endpoint('a', { team: 'shop', canary: 'yes' }), endpoint('b', { team: 'shop' })];
const OTHER = endpoint('c', { team: 'other' });
const CANARIES = { labels: { canary: 'yes' } };
const trial = (mode: Modes['mode'], appliesTo: Modes['appliesTo'] = CANARIES) => ({ trial: { mode, appliesTo } });
const why = (before: Modes | null, after: Modes, record: SideRecord | null = side()) =>
  whyNotWidened({
    before,
    after,
    record: record === null ? null : { trial: record, rest: side() },
    endpoints: [...SHOP, OTHER],
    groups: new Map(),
  });

describe('is refused', () => {
  test.each<[string, Modes | null, Modes, RegExp]>([
    [
      'a new assignment that begins beyond observe',
      null,
      modes({ mode: 'propose' }),
      /assign mode observe with a trial of mode propose/,
    ],
    [
      '… also where nobody is held yet',
      null,
      modes({ mode: 'propose', appliesTo: { names: ['z'] } }),
      /not been tried/,
    ],
    [
      'a raise without a trial',
      modes({ mode: 'propose' }),
      modes({ mode: 'enforce' }),
      /has not been tried on a subset: assign mode propose/,
    ],
    [
      'a raise beyond what was tried',
      modes(trial('propose')),
      modes({ mode: 'enforce' }),
      /enforce has not been tried/,
    ],
    ['a trial that is everybody', modes(), modes(trial('propose', { all: true })), /choose a subset/],
    ['… by its labels', modes(), modes(trial('propose', { labels: { team: 'shop' } })), /choose a subset/],
    [
      '… of nobody, for now',
      null,
      modes({ appliesTo: { names: ['z'] }, ...trial('enforce', { names: ['z'] }) }),
      /choose a subset/,
    ],
    [
      'what the trial did not measure by',
      modes(trial('propose')),
      modes({ mode: 'propose', checklistId: 2 }),
      /another version/,
    ],
    [
      'strangers who come to a mode',
      modes({ mode: 'propose' }),
      modes({ mode: 'propose', appliesTo: { all: true } }),
      /has not been tried on a subset/,
    ],
    [
      'strangers who come with the widening',
      modes(trial('propose')),
      modes({ mode: 'propose', appliesTo: { all: true } }),
      /endpoints come to it that the trial was not a subset of \(1\)/,
    ],
    [
      'another baseline under the name',
      modes({ mode: 'propose' }),
      modes({ mode: 'propose', baseline: 'law' }),
      /not been tried/,
    ],
  ])('%s', (_, before, after, reason) => {
    expect(why(before, after)).toMatch(reason);
  });
});

describe('is free', () => {
  test.each<[string, Modes | null, Modes]>([
    ['observing', null, modes()],
    ['a trial on a subset', modes(), modes(trial('enforce'))],
    ['… with a new assignment', null, modes(trial('propose'))],
    ['widening what was tried', modes(trial('propose')), modes({ mode: 'propose' })],
    ['widening to less than what was tried', modes(trial('enforce')), modes({ mode: 'propose', ...trial('enforce') })],
    ['lowering', modes({ mode: 'enforce' }), modes({ mode: 'propose' })],
    ['ending a trial', modes({ mode: 'propose', ...trial('enforce') }), modes({ mode: 'propose' })],
    ['fewer endpoints', modes({ mode: 'enforce', appliesTo: { all: true } }), modes({ mode: 'enforce' })],
    ['another version in the same mode', modes({ mode: 'enforce' }), modes({ mode: 'enforce', checklistId: 2 })],
    [
      'more endpoints in mode observe, with those before as the trial',
      modes({ mode: 'propose' }),
      modes({ appliesTo: { all: true }, ...trial('propose', { labels: { team: 'shop' } }) }),
    ],
  ])('%s', (_, before, after) => {
    expect(why(before, after)).toBeNull();
  });
});

describe('an edit of a group that the assignment names', () => {
  const groups = (selector: Modes['appliesTo']) => new Map([['g', { name: 'g', selector }]]);
  const OF_GROUP = { groups: ['g'] };
  const edited = (one: Modes, from: Modes['appliesTo'], to: Modes['appliesTo']) => {
    const step = {
      before: one,
      after: one,
      endpoints: [...SHOP, OTHER],
      groups: groups(to),
      groupsBefore: groups(from),
    };
    return [whyNotWidened({ ...step, record: { trial: side(), rest: side() } }), widens(step)];
  };
  const on = modes(trial('propose', OF_GROUP));
  const whole = modes({ mode: 'enforce', appliesTo: OF_GROUP });

  test.each<[string, Modes, Modes['appliesTo'], Modes['appliesTo'], RegExp | null, boolean]>([
    ['makes the trial everybody', on, CANARIES, { all: true }, /^the trial is every endpoint/, false],
    ['makes the trial another subset', on, CANARIES, { ids: ['b'] }, null, false],
    ['makes it smaller', on, { all: true }, CANARIES, null, false],
    [
      'brings others to the mode',
      whole,
      CANARIES,
      { all: true },
      /not been tried on a subset: assign mode observe/,
      true,
    ],
    ['takes some from it', whole, { all: true }, CANARIES, null, false],
    ['changes nothing', whole, CANARIES, CANARIES, null, false],
  ])('that %s', (_, one, from, to, reason, wider) => {
    expect(edited(one, from, to)).toEqual([reason === null ? null : expect.stringMatching(reason), wider]);
  });
});

test.each<[string, Modes | null, Modes, boolean]>([
  [
    'a trial that is kept while its mode becomes that of all',
    modes(trial('propose')),
    modes({ mode: 'propose', ...trial('propose') }),
    true,
  ],
  ['less than the trial for all', modes(trial('enforce')), modes({ mode: 'propose' }), true],
  ['a trial alone', modes(), modes(trial('propose')), false],
  ['the end of a trial', modes({ mode: 'propose', ...trial('propose') }), modes({ mode: 'propose' }), false],
])('%s: whether it widens', (_, before, after, expected) => {
  expect(widens({ before, after, endpoints: [...SHOP, OTHER], groups: new Map() })).toBe(expected);
});

describe('a trial', () => {
  test.each<[string, Partial<SideRecord>, Partial<SideRecord>, RegExp | null]>([
    ['of which a remediation stayed is over', {}, {}, null],
    ['some of which were reverted is over', { reverted: 5, failed: 3 }, {}, null],
    ['of nobody is not', { endpoints: 0, measured: 0 }, {}, /nobody is on trial/],
    [
      'not all of which is measured is not',
      { measured: 1, waiting: 1 },
      {},
      /1 of 2 endpoints on trial are not measured/,
    ],
    ['none of which can be measured is not', { measured: 0 }, {}, /2 of 2 endpoints/],
    ['with one that has no scanner is over', { measured: 1 }, {}, null],
    ['at work is not', { atWork: 3 }, {}, /still at work on the trial \(3\)/],
    ['on which nothing was put right is not', { succeeded: 0 }, {}, /no remediation has ended/],
    ['of which nothing stayed is not', { succeeded: 0, reverted: 2, failed: 1 }, {}, /none of the 3 remediations/],
    [
      'where nothing fails, though elsewhere something does, is not',
      { succeeded: 0, fixable: false },
      {},
      /shows nothing/,
    ],
    ['where nothing fails anywhere is over', { succeeded: 0, fixable: false }, { fixable: false }, null],
  ])('%s', (_, on, rest, reason) => {
    const found = whyUnfinished({ trial: side(on), rest: side(rest) }, 'propose');
    if (reason === null) expect(found).toBeNull();
    else expect(found).toMatch(reason);
  });

  test('that is not over keeps its mode from being widened, with what is missing', () => {
    const widen = [modes(trial('propose')), modes({ mode: 'propose' })] as const;
    expect(why(...widen, side({ atWork: 1 }))).toMatch(/^the trial is not over: remediations are still at work/);
    expect(why(...widen, null)).toMatch(/nothing is known of it/);
    expect(whyUnfinished({ trial: side({ succeeded: 0 }), rest: side() }, 'observe')).toBeNull();
  });
});
