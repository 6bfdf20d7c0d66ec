import { describe, expect, test } from '@jest/globals';
import { readPayload } from './wake.js';

describe('readPayload', () => {
  test.each([
    ['["a","b"]', ['a', 'b']],
    ['[]', []],
    ['*', null],
    ['', null],
    ['[1]', null],
    ['{"a":1}', null],
    ['["a', null],
  ])('%j', (payload, ids) => {
    expect(readPayload(payload)).toEqual(ids);
  });
});
