import { describe, expect, test } from '@jest/globals';
import { settledBy } from './update-facts.js';

const base = { provider: 'apt', wanted: '1.2-3+deb12u2', wasInstalled: true };

describe('settledBy', () => {
  test.each([
    ['the same version', { ...base, installed: '1.2-3+deb12u2' }, 'installed'],
    ['an equal version spelled otherwise', { ...base, wanted: '0:1.0-0', installed: '1.0' }, 'installed'],
    ['a newer one', { ...base, installed: '1.2-3+deb12u10' }, 'newer'],
    ['an older one', { ...base, installed: '1.2-3+deb12u1' }, null],
    ['a pre-release of it', { ...base, installed: '1.2-3+deb12u2~bpo1' }, null],
    ['a package that is gone', { ...base, installed: undefined }, 'removed'],
    ['a new package not there yet', { ...base, installed: undefined, wasInstalled: false }, null],
    ['a version nobody can read', { ...base, installed: '-:-' }, null],
    ['another provider, newer by apt’s order', { ...base, provider: 'dnf', installed: '9' }, null],
    ['another provider, equal', { ...base, provider: 'dnf', installed: '1.2-3+deb12u2' }, 'installed'],
  ])('%s', (_, args, outcome) => {
    expect(settledBy(args)).toBe(outcome);
  });
});
