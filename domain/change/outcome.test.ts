import { describe, expect, test } from '@jest/globals';
import type { OutcomeCounts } from './outcome.js';
import { decideOutcome } from './outcome.js';
import type { ChangeOutcome } from './stage.js';

const clean: OutcomeCounts = {
  planned: 10,
  failed: 0,
  expired: 0,
  unsettled: 0,
  missing: 0,
  unconfirmed: 0,
  declinedOn: 0,
};

describe('decideOutcome', () => {
  test.each<[ChangeOutcome, Partial<OutcomeCounts>, ChangeOutcome]>([
    ['completed', {}, 'completed'],
    ['completed', { planned: 0 }, 'nothingToDo'],
    ['completed', { failed: 1 }, 'completedWithFailures'],
    ['completed', { expired: 1 }, 'completedWithFailures'],
    ['completed', { unsettled: 1 }, 'completedWithFailures'],
    ['completed', { missing: 1 }, 'completedWithFailures'],
    ['completed', { unconfirmed: 1 }, 'completedWithFailures'],
    ['completed', { declinedOn: 1 }, 'completedWithFailures'],
    ['nothingToDo', { planned: 0 }, 'nothingToDo'],
    ['rolledBack', { failed: 3 }, 'rolledBack'],
    ['aborted', { unsettled: 3 }, 'aborted'],
    ['expired', {}, 'expired'],
    ['failed', {}, 'failed'],
  ])('%s with %j is %s', (ended, changes, outcome) => {
    expect(decideOutcome(ended, { ...clean, ...changes })).toBe(outcome);
  });
});
