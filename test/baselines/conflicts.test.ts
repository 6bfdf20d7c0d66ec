/** Two enforced baselines on one endpoint that want different things of one rule: the higher one decides, the other is told and stands back. */
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import type { KindPlan } from '../../activities/kinds/change-kind.js';
import * as stagesDb from '../../db/stages.js';
import { CHANGE_KINDS } from '../../worker/activities.js';
import type { Json } from '../helpers/agent-client.js';
import { TEST_VALUE, testRuleId } from '../helpers/data-stream.js';
import { ringSpec } from '../helpers/scripted-activities.js';
import { BaselineRig } from './rig.js';

jest.setTimeout(60_000);

const enforcement = {
  rings: [ringSpec({ name: 'all', deadlineMinutes: 300 })],
  deadlineMinutes: 600,
  everyMinutes: 60,
};
const RULES = [
  { name: 'limit', fix: 'echo {{limit}}\n' },
  { name: 'same', fix: 'echo same\n' },
];
let rig: BaselineRig;
let endpointId: string;
let checklists: { house: string; law: string };
beforeAll(async () => {
  rig = await BaselineRig.start([...RULES, 'house-only']);
  await rig.import('law', RULES);
  endpointId = await rig.endpoint();
  await assign({ house: 5, law: 1 });
  await rig.assess();
  await rig.assess();
  // Both scans are out; each answer is of its own checklist.
  for (let n = 0; n < 2; n++) {
    const orderId = (await rig.order(endpointId)) as string;
    const rules =
      (await checklistOf(orderId)) === checklists.house ? ['limit', 'same', 'house-only'] : ['limit', 'same'];
    await rig.answer(endpointId, Object.fromEntries(rules.map((name) => [name, 'fail'])));
  }
});
afterAll(() => rig?.stop());

/** Both enforced for all, with these precedences; the law's limit is another one. */
async function assign(precedence: { house: number; law: number }, mode = 'enforce'): Promise<void> {
  const more = mode === 'enforce' ? { mode, enforcement } : { mode };
  checklists = {
    house: await rig.assign('house', { ...more, precedence: precedence.house }),
    law: await rig.assign('law', {
      ...{ mode: 'enforce', enforcement, baseline: 'law', precedence: precedence.law },
      values: { [TEST_VALUE]: { text: '42' } },
    }),
  };
}
async function checklistOf(orderId: string): Promise<string> {
  const [row] = await rig.tickets.rows(
    `SELECT c.name FROM order_envelope e JOIN checklist c
         ON c.digest = convert_from(decode(e.envelope ->> 'payload', 'base64'), 'UTF8')::jsonb -> 'baseline' ->> 'checklist' WHERE e.order_id = $1`,
    [orderId],
  );
  return row?.name;
}
/** Of a remediation of these assignments: what it does there, and what it declines with the reason. */
async function planned(...assignments: string[]): Promise<{ does: string[]; declines: string[] }> {
  const kind = CHANGE_KINDS.get('remediation');
  const parameters = kind?.parse({ assignments });
  if (kind === undefined || parameters?.ok !== true) throw new Error('nobody can carry it out');
  const { works }: KindPlan = await kind.plan(
    {
      db: stagesDb,
      client: rig.tickets.workerPool,
      changeId: '00000000-0000-4000-8000-000000000000',
      parameters: parameters.value,
      now: rig.tickets.clock(),
      once: <T>(_: readonly string[], read: () => Promise<T>) => read(),
    },
    [endpointId],
  );
  return {
    does: works.flatMap(({ set }) => set.updates.map((one) => one.name)),
    declines: works.flatMap(({ triage }) => triage.map((one) => `${one.name} ${one.rule}: ${one.reason}`)),
  };
}
const told = async (name: string): Promise<Json[]> =>
  (await rig.tickets.api.call('GET', `/v1/baseline-assignments/${name}/conflicts`)).body.items;
const LIMIT = { id: TEST_VALUE, theirs: '300', ours: '42' };

it('the higher one puts the rule right, the lower one declines it and says who decides', async () => {
  expect(await planned('house')).toEqual({ does: ['house-only', 'limit', 'same'], declines: [] });
  expect(await planned('law')).toEqual({
    does: ['same'],
    declines: [
      'limit conflict: decided by assignment house, which comes first here and wants limit 300 where this one wants 42',
    ],
  });
});

it('is told to whoever asks for the lower one or for the endpoint, page by page', async () => {
  expect(await told('house')).toEqual([]);
  expect(await told('law')).toMatchObject([
    { id: testRuleId('limit'), name: 'limit', decidedBy: 'house', values: [LIMIT], endpoints: 1 },
  ]);
  const { body } = await rig.tickets.api.call('GET', `/v1/endpoints/${endpointId}/assessments/${checklists.law}`);
  expect(body.items.map((one: Json) => one.conflict)).toEqual([{ decidedBy: 'house', values: [LIMIT] }, null]);
  const page = await rig.tickets.api.call('GET', '/v1/baseline-assignments/law/conflicts?limit=1');
  expect(page.body).toMatchObject({ items: [{ name: 'limit' }], next: null });
  expect((await rig.tickets.api.call('GET', '/v1/baseline-assignments/none/conflicts')).status).toBe(404);
});

it('makes no change by itself for a rule that the other decides', async () => {
  await rig.tickets.rows(
    `UPDATE assessment m SET results = 'fp', passed = 1, failed = 1 FROM checklist c WHERE c.id = m.checklist_id AND c.name = $1`,
    [checklists.law],
  );
  await rig.duty('enforcement');
  const made = await rig.tickets.rows(`SELECT requested_by AS by FROM change WHERE kind = 'remediation'`);
  expect(made.map((one) => one.by)).toEqual(['baseline-assignment/house']);
  await rig.tickets.rows(`UPDATE change SET closed_at = now(), outcome = 'completed'`);
});

it('is expedited by the one that decides it, never by the other, which says so', async () => {
  const critical = [testRuleId('limit')];
  const values = { [TEST_VALUE]: { text: '42' } };
  await rig.assign('law', { ...{ mode: 'enforce', enforcement, baseline: 'law', precedence: 1 }, values, critical });
  await rig.assess();
  const rule = { precedence: 1, appliesTo: { all: true }, kinds: ['rule'], respond: 'incident', expedite: true };
  expect((await rig.tickets.api.call('PUT', '/v1/notice-rules/drift', { body: rule })).status).toBe(200);
  await rig.drift(endpointId, 'limit', ['pass', 'fail']);
  const [incident] = await rig.tickets.rows('SELECT id, change_id FROM incident WHERE endpoint_id = $1', [endpointId]);
  expect(incident?.change_id).toBeNull();
  const why = expect.stringContaining('of baseline assignment law it is decided by assignment house');
  expect(
    await rig.tickets.rows(`SELECT action, detail ->> 'reason' AS reason FROM audit_entry WHERE subject = $1`, [
      `incident/${incident?.id}`,
    ]),
  ).toEqual([{ action: 'incident.notExpedited', reason: why }]);
  const expedite = () =>
    rig.tickets.api.call('POST', `/v1/incidents/${incident?.id}/expedite`, { body: { reason: 'now' } });
  const refused = await expedite();
  expect([refused.status, refused.body.detail]).toEqual([409, why]);
  await rig.assign('house', { mode: 'enforce', enforcement, precedence: 5, critical });
  await rig.assess();
  const { changeId } = (await expedite()).body;
  const made = await rig.tickets.rows(`SELECT spec #> '{parameters,assignments}' AS by FROM change WHERE id = $1`, [
    changeId,
  ]);
  expect(made).toEqual([{ by: ['house'] }]);
  await rig.tickets.close(changeId, 'completed');
});

it('turns round with the precedence, and one that is only observed decides nothing', async () => {
  await assign({ house: 5, law: 9 });
  await rig.assess();
  expect(await told('law')).toEqual([]);
  expect((await planned('house')).declines).toEqual([expect.stringContaining('decided by assignment law')]);
  await assign({ house: 99, law: 9 }, 'observe');
  await rig.assess();
  expect(await told('law')).toEqual([]);
  expect(await planned('law')).toEqual({ does: ['limit'], declines: [] });
});

it('a checklist that can not be read anew keeps no other from it, and says why', async () => {
  await rig.tickets.rows('UPDATE checklist SET fixes_read = 1');
  await rig.tickets.rows(`UPDATE checklist_rule SET vals = '{}'`);
  await rig.tickets.rows(`UPDATE checklist SET profile = 'gone' WHERE name = $1`, [checklists.house]);
  await expect(rig.duty('baseline-fixes')).rejects.toThrow(/fixes of checklist house\.v1\S+ stay as they were: .*gone/);
  await rig.duty('baseline-fixes');
  const rows = await rig.tickets.rows(
    `SELECT c.name, c.fixes_problem IS NULL AS well, (SELECT bool_or(r.vals <> '{}') FROM checklist_rule r WHERE r.checklist_id = c.id) AS read
       FROM checklist c ORDER BY c.id`,
  );
  const of = (name: string) => rows.filter((one) => one.name === name).map(({ well, read }) => [well, read]);
  expect([of(checklists.house), of(checklists.law)]).toEqual([[[false, false]], [[true, true]]]);
  const { items } = (await rig.tickets.api.call('GET', '/v1/compliance')).body;
  const told = items.find((one: Json) => one.checklist === checklists.house);
  expect(told.fixesProblem).toContain('gone');
  await rig.tickets.rows(
    `UPDATE checklist SET fixes_read = 1, profile = (SELECT profile FROM checklist WHERE name = $2) WHERE name = $1`,
    [checklists.house, checklists.law],
  );
  await rig.duty('baseline-fixes');
  expect(await rig.tickets.rows('SELECT FROM checklist WHERE fixes_problem IS NOT NULL')).toEqual([]);
});

it('checklists of an earlier release learn their values when their fixes are read anew', async () => {
  await rig.tickets.rows(`UPDATE checklist_rule SET vals = '{}'`);
  await rig.tickets.rows('UPDATE checklist SET fixes_read = 1');
  await rig.duty('baseline-fixes');
  const rows = await rig.tickets.rows(
    `SELECT r.vals FROM checklist_rule r JOIN checklist c ON c.id = r.checklist_id WHERE r.name = 'limit' ORDER BY c.id`,
  );
  expect(rows.map((one) => one.vals)).toEqual([{ [TEST_VALUE]: '300' }, { [TEST_VALUE]: '42' }]);
});

it('what tests use of versions that an earlier release imported is read out of their data streams', async () => {
  const details = () =>
    rig.tickets.rows('SELECT version_id AS version, number, detail FROM baseline_rule ORDER BY version_id, number');
  const before = await details();
  await rig.tickets.rows(`UPDATE baseline_rule SET detail = detail - 'check' - 'checkValues'`);
  await rig.tickets.rows(`UPDATE checklist_rule SET vals = '{}'`);
  const kept = new Map(rig.streams);
  const [law] = await rig.tickets.rows(
    `SELECT v.sha256 FROM baseline_version v JOIN baseline b ON b.id = v.baseline_id WHERE b.name = 'law'`,
  );
  rig.streams.delete(law?.sha256);
  await expect(rig.duty('baseline-fixes')).rejects.toThrow(/of law version 1 use can't be read: the content store/);
  rig.streams.set(law?.sha256, kept.get(law?.sha256) as Buffer);
  await rig.duty('baseline-fixes');
  expect(await details()).toEqual(before);
  expect(await rig.tickets.rows(`SELECT FROM checklist_rule WHERE name = 'limit' AND vals = '{}'`)).toEqual([]);
});
