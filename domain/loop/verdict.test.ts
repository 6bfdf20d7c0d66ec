import { expect, test } from '@jest/globals';
import { asAuthorised, authorised, confirmed, type LoopEvidence } from './verdict.js';

const good: LoopEvidence = {
  ...{ planDigest: 'd', outcome: 'completed', ringsOpened: 2, ringsNotApproved: 0 },
  approvals: [{ state: 'approved', planDigest: 'd' }],
  ...{
    begun: 3,
    notPlanned: 0,
    otherContent: 0,
    outsideWindow: 0,
    succeeded: 3,
    scanned: 3,
    missing: 0,
    declined: 0,
    openWork: 0,
  },
};

test.each([
  ['all is well', {}, 'yes', 'yes', 'yes'],
  ['a ring opened without approval of this plan', { ringsNotApproved: 1 }, 'no', 'yes', 'yes'],
  [
    'nothing has opened',
    { ringsOpened: 0, begun: 0, succeeded: 0, scanned: 0, outcome: null },
    'notYet',
    'notYet',
    'notYet',
  ],
  ['something else was installed', { otherContent: 1 }, 'yes', 'no', 'yes'],
  ['begun outside of its window', { outsideWindow: 1 }, 'yes', 'no', 'yes'],
  ['an endpoint nobody planned', { notPlanned: 1 }, 'yes', 'no', 'yes'],
  ['a scan shows that it is not there', { missing: 1, openWork: 1 }, 'yes', 'yes', 'no'],
  ['a scan showed that it was not there, and a later one that it is', { missing: 1 }, 'yes', 'yes', 'yes'],
  ['closed, and one was never scanned', { scanned: 2 }, 'yes', 'yes', 'no'],
  ['open, and one was not scanned yet', { scanned: 2, outcome: null }, 'yes', 'yes', 'notYet'],
  ['open, and all are scanned', { outcome: null }, 'yes', 'yes', 'notYet'],
] as const)('%s', (_, change, first, second, third) => {
  const loop = { ...good, ...change };
  expect([authorised(loop).answer, asAuthorised(loop).answer, confirmed(loop).answer]).toEqual([first, second, third]);
});
