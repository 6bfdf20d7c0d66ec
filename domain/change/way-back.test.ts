import { describe, expect, test } from '@jest/globals';
import { quorumFor, takesSnapshot } from './way-back.js';

describe('takesSnapshot', () => {
  const hook = (over: object) => ({ name: 'snapshot', when: 'before', onFailure: 'fail', timeoutSeconds: 60, ...over });
  test.each<[string, unknown, boolean]>([
    ['a snapshot that must succeed', [hook({})], true],
    ['one of its own kind', [hook({ name: 'drain' }), hook({ name: 'snapshot-lvm' })], true],
    ['one whose failure is ignored', [hook({ onFailure: 'ignore' })], false],
    ['one taken afterwards', [hook({ when: 'after' })], false],
    ['another hook', [hook({ name: 'drain' })], false],
    ['a name that only looks like it', [hook({ name: 'snapshots' })], false],
    ['no hooks', [], false],
    ['hooks that are none', 'snapshot', false],
    ['a hook that is none', [null, 'snapshot', 7], false],
  ])('%s: %s', (_, hooks, taken) => expect(takesSnapshot({ hooks })).toBe(taken));
});

describe('quorumFor', () => {
  test.each([
    ['nothing that can’t be undone', { quorum: 1, rules: 1, withoutNet: 0 }, 1],
    ['one approval is not enough', { quorum: 1, rules: 1, withoutNet: 3 }, 2],
    ['more were asked for anyway', { quorum: 3, rules: 1, withoutNet: 3 }, 3],
    ['another rule asks a second person', { quorum: 1, rules: 2, withoutNet: 3 }, 1],
  ])('%s', (_, args, quorum) => expect(quorumFor(args)).toBe(quorum));
});
