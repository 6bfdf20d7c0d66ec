import { describe, expect, test } from '@jest/globals';
import { DAY, HOUR, MINUTE } from '../time.js';
import { decideWhy } from './decide.js';
import type { WhyChange, WhyEndpoint, WhyFacts, WhyOrder, WhyRing } from './facts.js';
import { readLimits } from './limits.js';
import { REASON_CODES, type ReasonCode } from './reason.js';

const NOW = Date.UTC(2026, 10, 30, 12);
const endpoint = (over: Partial<WhyEndpoint> = {}): WhyEndpoint => ({
  id: 'e',
  name: 'web-1',
  zone: 'Europe/Berlin',
  state: 'active',
  stateReason: null,
  scanOnly: false,
  holdUntil: null,
  holdReason: null,
  lastSeen: NOW - 10_000,
  nextPollAt: NOW + 20_000,
  clockSkewMs: 0,
  scannedAt: NOW - HOUR,
  incompleteReason: null,
  limits: { hold: null, windows: null, malformed: null },
  ...over,
});
const ring = (over: Partial<WhyRing> = {}): WhyRing => ({
  ordinal: 1,
  name: 'rest',
  state: 'open',
  halted: false,
  haltReason: null,
  haltedBy: null,
  concurrency: 4,
  approvals: [],
  earlier: null,
  ...over,
});
const change = (over: Partial<WhyChange> = {}): WhyChange => ({
  id: 'c',
  name: 'November',
  priority: 0,
  stage: 'deploy',
  outcome: null,
  waitingFor: null,
  halted: false,
  haltVerb: null,
  haltedBy: null,
  planReason: null,
  skippedBy: null,
  ring: ring(),
  ...over,
});
const order = (over: Partial<WhyOrder> = {}): WhyOrder => ({
  id: 'o',
  state: 'pending',
  reason: null,
  nextOpen: null,
  nextClose: null,
  windowReason: null,
  permitUntil: null,
  stragglerReason: null,
  startedAt: null,
  settledAt: null,
  ...over,
});
const open = { opens: NOW - HOUR, lastStart: NOW + HOUR, closes: NOW + 2 * HOUR };
const policy = (over: object = {}) => ({
  kind: 'policy' as const,
  patchApprovals: [],
  name: 'Servers',
  opening: open,
  zone: 'Europe/Berlin',
  silentUntil: null,
  frozen: null,
  ...over,
});
const update = { name: 'curl', arch: 'amd64', installed: '1', candidate: '2', leftOut: null };
const facts = (over: Partial<WhyFacts> = {}): WhyFacts => ({
  now: NOW,
  endpoint: endpoint(),
  policy: policy(),
  updates: [update],
  about: null,
  change: change(),
  order: order(),
  holder: null,
  ...over,
});
const closedNow = { opens: NOW + DAY, lastStart: NOW + DAY, closes: NOW + DAY + HOUR };

const CASES: readonly [ReasonCode, Partial<WhyFacts>, string][] = [
  ['retired', { endpoint: endpoint({ state: 'retired', stateReason: 'sold' }) }, 'it is retired: sold'],
  ['quarantined', { endpoint: endpoint({ state: 'quarantined', stateReason: 'cloned' }) }, 'it is quarantined: cloned'],
  ['scanOnly', { endpoint: endpoint({ scanOnly: true }) }, 'scanned only'],
  ['neverScanned', { endpoint: endpoint({ scannedAt: null }) }, 'it was never scanned'],
  ['neverScanned', { endpoint: endpoint({ scannedAt: null, incompleteReason: 'dpkg is locked' }) }, 'dpkg is locked'],
  ['nothingMissing', { updates: [] }, 'nothing is missing by its scan of Mon 30 Nov 2026 12:00 Europe/Berlin'],
  ['nothingMissing', { updates: [], about: 'curl' }, 'nothing of curl is missing'],
  [
    'awaitingReboot',
    { order: order({ state: 'awaitingReboot', nextOpen: NOW + DAY }), updates: [] },
    'opens Tue 1 Dec 2026 13:00 Europe/Berlin',
  ],
  ['underWay', { order: order({ state: 'applying', startedAt: NOW - MINUTE }) }, 'is being installed'],
  [
    'mayStart',
    { order: order({ state: 'staged', permitUntil: NOW + MINUTE }) },
    'may still start until Mon 30 Nov 2026 13:01 Europe/Berlin',
  ],
  [
    'mayStart',
    { order: order({ state: 'released', nextOpen: NOW - 1, nextClose: NOW + HOUR }) },
    'is on its way (released)',
  ],
  [
    'failed',
    { order: order({ state: 'reverted', reason: 'not healthy', settledAt: NOW }) },
    'was put back Mon 30 Nov 2026 13:00 Europe/Berlin: not healthy',
  ],
  [
    'failed',
    { order: order({ state: 'failed', reason: 'postinst' }), change: change({ outcome: 'completedWithFailures' }) },
    'failed there: postinst',
  ],
  [
    'superseded',
    { order: order({ state: 'superseded', reason: 'change z has a higher priority' }) },
    'has a higher priority',
  ],
  ['skipped', { order: order({ state: 'skipped', reason: 'held here' }) }, 'held here'],
  [
    'skipped',
    { change: change({ skippedBy: 'Ada', planReason: 'payroll', ring: null }), order: null },
    'by Ada: payroll',
  ],
  [
    'hold',
    { endpoint: endpoint({ holdUntil: NOW + DAY, holdReason: 'audit' }) },
    'on hold until Tue 1 Dec 2026 13:00 Europe/Berlin: audit',
  ],
  ['noPolicy', { policy: { kind: 'none', reason: 'no policy set applies' } }, 'no policy set applies'],
  ...(['excepted', 'deferred', 'declined'] as const).map((how): [ReasonCode, Partial<WhyFacts>, string] => [
    how,
    { updates: [{ ...update, leftOut: { how, reason: 'because' } }] },
    `curl is ${how}: because`,
  ]),
  ['excluded', { change: change({ ring: null, planReason: 'no ring selects it' }), order: null }, 'no ring selects it'],
  ['notInChange', { change: null, order: null }, 'no change has it in its plan'],
  [
    'notInChange',
    { change: change({ outcome: 'completed' }), order: order({ state: 'succeeded' }) },
    'ended as completed',
  ],
  [
    'preparing',
    { change: change({ stage: 'obtain', waitingFor: 'Fetches content' }), order: null },
    'is being prepared: Fetches content',
  ],
  [
    'halted',
    { change: change({ halted: true, haltVerb: 'pause', haltedBy: 'Ada' }) },
    '“November” is stopped (pause by Ada)',
  ],
  [
    'halted',
    { change: change({ ring: ring({ halted: true, haltedBy: 'budget', haltReason: 'spent' }) }) },
    'halted by budget: spent',
  ],
  [
    'approval',
    {
      order: null,
      change: change({
        ring: ring({ state: 'waiting', approvals: [{ people: ['Ada'], since: NOW, expiresAt: NOW + DAY }] }),
      }),
    },
    'since Mon 30 Nov 2026 13:00 Europe/Berlin, of Ada',
  ],
  [
    'earlierRing',
    {
      order: null,
      change: change({
        ring: ring({ state: 'waiting', earlier: { ordinal: 0, name: 'test', state: 'open', halted: false } }),
      }),
    },
    'ring 0 (test) comes first (open)',
  ],
  [
    'soak',
    {
      order: null,
      change: change({
        ring: ring({ state: 'waiting', earlier: { ordinal: 0, name: 'test', state: 'soaking', halted: false } }),
      }),
    },
    'soaks',
  ],
  [
    'offline',
    { endpoint: endpoint({ lastSeen: NOW - DAY, nextPollAt: NOW - DAY + MINUTE }) },
    'offline since Sun 29 Nov 2026 13:00 Europe/Berlin',
  ],
  ['clockSkew', { endpoint: endpoint({ clockSkewMs: -300_000 }) }, 'off by 300 s'],
  [
    'localLimits',
    { endpoint: endpoint({ limits: readLimits({ hold: 'payroll' }) }) },
    'on the machine itself: payroll',
  ],
  [
    'localLimits',
    { endpoint: endpoint({ limits: readLimits({ windows: [{ days: ['sat'], from: '22:00', to: '04:00' }] }) }) },
    'only sat 22:00–04:00',
  ],
  [
    'localLimits',
    { endpoint: endpoint({ limits: readLimits({ malformed: 'it is not JSON' }) }) },
    'counts as a hold: it is not JSON',
  ],
  [
    'frozen',
    {
      policy: policy({ opening: closedNow, frozen: { until: NOW + DAY, label: 'Year end', calendars: ['corporate'] } }),
    },
    'frozen until Tue 1 Dec 2026 13:00 Europe/Berlin (Year end) by calendar corporate',
  ],
  [
    'noWindow',
    { policy: policy({ opening: { never: 'the list of windows is empty' } }) },
    'never opens for it: the list of windows is empty',
  ],
  [
    'silent',
    { policy: policy({ opening: closedNow, silentUntil: NOW + DAY }) },
    'may not be talked with before Tue 1 Dec 2026 13:00 Europe/Berlin (hours of communication of policy set Servers)',
  ],
  ['closed', { policy: policy({ opening: closedNow }) }, 'open Tue 1 Dec 2026 13:00 Europe/Berlin'],
  [
    'otherOrder',
    { holder: { changeId: 'z', change: 'Zero-day', priority: 100, state: 'applying' } },
    '“Zero-day” (priority 100) is at work there',
  ],
  ['passedOver', { order: order({ stragglerReason: 'hostOrder: endpoints that come before it failed' }) }, 'hostOrder'],
  ['expired', { order: order({ state: 'expired' }) }, 'was not begun in time'],
  ['withdrawn', { order: order({ state: 'withdrawn', reason: 'aborted' }) }, 'was taken back: aborted'],
  ['turn', {}, 'its turn in ring 1 (rest) of “November” has not come; 4 go at once now'],
];

describe('decideWhy', () => {
  test.each(CASES)('%s', (code, over, text) => {
    const why = decideWhy(facts(over));
    expect([why.code, why.sentence]).toEqual([code, expect.stringContaining(text)]);
    expect(why.sentence).toMatch(/^web-1: .*\.$/);
    expect(why.chain[0]?.code).toBe(code);
  });

  test('every reason has a case', () => {
    expect([...new Set(CASES.map(([code]) => code))].sort()).toEqual([...REASON_CODES].sort());
  });

  test('the chain has every reason that holds, what must go first first', () => {
    const why = decideWhy(
      facts({
        endpoint: endpoint({ holdUntil: NOW + DAY, clockSkewMs: 500_000, lastSeen: NOW - DAY, nextPollAt: null }),
        policy: policy({ opening: closedNow }),
        change: change({ halted: true, haltVerb: 'pause', haltedBy: 'Ada' }),
      }),
    );
    expect(why.chain.map((one) => one.code)).toEqual(['hold', 'halted', 'offline', 'clockSkew', 'closed', 'turn']);
  });

  test('some of several updates left out hold nobody up', () => {
    const some = [update, { ...update, name: 'vim', leftOut: { how: 'excepted' as const, reason: 'x' } }];
    expect(decideWhy(facts({ updates: some })).code).toBe('turn');
  });

  test('an order whose window was opened by an approval is not held by hours or freezes', () => {
    const opened = order({ nextOpen: NOW - 1, nextClose: NOW + DAY });
    const frozen = { until: NOW + DAY, label: null, calendars: ['corporate'] };
    expect(decideWhy(facts({ order: opened, policy: policy({ opening: closedNow, frozen }) })).code).toBe('turn');
  });

  test('an endpoint that was told to ask rarely is not offline before its time', () => {
    const asleep = endpoint({ lastSeen: NOW - HOUR, nextPollAt: NOW + MINUTE });
    expect(decideWhy(facts({ endpoint: asleep })).code).toBe('turn');
  });
});

test.each([null, 'x', { hold: 5, windows: 'x', malformed: {} }, { windows: [{}] }, { hold: '' }])(
  'hostile limits %j',
  (told) => {
    expect(() => readLimits(told)).not.toThrow();
  },
);
