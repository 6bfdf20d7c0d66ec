import { expect, test } from '@jest/globals';
import type { Selector } from './selector.js';
import { selectorInWords } from './selector-words.js';

test.each<[Selector, string]>([
  [{}, 'nobody'],
  [{ all: true }, 'all endpoints'],
  [{ groups: ['web'] }, 'group web'],
  [{ groups: ['web', 'db'], labels: { site: 'graz' } }, 'any of the groups web, db, label site=graz'],
  [{ names: ['a', 'b', 'c', 'd', 'e', 'f', 'g'] }, 'endpoints a, b, c, d, e and 2 more'],
  [{ ids: ['1', '2'], where: 'os ~ "debian*"' }, '2 endpoints, where os ~ "debian*"'],
])('%j reads %s', (selector, words) => {
  expect(selectorInWords(selector)).toBe(words);
});
