import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { tally } from './quorum.js';

const approve = (accountId: string) => ({ accountId, decision: 'approve' as const });

describe('tally', () => {
  it.each([
    { name: 'one of one', decisions: [approve('a')], quorum: 1, met: true },
    { name: 'the same person twice is one', decisions: [approve('a'), approve('a')], quorum: 2, met: false },
    { name: 'the requester does not count', decisions: [approve('me'), approve('a')], quorum: 2, met: false },
    {
      name: 'one rejection rejects',
      decisions: [approve('a'), approve('b'), { accountId: 'c', decision: 'reject' as const }],
      quorum: 2,
      met: false,
    },
    { name: 'a quorum of nobody is never met', decisions: [approve('a')], quorum: 0, met: false },
    { name: 'nor is one that is no number', decisions: [approve('a')], quorum: Number.NaN, met: false },
  ])('$name', ({ decisions, quorum, met }) => {
    expect(tally({ decisions, quorum, requester: 'me' }).quorumMet).toBe(met);
  });

  it('does not depend on the order of decisions', () => {
    const decision = fc.record({
      accountId: fc.constantFrom('a', 'b', 'c', 'me'),
      decision: fc.constantFrom('approve' as const, 'reject' as const),
    });
    fc.assert(
      fc.property(fc.array(decision), fc.integer({ min: 1, max: 4 }), (decisions, quorum) => {
        expect(tally({ decisions: [...decisions].reverse(), quorum, requester: 'me' })).toEqual(
          tally({ decisions, quorum, requester: 'me' }),
        );
      }),
    );
  });
});
