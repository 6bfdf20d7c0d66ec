// How far something is from a gold standard: rules by place, packages and services by name.
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { countDrift, ruleDrift, setDrift } from './drift.js';

test('of packages: what is missing, what came besides, and what has another version', () => {
  expect(setDrift({ a: '1', b: '1', c: '1' }, { d: '1', c: '2', b: '1' })).toEqual({
    missing: ['a'],
    extra: ['d'],
    changed: [{ name: 'c', gold: '1', now: '2' }],
  });
});

test('of services, which have no version: only what is missing and what came besides', () => {
  expect(setDrift({ ssh: '', cron: '' }, { ssh: '', telnet: '' })).toEqual({
    missing: ['cron'],
    extra: ['telnet'],
    changed: [],
  });
});

test('names that objects have of themselves are names like others', () => {
  const odd = JSON.parse('{"__proto__": "1", "constructor": "1"}') as Record<string, string>;
  expect(setDrift({}, odd)).toMatchObject({ extra: ['__proto__', 'constructor'] });
  expect(setDrift(odd, {})).toMatchObject({ missing: ['__proto__', 'constructor'], changed: [] });
});

const set = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd', 'e'), fc.constantFrom('1', '2'));
test('the other way round it says the opposite; nothing differs from itself; each name is told once at most', () => {
  void fc.assert(
    fc.property(set, set, (gold, now) => {
      const [there, back] = [setDrift(gold, now), setDrift(now, gold)];
      expect(back).toEqual({
        missing: there.extra,
        extra: there.missing,
        changed: there.changed.map(({ name, gold: was, now: is }) => ({ name, gold: is, now: was })),
      });
      const told = [...there.missing, ...there.extra, ...there.changed.map(({ name }) => name)];
      expect(new Set(told).size).toBe(told.length);
      const names = new Set([...Object.keys(gold), ...Object.keys(now)]);
      expect(told.length).toBe([...names].filter((name) => gold[name] !== now[name]).length);
    }),
  );
});

test('of rules: each place where results differ, a text that is shorter in all that is missing', () => {
  expect(ruleDrift({ rules: ['a', 'b', 'c'], gold: 'pfp', now: 'pp' })).toEqual([
    { rule: 'b', gold: 'fail', now: 'pass' },
    { rule: 'c', gold: 'pass', now: null },
  ]);
  expect(countDrift('pfp', 'pp')).toBe(2);
});
