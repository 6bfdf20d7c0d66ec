import { describe, expect, test } from '@jest/globals';
import { createStageActivities } from '../../activities/stages.js';
import { createDatabase } from '../helpers/postgres.js';
import { createFleet, RING, stageDeps } from './fleet.js';

const ENDPOINTS = 5_000;
const PACKAGES = 28;

describe('a plan for 5,000 endpoints', () => {
  test('puts each into exactly one place, alike ones share sets, and the second plan is the same', async () => {
    const database = await createDatabase();
    try {
      const { pool } = database;
      const fleet = createFleet(pool);
      await fleet.repository();
      await fleet.policy('All');
      // Endpoints come in 10 flavours: flavour f lacks the first f of the updates. Every 100th has no update at all.
      await pool.query(
        `INSERT INTO endpoint (id, name, public_key, labels)
         SELECT gen_random_uuid(), 'host-' || i, 'key-' || i, jsonb_build_object('flavour', (i % 10)::text, 'idle', (i % 100 = 0)::text)
           FROM generate_series(1, $1) i`,
        [ENDPOINTS],
      );
      await pool.query(
        `INSERT INTO scan (id, endpoint_id, started_at, received_at, complete, provider)
         SELECT gen_random_uuid(), id, '2026-11-23T11:00Z', '2026-11-23T11:00Z', true, 'apt' FROM endpoint`,
      );
      await pool.query(
        `INSERT INTO installed_package (endpoint_id, name, arch, version, source, source_version, scan_id)
         SELECT e.id, 'p' || p, 'amd64', '1-1', 'p' || p, '1-1', e.id FROM endpoint e, generate_series(1, 100) p`,
      );
      await pool.query(
        `INSERT INTO available_update (endpoint_id, name, arch, installed, candidate, scan_id)
         SELECT e.id, 'p' || p, 'amd64', '1-1', '1-2', e.id FROM endpoint e, generate_series(1, $1) p
          WHERE p > (e.labels ->> 'flavour')::int AND e.labels ->> 'idle' = 'false'`,
        [PACKAGES],
      );
      await pool.query(
        `INSERT INTO catalogue_package (repository_id, name, arch, version, suite, source, source_version, sha256, size, filename)
         SELECT $1, 'p' || p, 'amd64', v, 'stable', 'p' || p, v, encode(sha256(convert_to(p || v, 'UTF8')), 'hex'), 1000, p || v
           FROM generate_series(1, 100) p, unnest(ARRAY['1-1', '1-2']) v`,
        [fleet.repositoryId],
      );
      const changeId = await fleet.change({
        rings: [
          { ...RING, name: 'canary', select: { sharePercent: 1 } },
          { ...RING, name: 'early', select: { labels: { flavour: '3' } } },
          { ...RING, name: 'rest', select: { sharePercent: 100 } },
        ],
      });
      const stages = createStageActivities(stageDeps(pool));
      const first = await stages.freezePlan({ changeId, reason: 'first' });
      const working = ENDPOINTS - ENDPOINTS / 100;
      expect(first.excluded).toBe(ENDPOINTS / 100);
      expect(first.rings.reduce((sum, ring) => sum + ring.endpoints, 0)).toBe(working);
      expect(first.rings[0]?.endpoints).toBe(Math.ceil(working / 100));

      const { rows: sets } = await pool.query(
        `SELECT jsonb_array_length(u.items) AS updates, jsonb_array_length(u.previous) AS previous, count(*)::int AS endpoints,
                array_agg(DISTINCT e.labels ->> 'flavour') AS flavours
           FROM plan_endpoint p JOIN update_set u ON u.digest = p.update_set_digest JOIN endpoint e ON e.id = p.endpoint_id
          WHERE p.ring IS NOT NULL GROUP BY u.digest, u.items, u.previous ORDER BY 1 DESC`,
      );
      expect(sets.map((set) => [set.updates, set.previous, set.flavours])).toEqual(
        Array.from({ length: 10 }, (_, f) => [PACKAGES - f, PACKAGES - f, [String(f)]]),
      );
      const { rows: facts } = await pool.query('SELECT count(*)::int AS n FROM update_fact');
      expect(facts[0].n).toBe(sets.reduce((sum, set) => sum + set.updates * set.endpoints, 0));

      expect(await stages.freezePlan({ changeId, reason: 'again' })).toEqual(first);
    } finally {
      await database.drop();
    }
  }, 120_000);
});
