import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { VERSION } from './version.js';

test('is package.json’s', () => {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  expect(VERSION).toBe(version);
});
