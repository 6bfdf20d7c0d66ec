import { describe, expect, test } from '@jest/globals';
import type { Counts } from '../../db/read/changes.js';
import type { Progress, RingProgress } from '../../db/read/progress.js';
import { ringView, stepsOf, waitsFor } from './progress-view.js';

const counts = (over: Partial<Counts> = {}): Counts => ({
  ...{ total: 0, pending: 0, inFlight: 0, succeeded: 0, failed: 0, none: 0, byState: {} },
  ...over,
});
const ring = (over: Partial<RingProgress> = {}): RingProgress => ({
  ...{
    ordinal: 1,
    name: 'Early',
    state: 'open',
    targetKind: 'change',
    halted: false,
    haltReason: null,
    haltedBy: null,
  },
  ...{ haltedAt: null, openedAt: null, deadline: null, planned: 0 },
  counts: { stage: counts(), change: counts(), revert: counts() },
  ...over,
});
const progress = (over: Partial<Progress> = {}): Progress => ({
  ...{ id: 'x', name: 'November', stage: 'deploy', outcome: null, waitingFor: null, halted: false, haltVerb: null },
  ...{
    haltedBy: null,
    deadline: new Date(0),
    closedAt: null,
    planDigest: null,
    planRevision: 0,
    approvalsOpen: 0,
    rings: [],
  },
  ...over,
});

describe('what a change waits for', () => {
  test.each<[Partial<Progress>, string]>([
    [{}, 'Is working.'],
    [{ stage: 'requested' }, 'Is about to start.'],
    [{ waitingFor: 'Ring 1 waits for Sat 22:00' }, 'Ring 1 waits for Sat 22:00'],
    [
      { waitingFor: 'Sat', halted: true, haltVerb: 'pause', haltedBy: 'Ada' },
      'Paused by Ada. Nothing is released until somebody resumes it.',
    ],
    [{ halted: true, haltVerb: 'abort', haltedBy: null }, 'Aborted. What was begun settles.'],
    [{ stage: 'closed', outcome: 'completedWithFailures' }, 'Completed, with failures.'],
  ])('%j', (over, sentence) => {
    expect(waitsFor(progress(over))).toBe(sentence);
  });
});

describe('steps', () => {
  const states = (over: Partial<Progress>) => stepsOf(progress(over)).map((step) => step.state);
  test('what is before the present one is done', () => {
    expect(states({ stage: 'test' })).toEqual(['done', 'done', 'now', 'to come', 'to come', 'to come']);
    expect(states({ stage: 'requested' })).toEqual(Array(6).fill('to come'));
  });
  test('only a completed change did them all', () => {
    expect(states({ stage: 'closed', outcome: 'completed' })).toEqual(Array(6).fill('done'));
    expect(states({ stage: 'closed', outcome: 'aborted' })).toEqual(Array(6).fill('to come'));
  });
});

describe('a ring', () => {
  test('counts endpoints without an order yet as waiting, and says every number', () => {
    const view = ringView(
      ring({
        planned: 20,
        counts: {
          stage: counts(),
          revert: counts(),
          change: counts({ total: 10, succeeded: 5, inFlight: 2, failed: 1, none: 1, pending: 1 }),
        },
      }),
    );
    expect(view.numbers).toEqual({ total: 20, succeeded: 5, inFlight: 2, failed: 1, none: 1, waiting: 11 });
    expect(view.spoken).toBe('5 of 20 succeeded, 2 in flight, 1 failed, 11 waiting, 1 neither');
    expect(view.bar).toEqual([
      { kind: 'ok', x: 0, width: 25 },
      { kind: 'work', x: 25, width: 10 },
      { kind: 'bad', x: 35, width: 5 },
      { kind: 'none', x: 40, width: 5 },
    ]);
  });
  test('that rolls back shows the rollback’s orders', () => {
    const view = ringView(
      ring({
        targetKind: 'revert',
        counts: {
          stage: counts(),
          change: counts({ total: 4, failed: 4 }),
          revert: counts({ total: 2, succeeded: 2 }),
        },
      }),
    );
    expect([view.what, view.spoken]).toEqual(['rollback', '2 of 2 succeeded']);
  });
  test('with nobody in it has an empty bar', () => {
    expect(ringView(ring())).toMatchObject({ bar: [], spoken: '0 of 0 succeeded' });
  });
});
