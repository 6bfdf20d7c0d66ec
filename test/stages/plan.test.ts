import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createStageActivities } from '../../activities/stages.js';
import { documentsFor } from '../../db/plan/documents.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import type { HostUpdate } from './fleet.js';
import { createFleet, digestOf, NOW, RING, stageDeps, testPace } from './fleet.js';

const CURL: HostUpdate = { name: 'curl', from: '7.88-1', to: '7.88-2' };
const OPENSSL: HostUpdate = { name: 'openssl', from: '3.0-1', to: '3.0-2' };
const UNKNOWN: HostUpdate = { name: 'zoom', from: '1', to: '2' };

async function withFleet<T>(
  work: (fleet: ReturnType<typeof createFleet>, database: TestDatabase) => Promise<T>,
): Promise<T> {
  const database = await createDatabase();
  try {
    const fleet = createFleet(database.pool);
    await fleet.repository();
    return await work(fleet, database);
  } finally {
    await database.drop();
  }
}

async function planRows(database: TestDatabase, changeId: string) {
  const { rows } = await database.pool.query(
    `SELECT e.name, p.ring, p.update_set_digest, p.reason, p.policy_reason, p.triage, p.reversibility, p.provider
       FROM plan_endpoint p JOIN endpoint e ON e.id = p.endpoint_id WHERE p.change_id = $1`,
    [changeId],
  );
  return Object.fromEntries(rows.map((row) => [row.name, row]));
}

describe('a first plan', () => {
  let database: TestDatabase;
  let rows: Awaited<ReturnType<typeof planRows>>;
  let changeId: string;
  let result: Awaited<ReturnType<ReturnType<typeof createStageActivities>['freezePlan']>>;
  const ids: Record<string, string> = {};

  beforeAll(async () => {
    database = await createDatabase();
    const fleet = createFleet(database.pool);
    await fleet.repository();
    await fleet.group('web', { labels: { role: 'web' } });
    await fleet.group('erp', { labels: { role: 'erp' } });
    await fleet.policy('Web', { document: { appliesTo: { groups: ['web'] } } });
    await fleet.policy('ERP one', { document: { appliesTo: { groups: ['erp'] } } });
    await fleet.policy('ERP two', { document: { appliesTo: { groups: ['erp'] } } });
    for (const update of [CURL, OPENSSL]) {
      await fleet.catalogue(update.name, update.to, { pocket: 'security' });
      await fleet.catalogue(update.name, update.from as string, { withdrawn: true });
    }
    const web = { labels: { role: 'web' } };
    ids.alike1 = await fleet.endpoint('alike-1', { ...web, updates: [CURL, OPENSSL] });
    ids.alike2 = await fleet.endpoint('alike-2', { ...web, updates: [CURL, OPENSSL] });
    ids.extra = await fleet.endpoint('extra', { ...web, updates: [CURL, UNKNOWN] });
    await fleet.endpoint('owner', { ...web, updates: [CURL, OPENSSL], neverTouch: ['openssl'] });
    await fleet.endpoint('up-to-date', web);
    await fleet.endpoint('only-unknown', { ...web, updates: [UNKNOWN] });
    await fleet.endpoint('never-scanned', { ...web, scannedAt: null });
    await fleet.endpoint('no-policy', { updates: [CURL] });
    await fleet.endpoint('tie', { labels: { role: 'erp' }, updates: [CURL] });
    await fleet.endpoint('retired', { ...web, state: 'retired', updates: [CURL] });
    await fleet.endpoint('scan-only', { ...web, scanOnly: true, updates: [CURL] });
    await fleet.endpoint('simulated', { ...web, simulated: true, updates: [CURL] });
    await fleet.endpoint('old-gone', { ...web, updates: [{ name: 'curl', from: '7.87-9', to: '7.88-2' }] });
    changeId = await fleet.change();
    result = await createStageActivities(stageDeps(database.pool)).freezePlan({ changeId, reason: 'first' });
    rows = await planRows(database, changeId);
  });
  afterAll(() => database.drop());

  test('puts endpoints with work into the ring, under the digest', () => {
    expect(result).toMatchObject({ revision: 1, widened: false, empty: false, excluded: 9 });
    expect(result.digest).toMatch(/^[0-9a-f]{64}$/);
    expect(result.rings).toEqual([{ ordinal: 0, name: 'all', endpoints: 4 }]);
  });

  test('alike endpoints share one update set', async () => {
    expect(rows['alike-1'].update_set_digest).toBe(rows['alike-2'].update_set_digest);
    expect(rows.extra.update_set_digest).toBe(rows.owner.update_set_digest);
    const { rows: sets } = await database.pool.query('SELECT items, previous FROM update_set WHERE digest = $1', [
      rows['alike-1'].update_set_digest,
    ]);
    expect(sets[0].items).toEqual([
      { ...CURL, arch: 'amd64', source: 'curl', sha256: digestOf('curl 7.88-2'), size: 1000 },
      { ...OPENSSL, arch: 'amd64', source: 'openssl', sha256: digestOf('openssl 3.0-2'), size: 1000 },
    ]);
    expect(sets[0].previous).toContainEqual({
      name: 'curl',
      arch: 'amd64',
      version: '7.88-1',
      sha256: digestOf('curl 7.88-1'),
      size: 1000,
    });
  });

  test.each([
    ['up-to-date', 'nothing to do: no update is available'],
    ['only-unknown', 'nothing to do: 0 updates deferred, 1 declined'],
    ['never-scanned', 'never scanned'],
    ['no-policy', 'no policy set applies'],
    ['tie', 'policy sets ERP one, ERP two apply with the same precedence 0: give one of them more'],
    ['retired', 'retired'],
    ['scan-only', 'enrolled for scans only'],
    ['simulated', 'simulated, and the change has real endpoints in scope'],
  ])('%s is in no ring: %s', (name, reason) => {
    expect(rows[name]).toMatchObject({ ring: null, reason });
  });

  test('keeps why a policy applies, and why an update is left out', () => {
    expect(rows['alike-1'].policy_reason).toBe('from policy set Web on group web');
    expect(rows['alike-1'].triage).toEqual([]);
    expect(rows.extra.triage).toMatchObject([
      { name: 'zoom', outcome: 'declined', reason: 'no verified index names this version' },
    ]);
    expect(rows.owner.triage).toMatchObject([
      { name: 'openssl', outcome: 'declined', reason: "the endpoint's owner lists openssl as never to touch" },
    ]);
  });

  test('an update whose old version is in no repository can not be undone, and is put off where nobody is asked', () => {
    expect(rows['alike-1'].reversibility).toBe('reversible');
    expect(rows['old-gone']).toMatchObject({ ring: null, reason: 'nothing to do: 1 updates deferred, 0 declined' });
    expect(rows['old-gone'].triage).toMatchObject([
      {
        name: 'curl',
        outcome: 'deferred',
        rule: 'noWayBack',
        reason: expect.stringMatching(/^no verified copy of the installed version .* needs the hook “snapshot”/),
      },
    ]);
  });

  test('rings and the lane of stragglers are rows, with the budget of all rings together', async () => {
    const { rows: rings } = await database.pool.query(
      'SELECT ordinal, name, state, halted, spec, deadline FROM ring WHERE change_id = $1 ORDER BY ordinal',
      [changeId],
    );
    expect(rings).toMatchObject([
      { ordinal: 0, name: 'all', state: 'waiting', halted: false },
      { ordinal: 1000, name: 'Stragglers', state: 'waiting', spec: { errorBudget: { count: 1 }, approvals: [] } },
    ]);
    expect(rings[1].deadline.getTime()).toBe(NOW + 10_000 * 60_000);
  });

  test('notes for every planned update what reports will need', async () => {
    const { rows: facts } = await database.pool.query(
      'SELECT * FROM update_fact WHERE endpoint_id = $1 ORDER BY name',
      [ids.alike1],
    );
    expect(facts).toMatchObject([
      { name: 'curl', version: '7.88-2', installed_before: '7.88-1', vendor: 'Debian', change_id: changeId },
      { name: 'openssl', version: '3.0-2' },
    ]);
  });

  test('makes documents of orders: what to install, and what to go back to', async () => {
    const fleet = createFleet(database.pool);
    const change = await fleet.order(changeId, ids.alike1 as string, { state: 'pending' });
    const revert = await fleet.order(changeId, ids.alike1 as string, {
      state: 'pending',
      kind: 'revert',
      reverts: change,
    });
    const stage = await fleet.order(changeId, ids.alike1 as string, { state: 'pending', kind: 'stage' });
    const documents = await documentsFor(database.pool, [change, revert, stage], NOW);
    expect(documents.get(change)).toMatchObject({
      kind: 'change',
      planDigest: result.digest,
      expiresAt: NOW + 10_000 * 60_000,
      provider: 'apt',
      reboot: 'ifNeeded',
      healthChecks: [{ type: 'unit', unit: 'web.service' }],
      reverts: null,
      updates: [{ name: 'curl', from: '7.88-1', to: '7.88-2' }, { name: 'openssl' }],
      previous: [{ name: 'curl', version: '7.88-1' }, { name: 'openssl' }],
    });
    expect(documents.get(revert)).toMatchObject({ kind: 'revert', reverts: change, updates: [{ name: 'curl' }, {}] });
    expect(documents.get(stage)).toMatchObject({
      kind: 'stage',
      reboot: 'never',
      healthChecks: [],
      rateLimit: 1_000_000,
    });
  });
});

describe('planning again', () => {
  const stages = (database: TestDatabase, key: string | null = null) => {
    const { pace, clock } = testPace({ key });
    return createStageActivities(stageDeps(database.pool, { pace: () => pace, clock }));
  };
  const rings = [
    { ...RING, name: 'canary', select: { names: ['a'] } },
    { ...RING, name: 'rest', select: { sharePercent: 100 } },
  ];

  async function planned(fleet: ReturnType<typeof createFleet>, database: TestDatabase) {
    await fleet.policy('All');
    for (const update of [CURL, OPENSSL]) {
      await fleet.catalogue(update.name, update.to);
      await fleet.catalogue(update.name, update.from as string, { withdrawn: true });
    }
    const ids = {
      a: await fleet.endpoint('a', { updates: [CURL, OPENSSL] }),
      b: await fleet.endpoint('b', { updates: [CURL, OPENSSL] }),
      c: await fleet.endpoint('c', { updates: [CURL, OPENSSL] }),
    };
    const changeId = await fleet.change({ rings });
    const first = await stages(database).freezePlan({ changeId, reason: 'first' });
    await database.pool.query('UPDATE ring SET approved_digest = $2 WHERE change_id = $1 AND ordinal < 1000', [
      changeId,
      first.digest,
    ]);
    await database.pool.query(
      `INSERT INTO approval_request (id, change_id, ring, rule, plan_digest, evidence, expires_at, state)
       VALUES (gen_random_uuid(), $1, 0, '{}', $2, '{}', now(), 'approved'), (gen_random_uuid(), $1, 1, '{}', $2, '{}', now(), 'open')`,
      [changeId, first.digest],
    );
    const openCanary = () =>
      database.pool.query(`UPDATE ring SET state = 'passed' WHERE change_id = $1 AND ordinal = 0`, [changeId]);
    return { ids, changeId, first, openCanary };
  }
  const ringState = async (database: TestDatabase, changeId: string) => {
    const { rows } = await database.pool.query(
      `SELECT r.ordinal, r.approved_digest, (SELECT state FROM approval_request a WHERE a.change_id = r.change_id AND a.ring = r.ordinal) AS request
         FROM ring r WHERE r.change_id = $1 AND r.ordinal < 1000 ORDER BY 1`,
      [changeId],
    );
    return rows;
  };

  test('with nothing new makes no new revision, however often', () =>
    withFleet(async (fleet, database) => {
      const { changeId, first } = await planned(fleet, database);
      const again = await stages(database).freezePlan({ changeId, reason: 'again' });
      expect(again).toEqual({ ...first, widened: false });
      const { rows } = await database.pool.query('SELECT count(*)::int AS n FROM plan WHERE change_id = $1', [
        changeId,
      ]);
      expect(rows[0].n).toBe(1);
    }));

  test('narrower keeps approvals, and they stand for the new digest', () =>
    withFleet(async (fleet, database) => {
      const { changeId, first, ids } = await planned(fleet, database);
      await database.pool.query(`DELETE FROM available_update WHERE endpoint_id = $1 AND name = 'openssl'`, [ids.b]);
      await database.pool.query(`UPDATE endpoint SET state = 'retired' WHERE id = $1`, [ids.c]);
      const next = await stages(database).freezePlan({ changeId, reason: 'c is gone' });
      expect(next).toMatchObject({ revision: 2, widened: false, excluded: 1 });
      expect(next.digest).not.toBe(first.digest);
      expect(await ringState(database, changeId)).toEqual([
        { ordinal: 0, approved_digest: next.digest, request: 'approved' },
        { ordinal: 1, approved_digest: next.digest, request: 'open' },
      ]);
    }));

  test('wider voids what was agreed for rings that have yet to open, and only for those', () =>
    withFleet(async (fleet, database) => {
      const { changeId, first, ids, openCanary } = await planned(fleet, database);
      await openCanary();
      await fleet.endpoint('d', { updates: [CURL] });
      await database.pool.query(`DELETE FROM available_update WHERE endpoint_id = $1`, [ids.a]);
      const next = await stages(database).freezePlan({ changeId, reason: 'd joins' });
      expect(next).toMatchObject({ revision: 2, widened: true });
      expect(next.digest).not.toBe(first.digest);
      expect(await ringState(database, changeId)).toEqual([
        { ordinal: 0, approved_digest: next.digest, request: 'approved' },
        { ordinal: 1, approved_digest: null, request: 'voided' },
      ]);
      // The canary's own row is what its orders were made of; d would match no open ring but the second.
      const rows = await planRows(database, changeId);
      expect(rows.a).toMatchObject({ ring: 0, reason: null });
      expect(rows.d).toMatchObject({ ring: 1 });
    }));

  test.each([
    [
      'another version',
      (f: ReturnType<typeof createFleet>, d: TestDatabase) =>
        f
          .catalogue('curl', '7.88-3')
          .then(() => d.pool.query(`UPDATE available_update SET candidate = '7.88-3' WHERE name = 'curl'`)),
    ],
    [
      'a new version of the policy',
      (_: ReturnType<typeof createFleet>, d: TestDatabase) => d.pool.query('UPDATE policy_set SET version = 2'),
    ],
  ])('%s is wider', (_, alter) =>
    withFleet(async (fleet, database) => {
      const { changeId } = await planned(fleet, database);
      await alter(fleet, database);
      expect(await stages(database).freezePlan({ changeId, reason: 'x' })).toMatchObject({ widened: true });
    }),
  );

  test('after a lost answer the retry finds what its first attempt made', () =>
    withFleet(async (fleet, database) => {
      const { changeId } = await planned(fleet, database);
      await fleet.endpoint('d', { updates: [CURL] });
      const lost = await stages(database, 'run/7').freezePlan({ changeId, reason: 'd joins' });
      expect(await stages(database, 'run/7').freezePlan({ changeId, reason: 'd joins' })).toEqual(lost);
      expect(await stages(database, 'run/8').freezePlan({ changeId, reason: 'once more' })).toMatchObject({
        revision: lost.revision,
        widened: false,
      });
    }));

  test('an endpoint that a person skipped stays out', () =>
    withFleet(async (fleet, database) => {
      const { changeId, ids } = await planned(fleet, database);
      await database.pool.query(
        `UPDATE plan_endpoint SET skipped_by = 'ann', reason = 'being replaced' WHERE endpoint_id = $1`,
        [ids.b],
      );
      const next = await stages(database).freezePlan({ changeId, reason: 'x' });
      expect(next).toMatchObject({ widened: false, excluded: 1 });
      expect((await planRows(database, changeId)).b).toMatchObject({ ring: null, reason: 'being replaced' });
    }));

  test('a closed change is not planned again; a halted one gets halted rings', () =>
    withFleet(async (fleet, database) => {
      const { changeId } = await planned(fleet, database);
      await database.pool.query('UPDATE change SET closed_at = now() WHERE id = $1', [changeId]);
      await expect(stages(database).freezePlan({ changeId, reason: 'x' })).rejects.toThrow('the change is closed');
      const halted = await fleet.change({ halted: true });
      await stages(database).freezePlan({ changeId: halted, reason: 'x' });
      const { rows } = await database.pool.query('SELECT DISTINCT halted, halted_by FROM ring WHERE change_id = $1', [
        halted,
      ]);
      expect(rows).toEqual([{ halted: true, halted_by: 'someone' }]);
    }));

  test('with nothing to do the plan is empty and says why', () =>
    withFleet(async (fleet, database) => {
      await fleet.policy('All');
      await fleet.endpoint('a');
      const changeId = await fleet.change();
      expect(await stages(database).freezePlan({ changeId, reason: 'first' })).toMatchObject({
        empty: true,
        excluded: 1,
      });
    }));

  test.each([
    [{ include: 'most' }, 'parameters.include'],
    [{ include: {} }, 'parameters.include'],
    [{ minAgeDays: -1 }, 'parameters.minAgeDays'],
    [{ inclde: 'all' }, 'parameters'],
    [{ exclude: ['Not A Name'] }, 'parameters.exclude.0'],
  ])('parameters %j are refused, naming %s', (parameters, path) =>
    withFleet(async (fleet, database) => {
      const changeId = await fleet.change({ parameters });
      await expect(stages(database).freezePlan({ changeId, reason: 'first' })).rejects.toThrow(`${path}: `);
    }),
  );
});

describe('what a patch cycle includes', () => {
  test.each([
    [{ include: 'all' }, ['curl', 'openssl']],
    [{ include: 'security' }, ['openssl']],
    [{ include: { packages: ['cu*'] } }, ['curl']],
    [{ include: { sources: ['openssl'] } }, ['openssl']],
    [{ include: { cves: ['CVE-2026-0001'] } }, ['curl']],
    [{ include: { cves: ['CVE-2025-9999'] } }, []],
    [{ exclude: ['curl'] }, ['openssl']],
    [{ minAgeDays: 30, minAgeDaysSecurity: 1 }, ['openssl']],
    [{ defer: [{ package: 'openssl', reason: 'release week' }] }, ['curl']],
  ])('%j: %j', (parameters, names) =>
    withFleet(async (fleet, database) => {
      await fleet.policy('All');
      await fleet.catalogue('curl', '7.88-2');
      await fleet.catalogue('openssl', '3.0-2', { pocket: 'security' });
      // Files to go back to: without them nothing would be included in a ring that asks nobody.
      for (const { name, from } of [CURL, OPENSSL]) await fleet.catalogue(name, from as string, { withdrawn: true });
      await database.pool.query(
        `INSERT INTO source_fix (source, version, cves) VALUES ('curl', '7.88-2', '{CVE-2026-0001}'), ('curl', '7.88-1', '{CVE-2025-9999}')`,
      );
      await fleet.endpoint('a', { updates: [CURL, OPENSSL] });
      const changeId = await fleet.change({ parameters });
      await createStageActivities(stageDeps(database.pool)).freezePlan({ changeId, reason: 'first' });
      const { rows } = await database.pool.query(
        `SELECT i ->> 'name' AS name FROM plan_endpoint p JOIN update_set u ON u.digest = p.update_set_digest,
                jsonb_array_elements(u.items) i WHERE p.change_id = $1 AND p.ring = 0`,
        [changeId],
      );
      expect(rows.map((row) => row.name)).toEqual(names);
    }),
  );

  test('what repositories disagree about is declined; what none names any more is deferred; so is what could not be had', () =>
    withFleet(async (fleet, database) => {
      await fleet.policy('All');
      await fleet.catalogue('curl', '7.88-2');
      await fleet.catalogue('curl', '7.88-2', { suite: 'other', sha256: digestOf('something else') });
      await fleet.catalogue('openssl', '3.0-2', { withdrawn: true });
      await fleet.catalogue('zoom', '2');
      await database.pool.query(`INSERT INTO content_refusal (sha256, reason) VALUES ($1, 'digest differs')`, [
        digestOf('zoom 2'),
      ]);
      await fleet.endpoint('a', { updates: [CURL, OPENSSL, UNKNOWN] });
      const changeId = await fleet.change();
      await createStageActivities(stageDeps(database.pool)).freezePlan({ changeId, reason: 'first' });
      expect((await planRows(database, changeId)).a.triage).toMatchObject([
        { name: 'curl', outcome: 'declined', reason: 'verified indexes name different files for this version' },
        {
          name: 'openssl',
          outcome: 'deferred',
          reason: expect.stringContaining('no verified index names 3.0-2 any more'),
        },
        { name: 'zoom', outcome: 'deferred', reason: expect.stringContaining('could not be had: digest differs') },
      ]);
    }));
});

test('another kind of change goes through the same plan', () =>
  withFleet(async (fleet, database) => {
    await fleet.policy('All');
    await fleet.endpoint('a');
    const changeId = await fleet.change({ kind: 'touch', parameters: { marker: 'here' } });
    const stages = createStageActivities(stageDeps(database.pool));
    expect(await stages.freezePlan({ changeId, reason: 'first' })).toMatchObject({ empty: false, excluded: 0 });
    expect((await planRows(database, changeId)).a).toMatchObject({ ring: 0, provider: 'touch' });
    const other = await fleet.change({ kind: 'touch', parameters: {} });
    await expect(stages.freezePlan({ changeId: other, reason: 'x' })).rejects.toThrow(
      'parameters.marker: must be a name',
    );
    const unknown = await fleet.change({ kind: 'juggle' });
    await expect(stages.freezePlan({ changeId: unknown, reason: 'x' })).rejects.toThrow(
      'kind: juggle is not one of patch, touch',
    );
  }));
