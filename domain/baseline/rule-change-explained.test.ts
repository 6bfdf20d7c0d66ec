import { expect, test } from '@jest/globals';
import { explainingChange, type OrderAtWork, type RuleMove } from './rule-change-explained.js';

const order = (over: Partial<OrderAtWork> = {}): OrderAtWork => ({
  changeId: 'mine',
  back: false,
  rules: ['one'],
  movedPackages: false,
  ...over,
});
const move = (over: Partial<RuleMove> = {}): RuleMove => ({
  name: 'two',
  was: 'pass',
  is: 'fail',
  movedBy: null,
  ...over,
});
const back = { back: true };
const right: Partial<RuleMove> = { was: 'fail', is: 'pass' };

test.each<[string, OrderAtWork[], RuleMove]>([
  ['a rule it names is put right', [order()], move({ name: 'one', ...right })],
  ['a rule it does not name is put right along with it', [order()], move(right)],
  ['a rule does not apply any more', [order()], move({ is: 'notapplicable' })],
  ['a rule it names fails again on the way back', [order(back)], move({ name: 'one' })],
  ['what went along goes back along', [order(back)], move({ movedBy: 'mine' })],
  ['a package that came makes a rule apply', [order({ movedPackages: true })], move({ was: 'notapplicable' })],
  ['an earlier order explains it', [order({ changeId: 'later' }), order(back)], move({ name: 'one' })],
])('explained: %s', (_, orders, what) => {
  expect(explainingChange(orders, what)).toBe('mine');
});

test.each<[string, OrderAtWork[], RuleMove]>([
  ['nothing was at work', [], move(right)],
  ['a rule it does not name gets worse', [order()], move()],
  ['a rule it names gets worse though nothing was undone', [order()], move({ name: 'one' })],
  ['a rule it does not name gets worse on the way back', [order(back)], move()],
  ['the same, moved by another change before', [order(back)], move({ movedBy: 'other' })],
  ['a rule applies now though no package came', [order()], move({ was: 'notapplicable' })],
  ['packages came, and a rule that applied gets worse', [order({ movedPackages: true })], move()],
  ['an error where it passed', [order()], move({ is: 'error' })],
  ['it is about packages: a rule gets worse', [order({ rules: [] })], move()],
  ['it is about packages: a rule is put right', [order({ rules: [] })], move(right)],
])('not explained: %s', (_, orders, what) => {
  expect(explainingChange(orders, what)).toBeNull();
});
