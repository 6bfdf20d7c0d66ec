import { describe, expect, test } from '@jest/globals';
import type { StageDeps } from '../../activities/stage-deps.js';
import { createStageActivities } from '../../activities/stages.js';
import type { ChangeOutcome } from '../../domain/change/stage.js';
import { DAY } from '../../domain/time.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import type { HostUpdate } from './fleet.js';
import { createFleet, digestOf, fakeContent, NOW, RING, stageDeps, testPace } from './fleet.js';

const CURL: HostUpdate = { name: 'curl', from: '7.88-1', to: '7.88-2' };

interface World {
  readonly database: TestDatabase;
  readonly fleet: ReturnType<typeof createFleet>;
  stages(options?: Partial<StageDeps>): ReturnType<typeof createStageActivities>;
  query<T = Record<string, unknown>>(text: string, values?: unknown[]): Promise<T[]>;
}

async function inWorld<T>(work: (world: World) => Promise<T>): Promise<T> {
  const database = await createDatabase();
  try {
    const fleet = createFleet(database.pool);
    await fleet.repository();
    await fleet.policy('All');
    await fleet.catalogue(CURL.name, CURL.to);
    await fleet.catalogue(CURL.name, CURL.from as string, { withdrawn: true });
    return await work({
      database,
      fleet,
      stages: (options) => createStageActivities(stageDeps(database.pool, options)),
      query: async (text, values) => (await database.pool.query(text, values)).rows,
    });
  } finally {
    await database.drop();
  }
}

/** A ContentError as the adapters throw it. */
function contentError(code: string, details: Record<string, unknown> = {}): Error {
  return Object.assign(new Error(`curl 7.88-2 amd64: ${code}`), { name: 'ContentError', code, details });
}

describe('discover', () => {
  test('asks those whose scan is old, incomplete or missing, and is done when they have answered', () =>
    inWorld(async ({ fleet, stages, query }) => {
      const fresh = await fleet.endpoint('fresh', { updates: [CURL] });
      const old = await fleet.endpoint('old', { updates: [CURL], scannedAt: NOW - 2 * DAY });
      const broken = await fleet.endpoint('broken', { updates: [CURL], scannedAt: NOW - 10_000 });
      await fleet.scan(broken, { at: NOW - 5_000, installed: [], complete: false });
      await fleet.endpoint('no-change-for-me', { scannedAt: NOW - 2 * DAY, scanOnly: true });
      const changeId = await fleet.change();
      const { pace, clock, beats } = testPace({
        onSleep: async () => {
          await fleet.scan(old, { at: clock(), installed: [] });
          await fleet.scan(broken, { at: clock(), installed: [] });
        },
      });
      const found = await stages({ pace: () => pace, clock }).discover({ changeId });
      expect(found).toEqual({ endpoints: 3, fresh: 3, stale: 0 });
      const asked = await query<{ id: string }>('SELECT id FROM endpoint WHERE wants_scan');
      expect(asked.map((row) => row.id).sort()).toEqual([broken, old].sort());
      expect(asked.map((row) => row.id)).not.toContain(fresh);
      expect(beats.length).toBeGreaterThan(0);
      expect(clock()).toBeLessThan(NOW + 60_000);
    }));

  test('goes on without those that stay silent, and names them', () =>
    inWorld(async ({ fleet, stages, query }) => {
      await fleet.endpoint('away', { updates: [CURL], scannedAt: NOW - 2 * DAY });
      const changeId = await fleet.change({ parameters: { discoverMinutes: 3 } });
      const { pace, clock } = testPace();
      expect(await stages({ pace: () => pace, clock }).discover({ changeId })).toEqual({
        endpoints: 1,
        fresh: 0,
        stale: 1,
      });
      expect(clock()).toBe(NOW + 3 * 60_000);
      const [entry] = await query(`SELECT detail FROM audit_entry WHERE action = 'change.discoveredWithStale'`);
      expect(entry).toEqual({ detail: { stale: 1, names: ['away'] } });
    }));

  test('an attempt that takes over waits no longer than the first would have', () =>
    inWorld(async ({ fleet, stages }) => {
      await fleet.endpoint('away', { updates: [CURL], scannedAt: NOW - 2 * DAY });
      const changeId = await fleet.change({ parameters: { discoverMinutes: 3 } });
      const { pace, clock } = testPace({ left: { until: NOW + 5_000 } });
      await stages({ pace: () => pace, clock }).discover({ changeId });
      expect(clock()).toBe(NOW + 5_000);
    }));
});

describe('obtainContent', () => {
  test('fetches each file once, the old ones too, and reads what they fixed', () =>
    inWorld(async ({ fleet, stages, query }) => {
      await fleet.endpoint('a', { updates: [CURL] });
      await fleet.endpoint('b', { updates: [CURL] });
      const changeId = await fleet.change();
      const fetched: string[] = [];
      const { content, stored } = fakeContent({
        fetchPackage: async ({ sha256, size, what, places }) => {
          fetched.push(`${what} from ${places.map((place) => place.filename).join()}`);
          stored.set(sha256, size);
          return { sha256, size };
        },
        readChangelog: async () => ({
          kind: 'changelog',
          truncated: false,
          text:
            'curl (7.88-2) stable; urgency=high\n\n  * Fix CVE-2026-0001.\n\n -- A <a@b.org>  Mon, 02 Nov 2026 10:00:00 +0000\n\n' +
            'curl (7.88-1) stable; urgency=low\n\n  * Fix CVE-2020-0001.\n\n -- A <a@b.org>  Mon, 02 Mar 2020 10:00:00 +0000\n\n' +
            'curl (7.0-1) stable; urgency=low\n\n  * Old.\n\n -- A <a@b.org>  Mon, 02 Mar 2015 10:00:00 +0000\n',
        }),
      });
      expect(await stages({ content }).obtainContent({ changeId })).toEqual({ files: 2, bytes: 2000 });
      expect(fetched.sort()).toEqual([
        'curl 7.88-1 amd64 from pool/curl_7.88-1_amd64.deb',
        'curl 7.88-2 amd64 from pool/curl_7.88-2_amd64.deb',
      ]);
      expect(await query('SELECT source, version, cves, urgency FROM source_fix ORDER BY version')).toEqual([
        { source: 'curl', version: '7.88-1', cves: ['CVE-2020-0001'], urgency: 'low' },
        { source: 'curl', version: '7.88-2', cves: ['CVE-2026-0001'], urgency: 'high' },
      ]);
      expect(await stages({ content }).obtainContent({ changeId })).toEqual({ files: 2, bytes: 2000 });
      expect(fetched).toHaveLength(2);

      await stages({ content }).freezePlan({ changeId, reason: 'first' });
      const facts = await query('SELECT DISTINCT cves, severity, published_at FROM update_fact');
      expect(facts).toEqual([
        { cves: ['CVE-2026-0001'], severity: 'high', published_at: new Date('2026-11-02T10:00:00Z') },
      ]);
    }));

  test('a file whose digest differs is refused, recorded, and what needs it deferred; later it gets another chance', () =>
    inWorld(async ({ fleet, stages, query }) => {
      await fleet.endpoint('a', { updates: [CURL] });
      const changeId = await fleet.change();
      const bad = fakeContent({
        fetchPackage: async () => {
          throw contentError('digestMismatch');
        },
      });
      const { pace, clock } = testPace();
      await stages({ content: bad.content, pace: () => pace, clock }).obtainContent({ changeId });
      expect(await query('SELECT reason FROM content_refusal WHERE sha256 = $1', [digestOf('curl 7.88-2')])).toEqual([
        { reason: 'curl 7.88-2 amd64: digestMismatch' },
      ]);
      expect(await query('SELECT * FROM content')).toEqual([]);
      expect(await stages().freezePlan({ changeId, reason: 'first' })).toMatchObject({ empty: true });

      await stages().obtainContent({ changeId });
      expect(await query('SELECT * FROM content_refusal')).toEqual([]);
      expect(await stages().freezePlan({ changeId, reason: 'mended' })).toMatchObject({ empty: false });
    }));

  test.each([
    ['unreachable', {}],
    ['httpStatus', { status: 503 }],
    ['noSpace', {}],
  ])('%s says nothing about the file: it is tried again later', (code, details) =>
    inWorld(async ({ fleet, stages, query }) => {
      await fleet.endpoint('a', { updates: [CURL] });
      const changeId = await fleet.change();
      const { content } = fakeContent({
        fetchPackage: async () => {
          throw contentError(code, details);
        },
      });
      await expect(stages({ content }).obtainContent({ changeId })).rejects.toMatchObject({
        type: code,
        nonRetryable: false,
      });
      expect(await query('SELECT * FROM content_refusal')).toEqual([]);
    }),
  );

  test('space is checked for all files together, before the first byte', () =>
    inWorld(async ({ fleet, stages }) => {
      await fleet.endpoint('a', { updates: [CURL] });
      const changeId = await fleet.change();
      let fetches = 0;
      const { content } = fakeContent({
        ensureSpace: async (bytes) => {
          throw Object.assign(new Error(`${bytes} bytes needed, 1 available`), {
            name: 'ContentError',
            code: 'noSpace',
          });
        },
        fetchPackage: async ({ sha256, size }) => {
          fetches += 1;
          return { sha256, size };
        },
      });
      await expect(stages({ content }).obtainContent({ changeId })).rejects.toThrow('2000 bytes needed, 1 available');
      expect(fetches).toBe(0);
    }));
});

describe('planStaging', () => {
  test('sends content ahead to rings that have yet to open, once', () =>
    inWorld(async ({ fleet, stages, query, database }) => {
      const rings = [
        { ...RING, name: 'test', select: { names: ['a'] } },
        { ...RING, name: 'rest', select: { all: true as const } },
      ];
      await fleet.endpoint('a', { updates: [CURL] });
      const b = await fleet.endpoint('b', { updates: [CURL] });
      const c = await fleet.endpoint('c', { updates: [CURL] });
      const changeId = await fleet.change({ rings });
      await stages().freezePlan({ changeId, reason: 'first' });
      await database.pool.query(`UPDATE plan_endpoint SET skipped_by = 'ann' WHERE endpoint_id = $1`, [c]);
      expect(await stages().planStaging({ changeId })).toEqual({ orders: 1 });
      expect(await stages().planStaging({ changeId })).toEqual({ orders: 0 });
      expect(await query('SELECT endpoint_id, kind, state, ring FROM order_state')).toEqual([
        { endpoint_id: b, kind: 'stage', state: 'pending', ring: 1 },
      ]);
    }));
});

describe('confirm', () => {
  test('only a complete scan after the order proves anything', () =>
    inWorld(async ({ fleet, stages, query }) => {
      const id: Record<string, string> = {};
      for (const name of ['proven', 'newer', 'liar', 'gone', 'silent', 'late', 'reverted', 'failed']) {
        id[name] = await fleet.endpoint(name, { updates: [CURL] });
      }
      const changeId = await fleet.change();
      await stages().freezePlan({ changeId, reason: 'first' });
      for (const name of ['proven', 'newer', 'liar', 'gone', 'silent', 'late', 'reverted']) {
        const order = await fleet.order(changeId, id[name] as string, { state: 'succeeded' });
        if (name === 'reverted') {
          await fleet.order(changeId, id[name] as string, { state: 'reverted', kind: 'revert', reverts: order });
        }
      }
      await fleet.order(changeId, id.failed as string, { state: 'failed' });
      const scanned = (name: string, version: string | null) =>
        fleet.scan(id[name] as string, {
          at: NOW + 1_000,
          installed: version === null ? [] : [{ name: 'curl', version }],
        });
      await scanned('proven', '7.88-2');
      await scanned('newer', '7.89-1');
      await scanned('liar', '7.88-1');
      await scanned('gone', null);
      const { pace, clock } = testPace({ onSleep: () => scanned('late', '7.88-2') });

      const result = await stages({ pace: () => pace, clock }).confirm({ changeId });
      expect(result).toEqual({ confirmed: 3, missing: 2, unscanned: 1 });
      expect(clock()).toBe(NOW + 10 * 60_000);
      const facts = await query<{ name: string; confirmed: boolean }>(
        `SELECT e.name, f.confirmed_at IS NOT NULL AS confirmed FROM update_fact f JOIN endpoint e ON e.id = f.endpoint_id`,
      );
      expect(facts.flatMap((f) => (f.confirmed ? [f.name] : [])).sort()).toEqual(['late', 'newer', 'proven']);
      const asked = await query<{ name: string }>('SELECT name FROM endpoint WHERE wants_scan ORDER BY 1');
      expect(asked.map((row) => row.name)).toEqual(['late', 'silent']);
    }));
});

describe('closeChange', () => {
  interface Case {
    readonly title: string;
    readonly states: readonly (string | null)[];
    readonly ended: ChangeOutcome;
    readonly scanned: string | null;
    readonly outcome: ChangeOutcome;
  }
  test.each<Case>([
    {
      title: 'all proven',
      states: ['succeeded', 'succeeded'],
      ended: 'completed',
      scanned: '7.88-2',
      outcome: 'completed',
    },
    {
      title: 'one failed',
      states: ['succeeded', 'failed'],
      ended: 'completed',
      scanned: '7.88-2',
      outcome: 'completedWithFailures',
    },
    {
      title: 'one reverted itself',
      states: ['succeeded', 'reverted'],
      ended: 'completed',
      scanned: '7.88-2',
      outcome: 'completedWithFailures',
    },
    {
      title: 'one stalled',
      states: ['succeeded', 'stalled'],
      ended: 'completed',
      scanned: '7.88-2',
      outcome: 'completedWithFailures',
    },
    {
      title: 'one expired',
      states: ['succeeded', 'expired'],
      ended: 'completed',
      scanned: '7.88-2',
      outcome: 'completedWithFailures',
    },
    {
      title: 'one never ordered',
      states: ['succeeded', null],
      ended: 'completed',
      scanned: '7.88-2',
      outcome: 'completedWithFailures',
    },
    {
      title: 'one skipped',
      states: ['succeeded', 'skipped'],
      ended: 'completed',
      scanned: '7.88-2',
      outcome: 'completed',
    },
    {
      title: 'the scan says otherwise',
      states: ['succeeded', 'succeeded'],
      ended: 'completed',
      scanned: '7.88-1',
      outcome: 'completedWithFailures',
    },
    {
      title: 'no scan since',
      states: ['succeeded', 'succeeded'],
      ended: 'completed',
      scanned: null,
      outcome: 'completedWithFailures',
    },
    {
      title: 'aborted half way',
      states: ['succeeded', 'withdrawn'],
      ended: 'aborted',
      scanned: '7.88-2',
      outcome: 'aborted',
    },
    {
      title: 'past its deadline',
      states: ['succeeded', 'pending'],
      ended: 'expired',
      scanned: '7.88-2',
      outcome: 'expired',
    },
  ])('$title: $ended becomes $outcome', ({ states, ended, scanned, outcome }) =>
    inWorld(async ({ fleet, stages, query }) => {
      const ids: string[] = [];
      for (const index of states.keys()) ids.push(await fleet.endpoint(`host-${index}`, { updates: [CURL] }));
      const changeId = await fleet.change();
      await stages().freezePlan({ changeId, reason: 'first' });
      for (const [index, state] of states.entries()) {
        const endpointId = ids[index] as string;
        if (state !== null) await fleet.order(changeId, endpointId, { state, reason: `it is ${state}` });
        if (scanned !== null && state === 'succeeded') {
          await fleet.scan(endpointId, { at: NOW + 1_000, installed: [{ name: 'curl', version: scanned }] });
        }
      }
      const closed = await stages().closeChange({ changeId, outcome: ended, reason: null });
      expect(closed).toEqual({ outcome });
      expect(await stages().closeChange({ changeId, outcome: 'failed', reason: 'late' })).toEqual({ outcome });
      const [row] = await query<{ stage: string; outcome: string; summary: Record<string, unknown> }>(
        'SELECT stage, outcome, summary FROM change WHERE id = $1',
        [changeId],
      );
      expect(row).toMatchObject({ stage: 'closed', outcome, summary: { planned: 2, outcome } });
      const open = await query(`SELECT state FROM order_state WHERE phase <> 'done'`);
      expect(open).toEqual([]);
      const audit = await query(`SELECT count(*)::int AS n FROM audit_entry WHERE action = 'change.closed'`);
      expect(audit).toEqual([{ n: 1 }]);
    }),
  );

  test('says for each endpoint that is not done why, and keeps the outcome with each update', () =>
    inWorld(async ({ fleet, stages, query }) => {
      const bad = await fleet.endpoint('bad', { updates: [CURL] });
      const away = await fleet.endpoint('away', { updates: [CURL] });
      await fleet.endpoint('idle');
      const changeId = await fleet.change();
      await stages().freezePlan({ changeId, reason: 'first' });
      await fleet.order(changeId, bad, { state: 'failed', reason: 'postinst failed' });
      await fleet.order(changeId, away, { state: 'succeeded' });
      await stages().closeChange({ changeId, outcome: 'completed', reason: null });
      const [row] = await query<{ summary: unknown }>('SELECT summary FROM change WHERE id = $1', [changeId]);
      expect(row?.summary).toMatchObject({
        planned: 2,
        succeeded: 1,
        failed: 1,
        unconfirmed: 1,
        failures: [{ endpoint: 'bad', ring: 0, state: 'failed', reason: 'postinst failed' }],
        notConfirmed: [{ endpoint: 'away', reason: 'not confirmed: no scan since' }],
        excluded: { 'nothing to do: no update is available': 1 },
        rings: [{ ordinal: 0, name: 'all', planned: 2, byState: { failed: 1, succeeded: 1 } }],
      });
      const facts = await query('SELECT outcome, applied_at FROM update_fact ORDER BY outcome');
      expect(facts).toEqual([
        { outcome: 'failed', applied_at: null },
        { outcome: 'succeeded', applied_at: new Date(NOW) },
      ]);
    }));

  test('a change that can not be read closes all the same', () =>
    inWorld(async ({ fleet, stages }) => {
      const changeId = await fleet.change({ kind: 'juggle' });
      expect(await stages().closeChange({ changeId, outcome: 'failed', reason: 'kind unknown' })).toEqual({
        outcome: 'failed',
      });
    }));
});

describe('project', () => {
  test('newer wins, whatever the order of arrival', () =>
    inWorld(async ({ fleet, stages, query }) => {
      const changeId = await fleet.change();
      await stages().project({ changeId, version: 5, stage: 'deploy', waitingFor: 'a window' });
      await stages().project({ changeId, version: 4, stage: 'obtain', waitingFor: null });
      expect(await query('SELECT version, stage, waiting_for FROM change')).toEqual([
        { version: 5, stage: 'deploy', waiting_for: 'a window' },
      ]);
    }));
});

describe('startScheduledChange', () => {
  const scheduled = async ({ fleet, database }: World, overlap: string): Promise<string> => {
    const changeId = await fleet.change();
    await database.pool.query(
      `INSERT INTO schedule (id, name, spec, calendar, overlap, created_by) SELECT id, 'monthly', spec, '{}', $1, 'ann' FROM change`,
      [overlap],
    );
    await database.pool.query('DELETE FROM change WHERE id = $1', [changeId]);
    return changeId;
  };

  test('one change per occurrence, with its outbox entry, however often it is asked', () =>
    inWorld(async (world) => {
      const scheduleId = await scheduled(world, 'allowAll');
      const first = await world.stages().startScheduledChange({ scheduleId, occurrence: 'cycle-1' });
      expect(await world.stages().startScheduledChange({ scheduleId, occurrence: 'cycle-1' })).toEqual(first);
      const second = await world.stages().startScheduledChange({ scheduleId, occurrence: 'cycle-2' });
      expect(second).not.toEqual(first);
      expect(await world.query('SELECT topic, workflow_id FROM outbox ORDER BY created_at')).toEqual([
        { topic: 'startChange', workflow_id: `change/${first.changeId}` },
        { topic: 'startChange', workflow_id: `change/${second.changeId}` },
      ]);
    }));

  test('while the one before is open, skip answers with it and bufferOne waits', () =>
    inWorld(async (world) => {
      const scheduleId = await scheduled(world, 'skip');
      const first = await world.stages().startScheduledChange({ scheduleId, occurrence: 'cycle-1' });
      expect(await world.stages().startScheduledChange({ scheduleId, occurrence: 'cycle-2' })).toEqual(first);
      await world.query(`UPDATE schedule SET overlap = 'bufferOne'`);
      const waiting = () => world.stages().startScheduledChange({ scheduleId, occurrence: 'cycle-3' });
      await expect(waiting()).rejects.toMatchObject({ type: 'waitsForPrevious', nonRetryable: false });
      await world.query('UPDATE change SET closed_at = now()');
      expect(await waiting()).not.toEqual(first);
    }));
});
