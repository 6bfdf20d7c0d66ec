/** A web tier over a small fleet made row by row, under policies that differ: for tests that ask about one endpoint. */
import { randomUUID } from 'node:crypto';
import { DAY, HOUR } from '../../domain/time.js';
import { startApi, type TestApi } from '../helpers/api-server.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { seedAccount, seedEndpoint } from '../helpers/seed-change.js';

export interface Made {
  readonly id: string;
  readonly name: string;
}

export interface OneEndpointRig {
  readonly db: TestDatabase;
  readonly api: TestApi;
  readonly ada: string;
  readonly grace: string;
  /** An endpoint heard of just now, under the policy of that name, with these updates to come. */
  endpoint(over?: { policy?: string | null; scanned?: boolean; updates?: readonly string[] }): Promise<Made>;
  set(id: string, what: string): Promise<unknown>;
  putPolicy(name: string, over?: object): Promise<void>;
  end(): Promise<void>;
}

const stamp = (at: number) => `${new Date(at).toISOString().replace(/[-:]/g, '').slice(0, 15)}Z`;
const wall = (at: number) => new Date(at).toISOString().slice(11, 16);
const always = { always: true };
const hoursOf = (apply: object) => ({ communicate: always, stage: always, apply });

/** Policies there are: `open`; `frozen` by the calendar year-end; `closed` for some hours; `short`, which never opens. */
export async function startOneEndpointRig(): Promise<OneEndpointRig> {
  const db = await createDatabase();
  const api = await startApi({ apiUrl: db.apiUrl, pool: db.pool });
  const ada = await seedAccount(db.pool, { name: 'Ada', roles: ['Manager'] });
  const grace = await seedAccount(db.pool, { name: 'Grace', roles: ['Manager'] });
  const set = (id: string, what: string) => db.pool.query(`UPDATE endpoint SET ${what} WHERE id = $1`, [id]);
  let count = 0;

  const putPolicy: OneEndpointRig['putPolicy'] = async (name, over = {}) => {
    const document = {
      appliesTo: { labels: { policy: name } },
      hours: hoursOf(always),
      freezeCalendars: [],
      reboot: 'ifNeeded',
      expectedMinutes: 5,
      healthChecks: [],
      hooks: [],
      stageRateLimit: null,
      ...over,
    };
    const reply = await api.call('PUT', `/v1/policy-sets/${name}`, { body: { precedence: 1, document } });
    if (reply.status !== 200) throw new Error(JSON.stringify(reply.body));
  };

  const now = Date.now();
  const calendar = ['BEGIN:VCALENDAR', 'VERSION:2.0', 'PRODID:test', 'BEGIN:VEVENT', 'UID:1', `DTSTAMP:${stamp(now)}`]
    .concat([`DTSTART:${stamp(now - HOUR)}`, `DTEND:${stamp(now + DAY)}`, 'SUMMARY:Year end'])
    .concat(['END:VEVENT', 'END:VCALENDAR', ''])
    .join('\r\n');
  const headers = { 'content-type': 'text/calendar' };
  const imported = await api.call('PUT', '/v1/freeze-calendars/year-end', { raw: calendar, headers });
  if (imported.status !== 200) throw new Error(JSON.stringify(imported.body));
  const daily = (from: number, to: number) => ({
    windows: [{ rrule: 'FREQ=DAILY', from: wall(from), to: wall(to), zone: 'Etc/UTC' }],
  });
  await putPolicy('open');
  await putPolicy('frozen', { freezeCalendars: ['year-end'] });
  await putPolicy('closed', { hours: hoursOf(daily(now + 6 * HOUR, now + 8 * HOUR)) });
  // So short a window can't hold what takes five minutes: it has no last start.
  await putPolicy('short', { hours: hoursOf(daily(now, now + 2 * 60_000)) });

  return {
    db,
    api,
    ada: ada.id,
    grace: grace.id,
    set,
    putPolicy,
    async endpoint({ policy = 'open', scanned = true, updates = ['openssl'] } = {}) {
      const name = `web-${++count}`;
      const id = await seedEndpoint(db.pool, { name, labels: policy === null ? {} : { policy } });
      await set(id, 'last_seen = now()');
      if (!scanned) return { id, name };
      const scan = randomUUID();
      await db.pool.query(
        `INSERT INTO scan (id, endpoint_id, started_at, received_at, complete, provider) VALUES ($1, $2, now(), now(), true, 'apt')`,
        [scan, id],
      );
      await db.pool.query(
        `INSERT INTO available_update (endpoint_id, name, arch, installed, candidate, scan_id)
         SELECT $1, n, 'amd64', '1', '2', $2 FROM unnest($3::text[]) AS n`,
        [id, scan, updates],
      );
      await db.pool.query(
        `INSERT INTO installed_package (endpoint_id, name, arch, version, source, source_version, scan_id)
         SELECT $1, n, 'amd64', '1', n, '1', $2 FROM unnest($3::text[]) AS n`,
        [id, scan, updates],
      );
      return { id, name };
    },
    async end() {
      await api.close();
      await db.drop();
    },
  };
}
