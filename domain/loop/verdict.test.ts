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
    confirmed: 3,
    missing: 0,
    unconfirmed: 0,
    shownSince: 0,
    declined: 0,
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
  ['a scan shows that it is not there', { confirmed: 2, missing: 1 }, 'yes', 'yes', 'no'],
  ['a later scan shows that it is', { confirmed: 2, missing: 1, shownSince: 1 }, 'yes', 'yes', 'yes'],
  ['of two, a later scan shows one', { confirmed: 1, missing: 2, shownSince: 1 }, 'yes', 'yes', 'no'],
  ['closed, and one was never scanned', { scanned: 2, confirmed: 2, unconfirmed: 1 }, 'yes', 'yes', 'no'],
  [
    'scanned after the close, and nobody has looked what it shows',
    { confirmed: 2, unconfirmed: 1 },
    'yes',
    'yes',
    'no',
  ],
  ['the same, and it shows it', { confirmed: 2, unconfirmed: 1, shownSince: 1 }, 'yes', 'yes', 'yes'],
  ['closed, and nobody could judge it', { confirmed: 0 }, 'yes', 'yes', 'no'],
  ['closed, and nobody has counted', { confirmed: null, missing: null, unconfirmed: null }, 'yes', 'yes', 'no'],
  ['open, and one was not scanned yet', { scanned: 2, outcome: null }, 'yes', 'yes', 'notYet'],
  ['open, and all are scanned', { outcome: null }, 'yes', 'yes', 'notYet'],
] as const)('%s', (_, change, first, second, third) => {
  const loop = { ...good, ...change };
  expect([authorised(loop).answer, asAuthorised(loop).answer, confirmed(loop).answer]).toEqual([first, second, third]);
});
