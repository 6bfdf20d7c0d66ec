/** Who may do what: the walk over every mounted route, tokens and their scopes, roles of one's own. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { isPermission, permissionsOf, tokenPermissions } from '../../domain/identity/grants.js';
import { PERMISSIONS, type Permission, ROLES } from '../../domain/identity/permissions.js';
import { startApi, type TestApi } from '../helpers/api-server.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';

jest.setTimeout(60_000);

interface Operation {
  readonly 'x-permission': Permission;
  readonly requestBody?: { readonly content: Readonly<Record<string, unknown>> };
}

let db: TestDatabase;
let api: TestApi;
beforeAll(async () => {
  db = await createDatabase();
  api = await startApi({ apiUrl: db.apiUrl, pool: db.pool });
}, 60_000);
afterAll(async () => {
  await api?.close();
  await db?.drop();
});

const makeAccount = async (roles: readonly string[], token?: string): Promise<string> => {
  const body = { name: 'x', email: `${randomUUID()}@example.com`, roles };
  const made = await api.call('POST', '/v1/accounts', { body, ...(token === undefined ? {} : { token }) });
  expect(made.status).toBe(201);
  return made.body.id;
};
const makeToken = async (account: string, role: string, scopes: readonly string[] = []): Promise<string> => {
  const body = { name: 't', role, scopes, expiresInSeconds: 600 };
  const made = await api.call('POST', `/v1/accounts/${account}/tokens`, { body });
  expect(made.status).toBe(201);
  return made.body.token;
};
const makeRole = async (name: string, permissions: readonly Permission[], token?: string) =>
  api.call('PUT', `/v1/roles/${name}`, { body: { permissions }, ...(token === undefined ? {} : { token }) });

describe('the walk over routes and persons', () => {
  test('every mounted route answers everybody exactly as its permission says', async () => {
    const { body: document } = await api.call('GET', '/v1/openapi.json', { token: null });
    const paths: Record<string, Record<string, Operation>> = document.paths;
    // Whatever express has below /v1 is in the document, so nothing can be mounted past this walk.
    const open = ['/v1/openapi.json'];
    const mounted = api.mounted.filter((path) => path.startsWith('/v1')).map((p) => p.replaceAll(/:(\w+)/g, '{$1}'));
    expect(mounted.filter((path) => !open.includes(path)).sort()).toEqual(Object.keys(paths).sort());

    await makeRole('walker', ['audit.read', 'change.read', 'self.read']);
    const scopes = ['group.*', '*.read'];
    const people: { who: string; token: string; has: ReadonlySet<Permission> }[] = [
      { who: 'nobody’s role', token: await makeToken(await makeAccount([]), 'Administrator'), has: new Set() },
      {
        who: 'a narrowed token',
        token: await makeToken(await makeAccount(['Administrator']), 'Manager', scopes),
        has: tokenPermissions({ role: permissionsOf(['Manager']), account: null, scopes }),
      },
      {
        who: 'a custom role',
        token: await makeToken(await makeAccount(['walker']), 'walker'),
        has: new Set<Permission>(['audit.read', 'change.read', 'self.read']),
      },
    ];
    for (const role of ROLES) {
      people.push({ who: role, token: await makeToken(await makeAccount([role]), role), has: permissionsOf([role]) });
    }
    const walked = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
    );
    expect(walked.length).toBeGreaterThan(70);
    const wrong: string[] = [];
    for (const { method, path, operation } of walked) {
      const permission = operation['x-permission'];
      expect([path, isPermission(permission)]).toEqual([path, true]);
      const ask = statusOf(method, path, operation);
      if ((await ask(null)) !== 401) wrong.push(`${method} ${path}: lets strangers in`);
      for (const { who, token, has } of people) {
        const status = await ask(token);
        // Nothing exists behind the parameters, and the body fits nowhere: who may is told so, and it is never a fault of ours.
        const fits = has.has(permission) ? status !== 401 && status !== 403 && status < 500 : status === 403;
        if (!fits) wrong.push(`${method} ${path} (${permission}): ${who} is answered ${status}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  /** Asks with ids of nothing and an empty body; does not wait for streams to end. */
  function statusOf(method: string, path: string, operation: Operation) {
    const target = path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
      /id$/i.test(name) ? randomUUID() : name === 'kind' ? 'itOwner' : 'nothing',
    );
    const type = Object.keys(operation.requestBody?.content ?? {})[0];
    return async (token: string | null): Promise<number> => {
      const reply = await fetch(new URL(target, api.url), {
        method,
        headers: {
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          ...(type === undefined ? {} : { 'content-type': type }),
        },
        ...(type === undefined ? {} : { body: type === 'application/json' ? '{}' : 'nothing' }),
      });
      await reply.body?.cancel();
      return reply.status;
    };
  }
});

describe('tokens', () => {
  test('say who they are, whatever their scopes', async () => {
    const account = await makeAccount(['Manager']);
    const token = await makeToken(account, 'Administrator', ['group.read']);
    const self = await api.call('GET', '/v1/self', { token });
    expect(self).toMatchObject({
      status: 200,
      body: {
        actor: account,
        roles: ['Manager'],
        permissions: ['self.read', 'group.read'],
        via: 'token',
        token: { name: 't', role: 'Administrator', scopes: ['group.read'], expiresAt: expect.any(String) },
      },
    });
    const refused = await api.call('GET', '/v1/changes', { token });
    expect([refused.status, refused.body.detail]).toEqual([403, expect.stringContaining('scope')]);
  });

  test('are never worth more than their account is now', async () => {
    const account = await makeAccount(['Operator']);
    const token = await makeToken(account, 'Administrator');
    const ask = async (path: string) => (await api.call('GET', path, { token })).status;
    expect([await ask('/v1/changes'), await ask('/v1/accounts')]).toEqual([200, 403]);
    await api.call('PUT', `/v1/accounts/${account}/roles`, { body: { roles: ['User'] } });
    expect(await ask('/v1/changes')).toBe(403);
  });

  test('end with their revocation, their time and their account, and are told which', async () => {
    const account = await makeAccount(['Operator']);
    const [first, second] = [await makeToken(account, 'Operator'), await makeToken(account, 'Operator')];
    const ask = (token: string) => api.call('GET', '/v1/changes', { token });
    const { body: list } = await api.call('GET', `/v1/accounts/${account}/tokens`);
    expect(list.items).toHaveLength(2);
    expect(JSON.stringify(list)).not.toContain(first);
    const idOf = async (token: string) => (await api.call('GET', '/v1/self', { token })).body.token.id;
    const path = `/v1/accounts/${account}/tokens/${await idOf(first)}`;
    expect((await api.call('DELETE', path)).status).toBe(204);
    expect(await ask(first)).toMatchObject({ status: 401, body: { detail: expect.stringContaining('revoked') } });
    expect((await api.call('DELETE', path)).status).toBe(404);

    await api.call('PUT', `/v1/accounts/${account}/disabled`, { body: { disabled: true } });
    expect(await ask(second)).toMatchObject({ status: 401, body: { detail: expect.stringContaining('disabled') } });
    await api.call('PUT', `/v1/accounts/${account}/disabled`, { body: { disabled: false } });
    expect((await ask(second)).status).toBe(200);
    await db.pool.query('UPDATE api_token SET expires_at = now() WHERE id = $1', [await idOf(second)]);
    expect(await ask(second)).toMatchObject({ status: 401, body: { detail: expect.stringContaining('expired') } });
  });

  test.each([
    ['an unknown token', { authorization: 'Bearer rmt_nobody-made-this-one' }, 'unknown'],
    ['another scheme', { authorization: 'Basic YTpi' }, 'Bearer'],
    ['nothing after Bearer', { authorization: 'Bearer ' }, 'Bearer'],
  ])('%s: 401', async (_, headers, detail) => {
    const reply = await api.call('GET', '/v1/changes', { token: null, headers });
    expect([reply.status, reply.body.detail]).toEqual([401, expect.stringContaining(detail)]);
    expect(reply.headers.get('www-authenticate')).toContain('Bearer');
  });

  test.each([['*.*'], ['group.fly'], ['*'], ['']])('“%s” is no scope', async (scope) => {
    const body = { name: 't', role: 'User', scopes: [scope], expiresInSeconds: null };
    const reply = await api.call('POST', `/v1/accounts/${await makeAccount([])}/tokens`, { body });
    expect([reply.status, reply.body.errors?.[0]?.field]).toEqual([400, 'scopes[0]']);
  });
});

describe('custom roles', () => {
  test('are made, held, changed at once for all who hold them, and deleted once nobody does', async () => {
    const made = await makeRole('night shift', ['change.read', 'group.read']);
    expect(made).toMatchObject({ status: 200, body: { name: 'night shift', accounts: 0, tokens: 0 } });
    const account = await makeAccount(['User', 'night shift']);
    const token = await makeToken(account, 'night shift');
    const ask = async (path: string) => (await api.call('GET', path, { token })).status;
    expect([await ask('/v1/groups'), await ask('/v1/audit')]).toEqual([200, 403]);
    await makeRole('night shift', ['audit.read']);
    expect([await ask('/v1/groups'), await ask('/v1/audit')]).toEqual([403, 200]);
    expect((await api.call('GET', '/v1/roles/night%20shift')).body).toMatchObject({ accounts: 1, tokens: 1 });
    expect(await api.call('DELETE', '/v1/roles/night%20shift')).toMatchObject({
      status: 409,
      body: { detail: '1 accounts and 1 tokens hold the role' },
    });
    await api.call('PUT', `/v1/accounts/${account}/roles`, { body: { roles: [] } });
    const [held] = (await api.call('GET', `/v1/accounts/${account}/tokens`)).body.items;
    await api.call('DELETE', `/v1/accounts/${account}/tokens/${held.id}`);
    expect((await api.call('DELETE', '/v1/roles/night%20shift')).status).toBe(204);
    expect((await api.call('GET', '/v1/roles/night%20shift')).status).toBe(404);
  });

  test('nobody gives, or takes over, more than they may do themselves', async () => {
    await makeRole('helpdesk', ['account.edit', 'self.read']);
    await makeRole('reader', ['self.read']);
    const mine = await makeToken(await makeAccount(['helpdesk']), 'helpdesk');
    const admin = await makeAccount(['Administrator']);
    const refused = async (method: string, path: string, body: object) => {
      const reply = await api.call(method, path, { token: mine, body });
      expect([path, reply.status, reply.body.detail]).toEqual([path, 403, expect.stringContaining('than you may')]);
    };
    await refused('POST', '/v1/accounts', { name: 'x', email: 'x@example.com', roles: ['Operator'] });
    await refused('PUT', `/v1/accounts/${admin}/password`, { password: 'a password that is long' });
    await refused('PUT', `/v1/accounts/${admin}/disabled`, { disabled: true });
    await refused('PUT', `/v1/accounts/${admin}/roles`, { roles: [] });
    await refused('POST', `/v1/accounts/${admin}/tokens`, { name: 't', role: 'reader', expiresInSeconds: null });
    await refused('PUT', '/v1/roles/more', { permissions: ['change.create'] });
    await makeRole('strong', ['change.create']);
    await refused('PUT', '/v1/roles/strong', { permissions: [] });
    const theirs = await makeAccount(['reader'], mine);
    await refused('PUT', `/v1/accounts/${theirs}/roles`, { roles: ['strong'] });
    await refused('POST', `/v1/accounts/${theirs}/tokens`, { name: 't', role: 'strong', expiresInSeconds: null });
    expect((await makeRole('reader', ['self.read', 'account.edit'], mine)).status).toBe(200);
  });

  test.each([
    ['a built-in one', 'PUT', '/v1/roles/Manager', { permissions: [] }, 409, 'built-in'],
    ['a permission of nobody', 'PUT', '/v1/roles/x', { permissions: ['root'] }, 400, 'permissions[0]'],
  ])('%s can’t be made', async (_, method, path, body, status, text) => {
    const reply = await api.call(method, path, { body });
    expect([reply.status, reply.body.detail]).toEqual([status, expect.stringContaining(text)]);
  });

  test('a role nobody made is refused by name', async () => {
    const body = { name: 'x', email: 'ghost@example.com', roles: ['User', 'ghost'] };
    const reply = await api.call('POST', '/v1/accounts', { body });
    expect([reply.status, reply.body.detail]).toEqual([400, 'roles: no such role: ghost']);
  });

  test('every permission is one that a built-in role has', () => {
    expect(permissionsOf(['Administrator']).size).toBe(Object.keys(PERMISSIONS).length);
  });
});
