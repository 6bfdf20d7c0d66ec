import { describe, expect, test } from '@jest/globals';
import { judgeIdentity, type KnownIdentity } from './clone.js';

const known: KnownIdentity = { lastSignedAt: 1_000, lastJournalSeq: 10, bootId: 'b', earlierBootIds: ['a'] };

describe('judgeIdentity', () => {
  test.each([
    [
      'the first poll ever',
      { signedAt: 1, journalSeq: 0, bootId: 'x' },
      { ...known, lastSignedAt: null, lastJournalSeq: 0, bootId: null, earlierBootIds: [] },
      'consistent',
    ],
    ['the same again, later', { signedAt: 2_000, journalSeq: 10, bootId: 'b' }, known, 'consistent'],
    ['a longer journal', { signedAt: 2_000, journalSeq: 11, bootId: 'b' }, known, 'consistent'],
    ['a reboot', { signedAt: 2_000, journalSeq: 12, bootId: 'c' }, known, 'consistent'],
    ['a shorter journal', { signedAt: 2_000, journalSeq: 9, bootId: 'b' }, known, 'suspect'],
    ['a boot id that came back', { signedAt: 2_000, journalSeq: 10, bootId: 'a' }, known, 'suspect'],
    ['a retry overtaken by a later poll', { signedAt: 999, journalSeq: 9, bootId: 'b' }, known, 'old'],
    ['a replay of the newest', { signedAt: 1_000, journalSeq: 9, bootId: 'a' }, known, 'old'],
  ] as const)('%s', (_, claim, before, kind) => {
    expect(judgeIdentity(claim, before).kind).toBe(kind);
  });
});
