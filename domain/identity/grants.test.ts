import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  ALL_PERMISSIONS,
  beyond,
  isPermission,
  isScope,
  permissionsOf,
  scopeCovers,
  tokenPermissions,
} from './grants.js';
import { mayDo, ROLES } from './permissions.js';

describe('permissionsOf', () => {
  test('a built-in role has what mayDo says', () => {
    for (const role of ROLES) {
      expect([...permissionsOf([role])]).toEqual(ALL_PERMISSIONS.filter((one) => mayDo([role], one)));
    }
  });
  test('a custom role adds what it lists, and nothing by a word nobody knows', () => {
    expect([...permissionsOf([], ['group.edit', 'root', 'toString'])]).toEqual(['group.edit']);
    expect(permissionsOf(['User'], ['group.edit']).has('self.read')).toBe(true);
  });
});

describe('scopes', () => {
  test.each([
    ['group.read', true],
    ['group.*', true],
    ['*.read', true],
    ['*.*', false],
    ['*', false],
    ['', false],
    ['group.fly', false],
    ['rocket.*', false],
    ['*.fly', false],
    ['group.read.x', false],
    ['Group.read', false],
    ['constructor.*', false],
  ])('%s: %s', (text, expected) => {
    expect(isScope(text)).toBe(expected);
  });

  test('a scope is exactly what it says', () => {
    expect(ALL_PERMISSIONS.filter((one) => scopeCovers('group.*', one))).toEqual(['group.read', 'group.edit']);
    expect(ALL_PERMISSIONS.filter((one) => scopeCovers('*.read', one)).every((one) => one.endsWith('.read'))).toBe(
      true,
    );
  });
});

test('a token never has more than its role, its account or its scopes', () => {
  const some = fc.subarray([...ALL_PERMISSIONS]).map((list) => new Set(list));
  const scopes = fc.subarray(['group.*', '*.read', 'change.create', 'account.edit']);
  fc.assert(
    fc.property(some, fc.option(some), scopes, (role, account, narrowed) => {
      for (const permission of tokenPermissions({ role, account, scopes: narrowed })) {
        expect(role.has(permission) && (account?.has(permission) ?? true)).toBe(true);
        if (narrowed.length > 0 && permission !== 'self.read') {
          expect(narrowed.some((scope) => scopeCovers(scope, permission))).toBe(true);
        }
      }
    }),
  );
});

test('beyond names what the giver lacks', () => {
  expect(beyond(permissionsOf(['Manager']), permissionsOf(['Operator']))).toContain('group.edit');
  expect(beyond(permissionsOf(['Operator']), permissionsOf(['Manager']))).toEqual([]);
});

test('names of an object’s own are no permissions', () => {
  expect(isPermission('toString')).toBe(false);
});
