/** Incidents from the command line: seen, looked after, put right at once, closed. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { BaselineRig } from '../baselines/rig.js';
import { ADMIN_TOKEN } from '../helpers/api-server.js';
import { type CliResult, runCli } from '../helpers/cli.js';
import { testRuleId } from '../helpers/data-stream.js';

let rig: BaselineRig;
let endpoint: string;
let name: string;

beforeAll(async () => {
  rig = await BaselineRig.start(['one', 'two']);
  await rig.assign('all', { critical: [testRuleId('one'), testRuleId('two')] });
  const rule = {
    precedence: 1,
    appliesTo: { all: true },
    kinds: ['rule', 'service'],
    respond: 'incident',
    severity: 'high',
  };
  await rig.tickets.api.call('PUT', '/v1/notice-rules/watch', { body: rule });
  endpoint = await rig.endpoint();
  [{ name }] = (await rig.tickets.rows('SELECT name FROM endpoint WHERE id = $1', [endpoint])) as [{ name: string }];
  await rig.assess();
  await rig.drift(endpoint, 'one', ['pass', 'fail']);
  await rig.notice(endpoint, { kind: 'service', action: 'added', name: 'telnetd' });
});
afterAll(() => rig?.stop());

const cli = (...args: string[]): Promise<CliResult> =>
  runCli(['incidents', ...args], { url: rig.tickets.api.url, token: ADMIN_TOKEN });
const json = async (...args: string[]) => {
  const { code, stdout, stderr } = await cli(...args, '--json');
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
  return JSON.parse(stdout);
};
const idOf = async (words: string): Promise<string> =>
  (await json('--all')).items.find(({ summary }: { summary: string }) => summary.includes(words)).id;
const changes = () =>
  rig.tickets.rows(`SELECT id, spec, priority, requested_by FROM change WHERE kind = 'remediation'`);
const audited = (id: string) =>
  rig.tickets.rows('SELECT action FROM audit_entry WHERE subject = $1 ORDER BY id', [`incident/${id}`]);

test('are listed and shown, newest first', async () => {
  const { stdout } = await cli();
  expect(stdout).toMatch(new RegExp(`^high +${name}: runs service telnetd \\(added\\) +open +1 +\\d{4}`, 'm'));
  expect(stdout).toContain('2 incidents. Times are Europe/Berlin.');
  const id = await idOf('telnetd');
  expect(await json('show', id)).toMatchObject({ id, severity: 'high', ofRule: false, changeId: null });
  expect((await cli('show', id)).stdout).toMatch(/^by +incident by notice rule watch$/m);
  expect(await cli('show', 'f81d4fae-7dec-41d0-a765-00a0c91e6bf6')).toMatchObject({ code: 5 });
});

test('somebody looks after one, and closes it', async () => {
  const id = await idOf('telnetd');
  expect((await cli('acknowledge', id)).stdout).toMatch(/^state +acknowledged$/m);
  expect(await cli('acknowledge', id)).toMatchObject({
    code: 6,
    stderr: expect.stringContaining('acknowledged already'),
  });
  expect((await json('close', id)).closedAt).toEqual(expect.any(String));
  expect((await json('list')).items).toHaveLength(1);
  expect((await json('list', '--all')).items).toHaveLength(2);
  expect(await audited(id)).toEqual([{ action: 'incident.acknowledged' }, { action: 'incident.closed' }]);
});

test('one that is there already is put right at once, by the expedite policy, on record, and not twice', async () => {
  const id = await idOf('one');
  expect(await changes()).toEqual([]);
  expect(await cli('expedite', id)).toMatchObject({ code: 2 });
  const incident = await json('expedite', id, '--reason', 'it is exploited', '--yes');
  expect(incident).toMatchObject({ id, ofRule: true, changeUnderWay: true, changeId: expect.any(String) });
  const made = await changes();
  expect(made).toMatchObject([
    {
      id: incident.changeId,
      priority: 100,
      spec: {
        reason: 'it is exploited',
        scope: { ids: [endpoint] },
        parameters: { assignments: ['all'], rules: [testRuleId('one')] },
      },
    },
  ]);
  const policy = (await rig.tickets.api.call('GET', '/v1/expedite-policy')).body;
  expect(made[0]?.spec.rings).toEqual(policy.document.rings);
  const started = await rig.tickets.rows("SELECT topic FROM outbox WHERE workflow_id = 'change/' || $1", [
    incident.changeId,
  ]);
  expect(started).toHaveLength(1);
  expect(await rig.tickets.rows('SELECT detail FROM audit_entry WHERE action = $1', ['incident.expedited'])).toEqual([
    { detail: { reason: 'it is exploited', changeId: incident.changeId, rule: testRuleId('one') } },
  ]);
  const again = await cli('expedite', id, '--reason', 'again', '--yes');
  expect([again.code, again.stderr]).toEqual([6, expect.stringContaining('is under way for it already')]);
  expect(await changes()).toHaveLength(1);
  // Over, and it still fails.
  await rig.tickets.close(incident.changeId, 'completedWithFailures');
  expect((await json('expedite', id, '--reason', 'again', '--yes')).changeId).not.toBe(incident.changeId);
  // Another incident of the same rule there.
  await json('close', id);
  await rig.drift(endpoint, 'one', ['fail', 'pass']);
  await rig.drift(endpoint, 'one', ['pass', 'fail']);
  const next = await idOf('one');
  expect(next).not.toBe(id);
  const second = await cli('expedite', next, '--reason', 'again', '--yes');
  expect([second.code, second.stderr]).toEqual([6, expect.stringContaining('is under way for it already')]);
  expect(await changes()).toHaveLength(2);
});

test('what has no fix, or is over, is refused with the reason', async () => {
  const expedite = async (words: string) => {
    const { code, stderr } = await cli('expedite', await idOf(words), '--reason', 'now', '--yes');
    return [code, stderr];
  };
  expect(await expedite('telnetd')).toEqual([6, expect.stringContaining('the incident is closed')]);
  await rig.notice(endpoint, { kind: 'service', action: 'added', name: 'rshd' });
  expect(await expedite('rshd')).toEqual([6, expect.stringContaining('not about a rule of a baseline')]);
  await rig.drift(endpoint, 'two', ['pass', 'fail']);
  await rig.assign('all', { critical: [testRuleId('one')] });
  expect(await expedite('two')).toEqual([6, expect.stringContaining('no baseline assignment that holds there')]);
  await rig.assign('all', { mode: 'observe', critical: [testRuleId('two')] });
  await rig.assess();
  expect(await expedite('two')).toEqual([6, expect.stringContaining('assignment all is only observed there')]);
  expect(await changes()).toHaveLength(2);
});
