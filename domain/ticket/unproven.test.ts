import { expect, test } from '@jest/globals';
import { unproven } from './unproven.js';

const retired = { reason: 'the endpoint is retired', count: 1 };

test('all proven leaves nothing to say', () => {
  expect(unproven({ endpoints: 3, proven: 3, otherwise: [], unseen: 0 })).toBeNull();
});

test.each([
  [
    'ended without a scan',
    { endpoints: 3, proven: 2, otherwise: [retired], unseen: 0 },
    '2 of 3',
    '- 1: the endpoint is retired',
  ],
  [
    'never looked at',
    { endpoints: 2, proven: 2, otherwise: [], unseen: 1 },
    '2 of 3',
    '- 1: reported success, and no scan has shown it',
  ],
] as const)('what was %s is said', (_, ended, count, line) => {
  const text = unproven(ended);
  expect(text).toContain(`scans have proven ${count} endpoints`);
  expect(text?.split('\n')).toContain(line);
});

test('many reasons are not a page', () => {
  const otherwise = Array.from({ length: 40 }, (_, n) => ({ reason: `reason ${n}`, count: 1 }));
  expect(unproven({ endpoints: 40, proven: 0, otherwise, unseen: 0 })?.split('\n')).toHaveLength(13);
});
