/** One statement says which duties have something to do; none is left waiting, and none is called for nothing. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { sealAudit } from '../../db/audit/seal.js';
import { lookDuty, lookForWork } from '../../worker/look.js';
import { BaselineRig } from '../baselines/rig.js';

jest.setTimeout(60_000);

let rig: BaselineRig;
beforeAll(async () => {
  rig = await BaselineRig.start(['one']);
});
afterAll(() => rig?.stop());

const found = () => lookForWork(rig.tickets.workerPool, rig.tickets.clock());
const sealed = async () => {
  while ((await sealAudit(rig.tickets.workerPool)) > 0);
};

test('what people did is to be sealed, and then is no more', async () => {
  await rig.endpoint();
  await rig.assign('look');
  expect(await found()).toContain('audit');
  await sealed();
  expect(await found()).not.toContain('audit');
});

test('a baseline’s bytes, and then the scans of whom it holds for', async () => {
  expect(await found()).not.toContain('baseline-content');
  await rig.duty('baseline-targets');
  expect(await found()).toContain('scans');
  await rig.duty('scans');
  expect(await found()).not.toContain('scans');
});

test('what an agent noticed, until it is judged', async () => {
  expect(await found()).not.toContain('notices');
  const endpointId = await rig.endpoint();
  await rig.tickets.rows(
    `INSERT INTO noticed (endpoint_id, key, kind, action, name, detail, noticed_at, received_at) VALUES ($1, $2, 'service', 'added', 'telnetd', '{}', now(), now())`,
    [endpointId, randomUUID()],
  );
  expect(await found()).toContain('notices');
  await rig.duty('notices');
  expect(await found()).not.toContain('notices');
});

test('an intent for Temporal when it is due, and not while somebody is at it', async () => {
  expect(await found()).not.toContain('outbox');
  await rig.tickets.rows(
    `INSERT INTO outbox (id, topic, workflow_id, payload, next_attempt_at) VALUES ($1, 'command', $2, '{}', $3)`,
    [randomUUID(), `change/${randomUUID()}`, new Date(rig.tickets.clock())],
  );
  expect(await found()).toEqual(expect.arrayContaining(['outbox', 'outbox-expedited']));
  await rig.tickets.rows(`UPDATE outbox SET next_attempt_at = next_attempt_at + interval '1 minute'`);
  expect(await found()).not.toContain('outbox');
});

test('who fails is left to its own pauses, everybody else is poked', async () => {
  await rig.tickets.rows(`UPDATE outbox SET next_attempt_at = next_attempt_at - interval '1 minute'`);
  const poked: string[] = [];
  const duty = lookDuty({
    pool: rig.tickets.workerPool,
    clock: rig.tickets.clock,
    duties: () => ({
      poke: (name) => poked.push(name),
      states: () => [{ name: 'outbox', lastRunAt: null, lastError: 'Temporal is away' }],
    }),
  });
  expect(await duty.run()).toBe(false);
  expect(poked).toContain('outbox-expedited');
  expect(poked).not.toContain('outbox');
});
