import { describe, expect, test } from '@jest/globals';
import { mayDo, PERMISSIONS, type Permission, ROLES } from './permissions.js';

const all = Object.keys(PERMISSIONS) as Permission[];

describe('permissions', () => {
  test('each role has everything the weaker ones have, and more', () => {
    const sizes = ROLES.map((role) => all.filter((p) => mayDo([role], p)).length);
    expect(sizes[0]).toBe(all.length);
    for (let i = 1; i < sizes.length; i += 1) expect(sizes[i]).toBeLessThan(sizes[i - 1] as number);
    for (const permission of all) {
      const allowed = ROLES.map((role) => mayDo([role], permission));
      expect(allowed).toEqual([...allowed].sort((a, b) => Number(b) - Number(a)));
    }
  });

  test('no role, or one nobody knows, may do nothing', () => {
    for (const permission of all) {
      expect(mayDo([], permission)).toBe(false);
      expect(mayDo(['Root' as never], permission)).toBe(false);
    }
  });

  test('several roles count as the strongest of them', () => {
    expect(mayDo(['User', 'Manager'], 'change.create')).toBe(true);
    expect(mayDo(['User', 'Operator'], 'change.create')).toBe(false);
  });
});
