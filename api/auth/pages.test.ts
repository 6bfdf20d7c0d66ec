import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { localPath } from './pages.js';

describe('localPath', () => {
  test.each([
    ['/', '/'],
    ['/v1/changes?open=true#x', '/v1/changes?open=true#x'],
    ['//evil.example', '/'],
    ['/\\evil.example', '/'],
    ['\\/evil.example', '/'],
    ['https://evil.example', '/'],
    ['/a\r\nset-cookie: x', '/'],
    ['/\t/evil.example', '/'],
    ['', '/'],
    [undefined, '/'],
    [['/a'], '/'],
  ])('%j leads to %s', (given, path) => {
    expect(localPath(given)).toBe(path);
  });

  test('whatever it returns stays on this server', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        for (const given of [text, `/${text}`]) {
          expect(new URL(localPath(given), 'https://here.example').origin).toBe('https://here.example');
        }
      }),
    );
  });
});
