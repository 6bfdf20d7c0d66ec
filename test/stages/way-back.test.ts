/** What no package manager takes back is carried out only with a snapshot or a second approval behind it (design §5). */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createStageActivities } from '../../activities/stages.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { approvalRule } from '../helpers/scripted-activities.js';
import { createFleet, RING, stageDeps } from './fleet.js';

const KERNEL = { name: 'linux-image-amd64', from: '6.1.1', to: '6.1.2' };
const CURL = { name: 'curl', from: '7.88-1', to: '7.88-2' };
const hook = (over: object = {}) => ({
  name: 'snapshot',
  when: 'before',
  onFailure: 'fail',
  timeoutSeconds: 60,
  ...over,
});
const REASON = /^a kernel: .* needs the hook “snapshot” in its policy, or approvals in its ring$/;

describe('a kernel in the plan', () => {
  let database: TestDatabase;
  let triage: Record<string, { name: string; outcome: string; reason: string }[]>;
  let items: Record<string, string[]>;

  beforeAll(async () => {
    database = await createDatabase();
    const fleet = createFleet(database.pool);
    await fleet.repository();
    const policy = (role: string, hooks: unknown[]) =>
      fleet.policy(role, { document: { appliesTo: { labels: { role } }, hooks } });
    await policy('bare', []);
    await policy('covered', [hook()]);
    await policy('ignored', [hook({ onFailure: 'ignore' })]);
    for (const update of [KERNEL, CURL]) {
      await fleet.catalogue(update.name, update.to);
      await fleet.catalogue(update.name, update.from, { withdrawn: true });
    }
    for (const role of ['bare', 'covered', 'ignored'])
      await fleet.endpoint(role, { labels: { role }, updates: [KERNEL, CURL] });
    await fleet.endpoint('asked', { labels: { role: 'bare', ask: 'yes' }, updates: [KERNEL, CURL] });
    await fleet.endpoint('nothing-else', { labels: { role: 'bare' }, updates: [KERNEL] });
    const changeId = await fleet.change({
      rings: [
        { ...RING, name: 'asked', select: { labels: { ask: 'yes' } }, approvals: [approvalRule()] },
        { ...RING, name: 'unasked' },
      ],
    });
    await createStageActivities(stageDeps(database.pool)).freezePlan({ changeId, reason: 'first' });
    const { rows } = await database.pool.query(
      `SELECT e.name, p.triage, p.ring, ARRAY(SELECT i ->> 'name' FROM jsonb_array_elements(u.items) i) AS items
         FROM plan_endpoint p JOIN endpoint e ON e.id = p.endpoint_id LEFT JOIN update_set u ON u.digest = p.update_set_digest
        WHERE p.change_id = $1`,
      [changeId],
    );
    triage = Object.fromEntries(rows.map((row) => [row.name, row.triage]));
    items = Object.fromEntries(rows.map((row) => [row.name, row.ring === null ? [] : row.items]));
  });
  afterAll(() => database?.drop());

  test.each([
    ['asked', ['curl', 'linux-image-amd64'], 'people are asked before its ring'],
    ['covered', ['curl', 'linux-image-amd64'], 'its policy takes a snapshot first'],
    ['bare', ['curl'], 'nobody is asked, and nothing can take it back'],
    ['ignored', ['curl'], 'a snapshot that may fail is none'],
    ['nothing-else', [], 'with nothing else to do it gets no order'],
  ])('%s gets %j: %s', (name, names) => expect(items[name]).toEqual(names));

  test.each(['bare', 'ignored', 'nothing-else'])('%s: put off, with the reason and what would help', (name) => {
    expect(triage[name]).toEqual([
      expect.objectContaining({ name: KERNEL.name, outcome: 'deferred', reason: expect.stringMatching(REASON) }),
    ]);
  });
});
