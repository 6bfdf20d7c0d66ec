import { expect, test } from '@jest/globals';
import { createGatherer } from './gather.js';

const tick = () => new Promise<void>((resolve) => setImmediate(resolve));

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 1));
}

function rig(options: { atOnce?: number; patienceMs?: number; most?: number; spoilt?: string } = {}) {
  const rounds: string[][] = [];
  const gates: (() => void)[] = [];
  const gatherer = createGatherer<string, string>({
    atOnce: options.atOnce ?? 1,
    patienceMs: options.patienceMs ?? 60_000,
    most: options.most ?? 100,
    key: (item) => item,
    work: async (items) => {
      rounds.push([...items]);
      await new Promise<void>((resolve) => gates.push(resolve));
      if (items.includes(options.spoilt ?? '')) throw new Error('spoilt');
      return items.map((value) => ({ ok: true, value: `${value}!` }));
    },
  });
  const open = async () => {
    gates.shift()?.();
    for (let i = 0; i < 5; i++) await tick();
  };
  return { gatherer, rounds, open };
}

test('what comes while a round is under way goes together in the next one', async () => {
  const { gatherer, rounds, open } = rig();
  const first = gatherer.run('a');
  await tick();
  const later = ['b', 'c', 'd'].map((item) => gatherer.run(item));
  await tick();
  expect(rounds).toEqual([['a']]);
  await open();
  await open();
  expect(await Promise.all([first, ...later])).toEqual(['a!', 'b!', 'c!', 'd!']);
  expect(rounds).toEqual([['a'], ['b', 'c', 'd']]);
});

test('rounds are bounded in size, and two alike are never under way at the same time', async () => {
  const { gatherer, rounds, open } = rig({ atOnce: 2, patienceMs: 0, most: 2 });
  const all = ['a', 'a', 'b', 'c', 'd'].map((item) => gatherer.run(item));
  await until(() => rounds.length === 2);
  expect(rounds).toEqual([
    ['a', 'b'],
    ['c', 'd'],
  ]);
  for (let i = 0; i < 3; i++) await open();
  expect(await Promise.all(all)).toEqual(['a!', 'a!', 'b!', 'c!', 'd!']);
  expect(rounds).toHaveLength(3);
});

test('a round that takes long holds up nobody, and no more are under way than may be', async () => {
  const { gatherer, rounds, open } = rig({ atOnce: 2, patienceMs: 5 });
  const slow = gatherer.run('slow');
  await until(() => rounds.length === 1);
  const second = gatherer.run('b');
  await until(() => rounds.length === 2);
  const third = gatherer.run('c');
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(rounds).toEqual([['slow'], ['b']]);
  for (let i = 0; i < 3; i++) await open();
  expect(await Promise.all([slow, second, third])).toEqual(['slow!', 'b!', 'c!']);
});

test('what comes long after the last round began starts beside it at once', async () => {
  const { gatherer, rounds, open } = rig({ atOnce: 2, patienceMs: 5 });
  const slow = gatherer.run('slow');
  await until(() => rounds.length === 1);
  await new Promise((resolve) => setTimeout(resolve, 30));
  const late = gatherer.run('late');
  await tick();
  expect(rounds).toEqual([['slow'], ['late']]);
  for (let i = 0; i < 2; i++) await open();
  expect(await Promise.all([slow, late])).toEqual(['slow!', 'late!']);
});

test('one that can not be done spoils nobody else’s', async () => {
  const { gatherer, rounds, open } = rig({ spoilt: 'b' });
  const all = Promise.allSettled(['a', 'b', 'c'].map((item) => gatherer.run(item)));
  await tick();
  for (let i = 0; i < 4; i++) await open();
  expect((await all).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(rounds).toEqual([['a', 'b', 'c'], ['a'], ['b'], ['c']]);
});
