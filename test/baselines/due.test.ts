/** When an endpoint is measured next, whatever happens in between; and that whoever is not due costs nothing. */
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { DAY, MINUTE } from '../../domain/time.js';
import { seedAccount } from '../helpers/seed-change.js';
import { BaselineRig, type Results } from './rig.js';

jest.setTimeout(60_000);

const GOOD: Results = { one: 'pass' };
let rig: BaselineRig;
let checklist: string;
let requestedBy: string;
beforeAll(async () => {
  rig = await BaselineRig.start(['one']);
  requestedBy = (await seedAccount(rig.tickets.db.pool, { name: 'Requester' })).id;
  checklist = await rig.assign('all');
});
afterAll(() => rig?.stop());

const measured = async (): Promise<string> => {
  const id = await rig.endpoint();
  await rig.measure(id, GOOD);
  return id;
};
const isOut = async (id: string): Promise<boolean> => {
  await rig.assess();
  return (await rig.order(id)) !== null;
};
const ask = (id: string) => rig.tickets.api.call('POST', `/v1/endpoints/${id}/assess`);
const change = async (id: string) => rig.remediation({ endpoints: [id], checklist, rules: ['one'], requestedBy });
const outOrder = async (id: string): Promise<string> => {
  await ask(id);
  expect(await isOut(id)).toBe(true);
  return (await rig.order(id)) as string;
};

it('once it was measured it is not, before its time is over', async () => {
  const id = await measured();
  expect(await isOut(id)).toBe(false);
  rig.tickets.skip(DAY - MINUTE);
  expect(await isOut(id)).toBe(false);
  rig.tickets.skip(2 * MINUTE);
  expect(await isOut(id)).toBe(true);
});

it('a try without an answer counts as one', async () => {
  const id = await rig.endpoint();
  await rig.measure(id, 'the scanner was killed');
  expect(await isOut(id)).toBe(false);
});

it('when somebody asks; asked again while an order is out, once more after its answer', async () => {
  const id = await measured();
  await outOrder(id);
  rig.tickets.skip(1_000);
  await ask(id);
  await rig.answer(id, GOOD);
  expect(await isOut(id)).toBe(true);
  await rig.answer(id, GOOD);
  expect(await isOut(id)).toBe(false);
});

it.each(['succeeded', 'failed', 'reverted'])('after a change that worked on it and %s', async (state) => {
  const id = await measured();
  rig.tickets.skip(1_000);
  await rig.carryOut(await change(id), id, state);
  expect(await isOut(id)).toBe(true);
  await rig.answer(id, GOOD);
  expect(await isOut(id)).toBe(false);
});

it('after a change that worked on it while an order was out, once more', async () => {
  const id = await measured();
  await outOrder(id);
  rig.tickets.skip(1_000);
  await rig.carryOut(await change(id), id, 'succeeded');
  await rig.assess();
  await rig.answer(id, GOOD);
  expect(await isOut(id)).toBe(true);
});

it('not after a change that never began there', async () => {
  const id = await measured();
  const changeId = await change(id);
  await rig.tickets.rows(
    `INSERT INTO order_state (id, change_id, ring, home_ring, endpoint_id, kind) VALUES (gen_random_uuid(), $1, 0, 0, $2, 'change')`,
    [changeId, id],
  );
  await rig.tickets.rows(`UPDATE order_state SET state = 'expired', phase = 'done' WHERE change_id = $1`, [changeId]);
  expect(await isOut(id)).toBe(false);
});

it('an order that failed without an answer is tried again in a while, one that nobody fetched at once', async () => {
  const id = await measured();
  await rig.end(await outOrder(id), 'failed');
  expect(await isOut(id)).toBe(false);
  rig.tickets.skip(11 * MINUTE);
  expect(await isOut(id)).toBe(true);
  await rig.end((await rig.order(id)) as string, 'expired');
  expect(await isOut(id)).toBe(true);
});

it('never without the scanner; once it is there, at once', async () => {
  const id = await rig.endpoint();
  await rig.tickets.rows(`UPDATE endpoint SET agent = '{"providers": ["apt"]}' WHERE id = $1`, [id]);
  expect(await isOut(id)).toBe(false);
  await rig.tickets.rows(`UPDATE endpoint SET agent = '{"providers": ["apt", "openscap"]}' WHERE id = $1`, [id]);
  expect(await isOut(id)).toBe(true);
});

it('sooner or later when its policy set says so, also one that is made after it was measured', async () => {
  const id = await rig.endpoint({ site: 'lab' });
  await rig.measure(id, GOOD);
  const revisit = async (revisitMinutes: number) => {
    const always = { always: true };
    const document = {
      appliesTo: { labels: { site: 'lab' } },
      hours: { communicate: always, stage: always, apply: always },
      freezeCalendars: [],
      reboot: 'never',
      expectedMinutes: 5,
      healthChecks: [],
      hooks: [],
      stageRateLimit: null,
      revisitMinutes,
    };
    const reply = await rig.tickets.api.call('PUT', '/v1/policy-sets/lab', { body: { precedence: 1, document } });
    expect([reply.status, reply.body.errors]).toEqual([200, undefined]);
    // Policy sets are looked at every minute.
    rig.tickets.skip(MINUTE);
  };
  await revisit(60);
  expect(await isOut(id)).toBe(false);
  rig.tickets.skip(58 * MINUTE);
  expect(await isOut(id)).toBe(false);
  rig.tickets.skip(2 * MINUTE);
  expect(await isOut(id)).toBe(true);
  await rig.answer(id, GOOD);
  await revisit((2 * DAY) / MINUTE);
  expect(await isOut(id)).toBe(false);
  rig.tickets.skip(DAY + MINUTE);
  expect(await isOut(id)).toBe(false);
  rig.tickets.skip(DAY);
  expect(await isOut(id)).toBe(true);
});

it('what was resolved before is neither written nor locked', async () => {
  await measured();
  const version = () =>
    rig.tickets.rows('SELECT endpoint_id, xmin::text, xmax::text FROM assessment_target ORDER BY 1');
  const before = await version();
  await rig.assess();
  expect(await version()).toEqual(before);
});
