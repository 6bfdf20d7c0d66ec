/** Why an endpoint is not patched yet, asked over the API: each reason made for real, in rows and by the API's own verbs. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { DAY, HOUR } from '../../domain/time.js';
import { seedChange, seedOutcome } from '../helpers/seed-change.js';
import { addChange, openRing } from '../orders/fleet.js';
import { type Made, type OneEndpointRig, startOneEndpointRig } from './one-endpoint-rig.js';

let rig: OneEndpointRig;
let db: OneEndpointRig['db'];
let api: OneEndpointRig['api'];
let endpoint: OneEndpointRig['endpoint'];
let set: OneEndpointRig['set'];
beforeAll(async () => {
  rig = await startOneEndpointRig();
  ({ db, api, endpoint, set } = rig);
}, 60_000);
afterAll(() => rig?.end());

const UPDATE = { name: 'openssl', from: '1', to: '2' };
/** An open change over these, one ring each, none of them open. */
const change = async (...rings: readonly (readonly Made[])[]) => {
  const { changeId, planDigest } = await seedChange(db.pool, {
    requestedBy: rig.ada,
    rings: rings.map((ring, i) => ({ name: `ring-${i}`, endpoints: ring.map(({ id }) => id), updates: [UPDATE] })),
  });
  await db.pool.query(`UPDATE change SET stage = 'deploy' WHERE id = $1`, [changeId]);
  return { changeId, planDigest };
};
const setRing = (changeId: string, ordinal: number, state: string) =>
  db.pool.query('UPDATE ring SET state = $3 WHERE change_id = $1 AND ordinal = $2', [changeId, ordinal, state]);
/** A change whose only ring is open, with an order pending for it. */
async function ordered(one: Made) {
  const changeId = await addChange(db.pool, { now: Date.now(), rings: [{ endpoints: [one.id] }] });
  await db.pool.query(`UPDATE change SET stage = 'deploy' WHERE id = $1`, [changeId]);
  await openRing(db.pool, { changeId, now: Date.now() - HOUR });
  return changeId;
}
const setOrder = (changeId: string, what: string) =>
  db.pool.query(`UPDATE order_state SET ${what} WHERE change_id = $1`, [changeId]);

const ask = (id: string, query = '') => api.call('GET', `/v1/endpoints/${id}/why${query}`);

/** Makes the reason; what has to be said of it. */
type Case = readonly [code: string, make: () => Promise<Made>, sentence: RegExp];

const CASES: readonly Case[] = [
  ['neverScanned', () => endpoint({ scanned: false }), /it was never scanned, so nobody knows what is missing/],
  [
    'silent',
    async () => {
      const from = new Date(Date.now() + 6 * HOUR).toISOString().slice(11, 16);
      const windows = [{ rrule: 'FREQ=DAILY', from, duration: 'PT2H', zone: 'Etc/UTC' }];
      const hours = { communicate: { windows }, stage: { always: true }, apply: { always: true } };
      await rig.putPolicy('nightly', { hours });
      const one = await endpoint({ policy: 'nightly' });
      await setOrder(await ordered(one), 'next_open = NULL, next_close = NULL');
      return one;
    },
    /it may not be talked with before .* Etc\/UTC \(hours of communication of policy set nightly\)/,
  ],
  [
    'noWindow',
    async () => {
      const hours = { communicate: { windows: [] }, stage: { always: true }, apply: { always: true } };
      await rig.putPolicy('mute', { hours });
      const one = await endpoint({ policy: 'mute' });
      await setOrder(await ordered(one), 'next_open = NULL, next_close = NULL');
      return one;
    },
    /policy set mute never opens for it: communicate: the list of windows is empty/,
  ],
  ['nothingMissing', () => endpoint({ updates: [] }), /nothing is missing by its scan of .* UTC/],
  ['noPolicy', () => endpoint({ policy: null }), /it gets no change: no policy set/],
  ['notInChange', () => endpoint(), /no change has it in its plan/],
  [
    'hold',
    async () => {
      const one = await endpoint();
      const until = new Date(Date.now() + DAY).toISOString();
      await api.call('PATCH', `/v1/endpoints/${one.id}`, { body: { hold: { until, reason: 'payroll runs' } } });
      return one;
    },
    /it is on hold until .* UTC: payroll runs/,
  ],
  [
    'excepted',
    async () => {
      const one = await endpoint();
      const body = {
        selector: { names: [one.name] },
        package: 'openssl',
        reason: 'breaks the shop',
        owner: rig.grace,
        expiresAt: new Date(Date.now() + DAY).toISOString(),
      };
      expect((await api.call('POST', '/v1/exceptions', { body })).status).toBe(201);
      return one;
    },
    /openssl is excepted until .* UTC by Grace: breaks the shop/,
  ],
  [
    'retired',
    async () => {
      const one = await endpoint();
      await api.call('POST', `/v1/endpoints/${one.id}/retire`, { body: { reason: 'sold' } });
      return one;
    },
    /it is retired: sold/,
  ],
  [
    'approval',
    async () => {
      const one = await endpoint();
      const { changeId, planDigest } = await change([one]);
      const request = randomUUID();
      await db.pool.query(
        `INSERT INTO approval_request (id, change_id, ring, rule, plan_digest, evidence, expires_at)
         VALUES ($1, $2, 0, '{}', $3, '{}', now() + interval '2 days')`,
        [request, changeId, planDigest],
      );
      await db.pool.query(
        `INSERT INTO approval_person (request_id, account_id, via, locator) VALUES ($1, $2, 'role Manager', $3)`,
        [request, rig.grace, request],
      );
      return one;
    },
    /ring 0 \(ring-0\) of “November” waits for approval since .* UTC, of Grace/,
  ],
  [
    'earlierRing',
    async () => {
      const [first, second] = [await endpoint(), await endpoint()];
      const { changeId } = await change([first], [second]);
      await setRing(changeId, 0, 'open');
      return second;
    },
    /it is in ring 1 of “November”, and ring 0 \(ring-0\) comes first \(open\)/,
  ],
  [
    'soak',
    async () => {
      const [first, second] = [await endpoint(), await endpoint()];
      const { changeId } = await change([first], [second]);
      await setRing(changeId, 0, 'soaking');
      return second;
    },
    /ring 0 \(ring-0\) of “November” soaks before the next one opens/,
  ],
  [
    'halted',
    async () => {
      const one = await endpoint();
      const { changeId } = await change([one]);
      const paused = await api.call('POST', `/v1/changes/${changeId}/pause`, { body: { reason: 'look first' } });
      expect(paused.status).toBeLessThan(300);
      return one;
    },
    /“November” is stopped \(pause by /,
  ],
  [
    'offline',
    async () => {
      const one = await endpoint();
      await ordered(one);
      await set(one.id, `last_seen = now() - interval '3 hours'`);
      return one;
    },
    /it is offline since .* UTC/,
  ],
  [
    'clockSkew',
    async () => {
      const one = await endpoint();
      await ordered(one);
      await set(one.id, 'clock_skew_ms = -300000');
      return one;
    },
    /its clock is off by 300 s, so it refuses to change anything/,
  ],
  [
    'localLimits',
    async () => {
      const one = await endpoint();
      await ordered(one);
      await set(one.id, `local_limits = '{"hold": "mine"}'`);
      return one;
    },
    /its owner holds it on the machine itself: mine/,
  ],
  [
    'frozen',
    async () => {
      const one = await endpoint({ policy: 'frozen' });
      await setOrder(await ordered(one), 'next_open = NULL, next_close = NULL');
      return one;
    },
    /it is frozen until .* UTC \(Year end\) by calendar year-end/,
  ],
  [
    'closed',
    async () => {
      const one = await endpoint({ policy: 'closed' });
      await setOrder(await ordered(one), 'next_open = NULL, next_close = NULL');
      return one;
    },
    /its hours of operation \(policy set closed\) open .* Etc\/UTC/,
  ],
  [
    'noWindow',
    async () => {
      const one = await endpoint({ policy: 'short' });
      await setOrder(await ordered(one), 'next_open = NULL, next_close = NULL');
      return one;
    },
    /policy set short never opens for it: /,
  ],
  [
    'turn',
    async () => {
      const one = await endpoint();
      await ordered(one);
      return one;
    },
    /its turn in ring 0 \(ring\) of “test” has not come; 1 go at once now/,
  ],
  [
    'underWay',
    async () => {
      const one = await endpoint();
      await setOrder(await ordered(one), `state = 'applying', phase = 'holding', started_at = now()`);
      return one;
    },
    /change “test” is being installed there right now/,
  ],
  [
    'otherOrder',
    async () => {
      const one = await endpoint();
      const holder = await ordered(one);
      await setOrder(holder, `state = 'applying', phase = 'holding'`);
      const urgent = await addChange(db.pool, { now: Date.now(), rings: [{ endpoints: [one.id] }], priority: 100 });
      await db.pool.query(`UPDATE change SET stage = 'deploy' WHERE id = $1`, [urgent]);
      await openRing(db.pool, { changeId: urgent, now: Date.now() - HOUR });
      return one;
    },
    /“test” \(priority 0\) is at work there \(applying\), and one change at a time may be/,
  ],
  [
    'failed',
    async () => {
      const one = await endpoint();
      const { changeId } = await change([one]);
      await seedOutcome(db.pool, {
        changeId,
        ring: 0,
        endpointId: one.id,
        state: 'reverted',
        reason: 'port 443 is shut',
      });
      return one;
    },
    /“November” failed there and was put back: port 443 is shut/,
  ],
];

describe('GET /v1/endpoints/{id}/why', () => {
  test.each(CASES)('%s', async (code, make, sentence) => {
    const one = await make();
    const reply = await ask(one.id);
    expect([reply.status, reply.body.code]).toEqual([200, code]);
    expect(reply.body.sentence).toMatch(sentence);
    expect(reply.body.sentence).toMatch(new RegExp(`^${one.name}: .*\\.$`));
    expect(reply.body.chain[0]).toMatchObject({ code });
  });

  test('every reason that holds is in the chain, the one that decides first', async () => {
    const one = await endpoint({ policy: 'frozen' });
    const changeId = await ordered(one);
    await setOrder(changeId, 'next_open = NULL, next_close = NULL');
    await set(
      one.id,
      `last_seen = now() - interval '1 day', hold_until = now() + interval '1 hour', hold_reason = 'lunch', clock_skew_ms = 200000`,
    );
    await api.call('POST', `/v1/changes/${changeId}/pause`, { body: { reason: 'look first' } });
    const { body } = await ask(one.id);
    const codes = body.chain.map((reason: { code: string }) => reason.code);
    expect(codes.slice(0, 5)).toEqual(['hold', 'halted', 'offline', 'clockSkew', 'frozen']);
    expect(body.chain[0].until).toMatch(/Z$/);
    expect(body.change).toEqual({ id: changeId, name: 'test', priority: 0, ring: 0 });
    expect(body.updates).toEqual([{ name: 'openssl', arch: 'amd64', installed: '1', candidate: '2', leftOut: null }]);
  });

  test('of one package, and of one change', async () => {
    const one = await endpoint({ updates: ['openssl', 'zlib'] });
    const { changeId } = await change([one]);
    const other = await ordered(one);
    expect((await ask(one.id, '?package=bash')).body).toMatchObject({
      code: 'nothingMissing',
      sentence: expect.stringContaining('nothing of bash is missing'),
    });
    expect((await ask(one.id, '?package=zlib')).body.updates).toMatchObject([{ name: 'zlib' }]);
    for (const id of [changeId, other]) expect((await ask(one.id, `?change=${id}`)).body.change.id).toBe(id);
    const stranger = await change([await endpoint()]);
    expect((await ask(one.id, `?change=${stranger.changeId}`)).status).toBe(404);
  });

  test('what it can’t answer is refused by name', async () => {
    expect((await ask(randomUUID())).status).toBe(404);
    expect((await ask('nonsense')).status).toBe(400);
    const one = await endpoint();
    const reply = await ask(one.id, '?chnage=1');
    expect([reply.status, reply.body.errors.map((e: { field: string }) => e.field)]).toEqual([400, ['chnage']]);
  });
});
