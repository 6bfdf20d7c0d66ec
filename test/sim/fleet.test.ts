/** A simulated fleet at the real gateway: signed requests, real rows. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createFleet, type Fleet } from '../../sim/fleet.js';
import { ADMIN_TOKEN, startApi, type TestApi } from '../helpers/api-server.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';

const COUNT = 30;
let database: TestDatabase;
let api: TestApi;
let fleet: Fleet;

beforeAll(async () => {
  database = await createDatabase();
  api = await startApi({ apiUrl: database.apiUrl, pool: database.pool });
  const { body } = await api.call('POST', '/v1/join-tokens', { token: ADMIN_TOKEN, body: { uses: COUNT } });
  fleet = createFleet({
    url: new URL(api.url),
    tokens: [body.token],
    endpoints: COUNT,
    prefix: 'sim',
    zone: 'Europe/Berlin',
    packages: 12,
    connections: 8,
    wakeUp: true,
    wakeSpreadMs: 0,
    reconnectSpreadMs: 0,
    reportBatchMs: 1_000,
    applyMs: { from: 0, to: 0 },
    failPercent: 0,
    unhealthyPercent: 0,
    offlinePercent: 0,
    rebootPercent: 0,
    rebootMs: 0,
  });
  await fleet.start();
});

afterAll(async () => {
  fleet?.stop();
  await api?.close();
  await database?.drop();
});

const until = async (look: () => boolean) => {
  while (!look()) await new Promise((resolve) => setTimeout(resolve, 20));
};

test('everybody is enrolled once, says that it is simulated, and has an inventory', async () => {
  const { rows } = await database.pool.query(
    `SELECT count(*)::int AS n, bool_and(e.simulated) AS simulated, bool_and((e.facts ->> 'simulated')::boolean) AS said,
            count(DISTINCT e.name)::int AS names,
            bool_and(EXISTS (SELECT FROM scan s WHERE s.endpoint_id = e.id AND s.complete AND s.provider = 'simulated')) AS scanned,
            bool_and((SELECT count(*) FROM installed_package p WHERE p.endpoint_id = e.id) = 12) AS packages
       FROM endpoint e`,
  );
  expect(rows).toEqual([{ n: COUNT, simulated: true, said: true, names: COUNT, scanned: true, packages: true }]);
});

test('a network that breaks brings everybody back', async () => {
  await until(() => fleet.stats.awake === COUNT);
  const { polls } = fleet.stats;
  fleet.reconnect();
  await until(() => fleet.stats.awake === COUNT && fleet.stats.polls >= polls + COUNT);
});

test('one that is offline holds no channel; a name that is not there is refused', async () => {
  const [name = ''] = fleet.names;
  expect(fleet.behave([name], { offline: true })).toBe(1);
  await until(() => fleet.stats.awake === COUNT - 1);
  fleet.behave([name], { offline: false });
  await until(() => fleet.stats.awake === COUNT);
  expect(() => fleet.behave(['nobody'], {})).toThrow('there is no endpoint nobody');
});
