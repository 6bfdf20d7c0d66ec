import { expect, test } from '@jest/globals';
import { createGatherer } from './gather.js';

const tick = () => new Promise<void>((resolve) => setImmediate(resolve));

function rig(options: { atOnce?: number; most?: number; spoilt?: string } = {}) {
  const rounds: string[][] = [];
  const gates: (() => void)[] = [];
  const gatherer = createGatherer<string, string>({
    atOnce: options.atOnce ?? 1,
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

test('rounds are bounded, in size and in number, and two alike never share one', async () => {
  const { gatherer, rounds, open } = rig({ atOnce: 2, most: 2 });
  const all = ['a', 'a', 'b', 'c', 'd'].map((item) => gatherer.run(item));
  await tick();
  expect(rounds).toEqual([
    ['a', 'b'],
    ['a', 'c'],
  ]);
  for (let i = 0; i < 3; i++) await open();
  expect(await Promise.all(all)).toEqual(['a!', 'a!', 'b!', 'c!', 'd!']);
});

test('one that can not be done spoils nobody else’s', async () => {
  const { gatherer, rounds, open } = rig({ spoilt: 'b' });
  const all = Promise.allSettled(['a', 'b', 'c'].map((item) => gatherer.run(item)));
  await tick();
  for (let i = 0; i < 4; i++) await open();
  expect((await all).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(rounds).toEqual([['a', 'b', 'c'], ['a'], ['b'], ['c']]);
});
