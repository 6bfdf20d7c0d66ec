import { describe, expect, test } from '@jest/globals';
import type { Request } from 'express';
import { isForeign } from './csrf.js';

const request = (headers: Record<string, string>): Request =>
  ({ get: (name: string) => ({ host: 'ringmaster.example:8420', ...headers })[name] }) as unknown as Request;

describe('isForeign', () => {
  test.each<[string, Record<string, string>, boolean]>([
    ['a program', {}, false],
    ['our own form', { 'sec-fetch-site': 'same-origin', origin: 'http://ringmaster.example:8420' }, false],
    ['our own form whose page sends no referrer', { 'sec-fetch-site': 'same-origin', origin: 'null' }, false],
    ['typed by the person', { 'sec-fetch-site': 'none' }, false],
    ['another site', { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }, true],
    ['contradicting words', { 'sec-fetch-site': 'same-origin', origin: 'https://evil.example' }, true],
    ['another host of our site', { 'sec-fetch-site': 'same-site', origin: 'http://other.example' }, true],
    ['an old browser at our own form', { origin: 'http://ringmaster.example:8420' }, false],
    ['an old browser elsewhere', { origin: 'http://ringmaster.example' }, true],
    ['an old browser that hides where', { origin: 'null' }, true],
    ['nonsense', { origin: 'nonsense' }, true],
  ])('%s', (_, headers, foreign) => {
    expect(isForeign(request(headers))).toBe(foreign);
  });
});
