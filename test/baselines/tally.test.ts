/** Figures of a checklist's rules over a fleet: right after every change, whatever was counted before; and exceptions of rules a page at a time. */
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { findChecklist } from '../../db/baseline/checklists.js';
import { tallyRules } from '../../db/baseline/tally.js';
import { exceptedPositions, listRuleExceptions } from '../../db/exceptions/exceptions.js';
import { testRuleId } from '../helpers/data-stream.js';
import { seedAccount } from '../helpers/seed-change.js';
import { BaselineRig, type Results } from './rig.js';

jest.setTimeout(60_000);

let rig: BaselineRig;
let checklist: string;
let checklistId: number;
const GOOD: Results = { sshd_a: 'pass', sshd_b: 'pass', sudo: 'pass' };
beforeAll(async () => {
  rig = await BaselineRig.start(['sshd_a', 'sshd_b', 'sudo']);
  checklist = await rig.assign('all');
  checklistId = (await findChecklist(rig.tickets.workerPool, { name: checklist }))?.id as number;
});
afterAll(() => rig?.stop());

const tally = async () =>
  (await tallyRules(rig.tickets.workerPool, checklistId)).map(({ pass, fail, error }) => `${pass} ${fail} ${error}`);

it('a result, a mark, somebody who comes or goes: each is counted at the next look', async () => {
  expect(await tally()).toEqual(['0 0 0', '0 0 0', '0 0 0']);
  const [a, b, c] = [await rig.endpoint(), await rig.endpoint(), await rig.endpoint()];
  for (const id of [a, b]) await rig.measure(id, GOOD);
  expect(await tally()).toEqual(['2 0 0', '2 0 0', '2 0 0']);
  await rig.measure(c, { sshd_a: 'fixed', sshd_b: 'fail', sudo: 'unknown' });
  expect(await tally()).toEqual(['3 0 0', '2 1 0', '2 0 1']);
  expect(await tally()).toEqual(['3 0 0', '2 1 0', '2 0 1']);
  rig.tickets.skip(1_000);
  await rig.measureAgain(a, { ...GOOD, sshd_b: 'fail', sudo: 'error' });
  expect(await tally()).toEqual(['3 0 0', '1 2 0', '1 0 2']);
  const marks = `/v1/endpoints/${c}/assessments/${checklist}/false-positives`;
  await rig.tickets.api.call('PUT', marks, { body: { rule: testRuleId('sshd_b'), reason: 'wrong' } });
  expect(await tally()).toEqual(['3 0 0', '1 1 0', '1 0 2']);
  await rig.tickets.rows(`DELETE FROM assessment_target WHERE endpoint_id = $1`, [a]);
  expect(await tally()).toEqual(['2 0 0', '1 0 0', '1 0 1']);
});

it('exceptions of its rules are told as many as are asked for, with how many there are; others are not', async () => {
  const owner = (await seedAccount(rig.tickets.db.pool, { name: 'Owner' })).id;
  const now = rig.tickets.clock();
  const except = (rule: string, days: number) =>
    rig.tickets.rows(
      `INSERT INTO exception (id, selector, rule, reason, owner, approved_by, created_at, expires_at)
       VALUES (gen_random_uuid(), '{"all": true}', $1, 'r', $2, 'x', now() - interval '10 days', to_timestamp($3 / 1000.0) + $4 * interval '1 day')`,
      [rule, owner, now, days],
    );
  // Underscores and percent signs are what they are; `*` is any.
  const rules = [
    ['sshd_*', 3],
    ['sshd-a', 1],
    [testRuleId('sudo'), 2],
    ['sshdxa', 4],
    ['nothing', 5],
    ['sudo', -1],
  ] as const;
  for (const [rule, days] of rules) await except(rule, days);
  const listed = async (position: number | null, limit = 10) => {
    const found = await listRuleExceptions(rig.tickets.workerPool, { checklistId, position, now, limit });
    return [found.items.map((one) => one.rule), found.total];
  };
  expect(await listed(null)).toEqual([['sshd-a', testRuleId('sudo'), 'sshd_*'], 3]);
  expect(await listed(null, 1)).toEqual([['sshd-a'], 3]);
  expect(await listed(0)).toEqual([['sshd-a', 'sshd_*'], 2]);
  expect(await listed(1)).toEqual([['sshd_*'], 1]);
  const positions = await exceptedPositions(rig.tickets.workerPool, { checklistId, positions: [1, 2], now });
  expect([...positions].sort()).toEqual([1, 2]);
  await rig.tickets.rows(`UPDATE exception SET rule = '%' WHERE rule = 'nothing'`);
  expect((await listed(null))[1]).toBe(3);
});
