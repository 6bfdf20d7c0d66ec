import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startApi, type TestApi } from '../helpers/api-server.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';

const DAY = 86_400_000;
let db: TestDatabase;
let api: TestApi;
let manager: { id: string; token: string };
let owner: string;

beforeAll(async () => {
  db = await createDatabase();
  api = await startApi({ apiUrl: db.apiUrl, pool: db.pool });
  const account = async (name: string) =>
    (await api.call('POST', '/v1/accounts', { body: { name, email: `${name}@example.com`, roles: ['Manager'] } })).body
      .id;
  const id = await account('Mary');
  const body = { name: 'test', role: 'Manager', expiresInSeconds: null };
  manager = { id, token: (await api.call('POST', `/v1/accounts/${id}/tokens`, { body })).body.token };
  owner = await account('Olaf');
}, 60_000);
afterAll(async () => {
  await api?.close();
  await db?.drop();
});

const inDays = (days: number) => new Date(Date.now() + days * DAY).toISOString();
const good = () => ({
  selector: { where: 'name = web-1' },
  package: 'openssl',
  reason: 'breaks the shop',
  owner,
  expiresAt: inDays(7),
});
const make = async (change: object = {}) =>
  api.call('POST', '/v1/exceptions', { body: { ...good(), ...change }, token: manager.token });

describe('exceptions', () => {
  test('are granted by somebody who is not their owner, edited, listed and revoked', async () => {
    const made = await make();
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({ ownerName: 'Olaf', approvedBy: manager.id, state: 'inForce', cve: null });
    const path = `/v1/exceptions/${made.body.id}`;
    expect(made.headers.get('location')).toBe(path);
    expect((await api.call('GET', path)).body).toEqual(made.body);
    const longer = inDays(14);
    const edited = await api.call('PATCH', path, { body: { expiresAt: longer } });
    expect(edited.body).toMatchObject({
      expiresAt: longer,
      reason: 'breaks the shop',
      approvedBy: expect.not.stringContaining(manager.id),
    });
    const other = await make({ package: undefined, cve: 'CVE-2026-12345' });
    const page = await api.call('GET', '/v1/exceptions?state=inForce&limit=1');
    expect(page.body.items).toMatchObject([{ id: other.body.id }]);
    const rest = await api.call('GET', `/v1/exceptions?state=inForce&cursor=${page.body.next}`);
    expect(rest.body).toMatchObject({ items: [{ id: made.body.id }], next: null });
    expect((await api.call('GET', '/v1/exceptions?cve=CVE-2026-12345')).body.items).toHaveLength(1);
    expect((await api.call('DELETE', path)).status).toBe(204);
    expect((await api.call('GET', path)).body).toMatchObject({ state: 'revoked', revokedBy: expect.any(String) });
    expect((await api.call('DELETE', path)).status).toBe(409);
    expect((await api.call('PATCH', path, { body: { reason: 'x' } })).status).toBe(409);
    const audit = (await api.call('GET', `/v1/audit?subject=exception/${made.body.id}`)).body.items;
    expect(audit.map((entry: { action: string }) => entry.action)).toEqual([
      'exception.revoked',
      'exception.edited',
      'exception.granted',
    ]);
  });

  test('end by themselves', async () => {
    const { body } = await make({ expiresAt: new Date(Date.now() + 60_000).toISOString() });
    api.skip(61_000);
    expect((await api.call('GET', `/v1/exceptions/${body.id}`)).body.state).toBe('expired');
    expect((await api.call('GET', '/v1/exceptions?state=expired')).body.items).toMatchObject([{ id: body.id }]);
    expect((await api.call('DELETE', `/v1/exceptions/${body.id}`)).status).toBe(409);
    api.skip(-61_000);
  });

  test.each<[string, () => object, string]>([
    ['nothing in particular', () => ({ package: undefined }), 'package'],
    ['a package and a CVE', () => ({ cve: 'CVE-2026-12345' }), 'package'],
    ['everything', () => ({ package: '*' }), 'package'],
    ['no CVE', () => ({ package: undefined, cve: 'heartbleed' }), 'cve'],
    ['nobody', () => ({ owner: randomUUID() }), 'owner'],
    ['oneself', () => ({ owner: manager.id }), 'owner'],
    ['no end', () => ({ expiresAt: undefined }), 'expiresAt'],
    ['the past', () => ({ expiresAt: '2020-01-01T00:00:00Z' }), 'expiresAt'],
    ['ever', () => ({ expiresAt: '2999-01-01T00:00:00Z' }), 'expiresAt'],
    ['no reason', () => ({ reason: '' }), 'reason'],
    ['a text nobody can read', () => ({ selector: { where: 'name =' } }), 'selector.where'],
    ['a group nobody made', () => ({ selector: { groups: ['ghost'] } }), 'selector.groups[0]'],
    ['a typo', () => ({ packages: 'x' }), 'packages'],
  ])('for %s are refused by field', async (_, change, field) => {
    const reply = await make(change());
    expect([reply.status, reply.body.errors?.map((e: { field: string }) => e.field)]).toEqual([400, [field]]);
  });

  test('an exception keeps its group from being deleted while it lasts', async () => {
    await api.call('PUT', '/v1/groups/held', { body: { selector: { all: true } } });
    const { body } = await make({ selector: { groups: ['held'] } });
    const refused = await api.call('DELETE', '/v1/groups/held');
    expect([refused.status, refused.body.detail]).toEqual([409, 'the group is used by exception breaks the shop']);
    await api.call('DELETE', `/v1/exceptions/${body.id}`);
    expect((await api.call('DELETE', '/v1/groups/held')).status).toBe(204);
  });
});
