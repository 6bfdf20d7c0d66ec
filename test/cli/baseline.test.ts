/** Results of baselines from the command line: what fails where, findings that are wrong, exceptions of rules. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type MeasuredFleet, RULES, seedMeasured, seedPeople } from '../console/baselines.js';
import { ADMIN_TOKEN, startApi, type TestApi } from '../helpers/api-server.js';
import { type CliResult, runCli } from '../helpers/cli.js';
import { testRuleId } from '../helpers/data-stream.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';

let db: TestDatabase;
let api: TestApi;
let fleet: MeasuredFleet;

beforeAll(async () => {
  db = await createDatabase();
  api = await startApi({ apiUrl: db.apiUrl, pool: db.pool });
  fleet = await seedMeasured(db.pool, { api, people: await seedPeople(db.pool) });
});
afterAll(async () => {
  await api?.close();
  await db?.drop();
});

const cli = (...args: string[]): Promise<CliResult> =>
  runCli(['baseline', ...args], { url: api.url, token: ADMIN_TOKEN });
const json = async (...args: string[]) => {
  const { code, stdout, stderr } = await cli(...args, '--json');
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
  return JSON.parse(stdout);
};

test('says who is measured by what, and how a trial compares', async () => {
  const { stdout } = await cli('assignments');
  expect(stdout).toMatch(
    /^servers +debian12 +1 +observe +propose for group canaries +all endpoints +59 +60 +1 +5 +\d{4}-\d\d-\d\d \d\d:\d\d +debian12\.v1/m,
  );
  expect((await json('assignments')).items).toMatchObject([
    { name: 'servers', checklist: fleet.checklist, endpoints: 125, worse: 1, better: 1, newestVersion: 1 },
  ]);
  expect(await json('trial', 'servers')).toMatchObject({ trial: { endpoints: 12 }, rest: { endpoints: 113 } });
  expect((await cli('trial', 'servers')).stdout).toMatch(/^endpoints +12 +113$/m);
});

test('says which rules another assignment decides', async () => {
  expect(await json('conflicts', 'servers')).toEqual({ items: [], more: false });
  expect((await cli('conflicts', 'servers')).stderr).toContain('no other assignment wants anything else');
  expect((await cli('conflicts', 'nothing')).code).toBe(5);
});

test('lists rules by the endpoints they fail on, with what their fix does', async () => {
  const { stdout } = await cli('failing', fleet.checklist);
  const [, ...lines] = stdout.trim().split('\n');
  expect(lines.map((line) => line.split(/ {2,}/))).toEqual([
    ['sshd-no-root', 'high', '60', '0', '60', 'runs a script'],
    ['sudo-installed', 'medium', '30', '0', '90', 'installs sudo'],
    ['telnet-removed', 'high', '12', '0', '108', 'removes telnet'],
    ['partition-for-tmp', 'low', '5', '0', '115', 'no fix: the baseline has no fix for it'],
    ['limit-1', 'low', '0', '1', '119', 'runs a script'],
  ]);
  expect((await json('failing', fleet.checklist, '--all', '--limit', '0')).items).toHaveLength(RULES.length);
  const [first] = (await json('failing', fleet.checklist, '--limit', '1')).items;
  expect(first).toMatchObject({ id: testRuleId('sshd_no_root'), fail: 60, packageFix: null, noFixReason: null });
});

test('what a fix installs or removes is in the rules of a version, of a checklist and of an endpoint', async () => {
  const packageFix = { action: 'install', name: 'sudo' };
  const of = (items: { id: string }[]) => items.find(({ id }) => id === testRuleId('sudo_installed'));
  expect(of((await json('rules', 'debian12')).items)).toMatchObject({ packageFix, noFixReason: null });
  expect((await cli('rules', 'debian12')).stdout).toMatch(/^telnet-removed .* removes telnet$/m);
  expect(of((await json('findings', 'web-001')).items)).toMatchObject({ packageFix });
  const [{ profiles }] = (await json('list')).items;
  const path = '/v1/baselines/debian12/versions/1/checklists';
  expect(of((await api.call('POST', path, { body: { profile: profiles[0].id } })).body.rules)).toMatchObject({
    packageFix,
  });
});

describe('findings of an endpoint', () => {
  test('are listed with since when, in the reader’s zone', async () => {
    const { stdout } = await cli('findings', 'web-001');
    expect(stdout).toMatch(/^debian12\.v1\S+ \(propose\): 4 fail, 0 error, 36 pass; measured .* Europe\/Berlin\./);
    expect(stdout).toContain('SINCE (Europe/Berlin)');
    expect(stdout).toMatch(/^sudo-installed +medium +fail +\d{4}-\d\d-\d\d \d\d:\d\d +installs sudo +-$/m);
    expect((await json('findings', 'web-001', '--all')).items).toHaveLength(RULES.length);
    expect(await json('findings', 'web-120')).toMatchObject({ items: [], assessments: [{ pass: 40 }] });
    expect((await cli('findings', 'web-125')).stdout).toContain('not measured yet');
  });

  test('are marked as wrong and taken back', async () => {
    const marked = await cli('mark', 'web-001', 'sudo-installed', '--reason', 'our own image has it');
    expect(marked).toMatchObject({ code: 0, stdout: expect.stringContaining('is marked as wrong on web-001') });
    expect((await json('findings', 'web-001')).assessments).toMatchObject([{ fail: 3, falsePositives: 1 }]);
    expect((await cli('findings', 'web-001')).stdout).toMatch(/^sudo-installed .* our own image has it$/m);
    expect((await json('marked', fleet.checklist)).items).toMatchObject([
      { endpoint: 'web-001', rule: 'sudo-installed', reason: 'our own image has it' },
    ]);
    expect(await json('unmark', 'web-001', testRuleId('sudo_installed'))).toMatchObject({ marked: false });
    expect((await json('findings', 'web-001')).assessments).toMatchObject([{ fail: 4, falsePositives: 0 }]);
    const again = await cli('unmark', 'web-001', 'sudo-installed');
    expect(again).toMatchObject({ code: 5, stdout: '' });
  });

  test('are measured again by name', async () => {
    expect(await json('assess', 'web-001')).toEqual({ checklists: 1 });
  });
});

describe('gold standards', () => {
  test('are captured, listed, compared with and forgotten', async () => {
    expect((await cli('gold-standards')).stderr).toContain('None yet: ringmaster baseline capture');
    expect(await json('capture', 'good', 'web-120')).toMatchObject({
      name: 'good',
      endpoint: 'web-120',
      checklists: 1,
    });
    expect((await cli('capture', 'bad', 'web-001')).stdout).toMatch(/^web-001 is captured as bad: 1 checklists, /);
    expect((await json('gold-standards', '--limit', '1')).items).toMatchObject([{ name: 'bad' }]);
    expect((await json('gold-standards')).items).toMatchObject([{ name: 'bad' }, { name: 'good', services: 0 }]);
    const far = await json('drift', 'good', '--limit', '6');
    expect(far).toMatchObject({ more: true });
    expect(far.items.map((one: { endpoint: string; rules: number }) => `${one.endpoint} ${one.rules}`)).toEqual([
      ...['web-001 4', 'web-002 4', 'web-003 4', 'web-004 4', 'web-005 4', 'web-006 3'],
    ]);
    expect((await json('drift', 'good', '--limit', '0')).items).toHaveLength(119);
    expect((await json('drift', 'good', 'web-006')).rules).toEqual(
      ['sshd_no_root', 'sudo_installed', 'telnet_removed'].map((name) => ({
        rule: testRuleId(name),
        gold: 'pass',
        now: 'fail',
      })),
    );
    expect((await cli('drift', 'good', 'web-006')).stdout).toMatch(/^rule +\S*sudo_installed +pass +fail$/m);
    expect((await cli('drift', 'good', 'web-120')).stderr).toContain('Nothing differs.');
    expect(await json('forget', 'bad')).toEqual({ name: 'bad', forgotten: true });
    expect((await cli('drift', 'bad')).code).toBe(5);
  });
});

test('exceptions of rules are granted, listed and revoked', async () => {
  const owner = fleet.olga.id;
  const made = await json(
    'except',
    'sshd-no-root',
    '--group',
    'web',
    '--until',
    '30d',
    '--owner',
    owner,
    '--reason',
    'a jump host',
  );
  expect(made).toMatchObject({ rule: 'sshd-no-root', state: 'inForce', selector: { groups: ['web'] } });
  expect((await cli('exceptions')).stdout).toMatch(/ sshd-no-root +group web +.* inForce +Olga +a jump host/);
  expect((await json('exceptions', '--rule', 'sshd-no-root')).items).toMatchObject([{ id: made.id }]);
  expect((await json('exceptions')).items).toHaveLength(2);
  expect((await cli('revoke', made.id)).stdout).toBe('The exception of sshd-no-root is revoked.\n');
  expect((await json('exceptions')).items).toHaveLength(1);
  expect((await json('exceptions', '--all')).items).toHaveLength(2);
});

describe('exit codes', () => {
  const until = ['--until', '1d', '--reason', 'x'];
  test.each<[string, number, () => string[], RegExp]>([
    ['a mark without a reason', 2, () => ['mark', 'web-001', 'sudo-installed'], /--reason/],
    ['an exception for nobody', 2, () => ['except', 'x', '--owner', fleet.olga.id, ...until], /say for whom/],
    ['an owner that is none', 2, () => ['except', 'x', '--everywhere', '--owner', 'olga', ...until], /owner: /],
    ['no such endpoint', 5, () => ['findings', 'nobody'], /no such endpoint: nobody/],
    ['no such rule there', 5, () => ['mark', 'web-001', 'nothing', '--reason', 'x'], /no rule nothing/],
    ['no such checklist', 5, () => ['failing', 'nothing'], /no such checklist/],
    ['no such assignment', 5, () => ['trial', 'nothing'], /no such baseline assignment/],
    ['not measured by it', 5, () => ['findings', 'web-001', '--checklist', 'other'], /not measured by other/],
  ])('%s: %i', async (_, code, args, words) => {
    expect(await cli(...args())).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(words) });
  });

  test('a rule that several checklists have: 6, with their names', async () => {
    const body = {
      baseline: 'debian12',
      profile: (await json('list')).items[0].profiles[0].id,
      appliesTo: { all: true },
      precedence: 1,
      mode: 'observe',
      select: { [testRuleId('limit_9')]: false },
    };
    const put = await api.call('PUT', '/v1/baseline-assignments/second', { body });
    await db.pool.query(
      `INSERT INTO assessment (endpoint_id, checklist_id, results, revision, passed, failed, errors, not_applicable, not_checked, first_at, assessed_at)
       SELECT $1, c.id, repeat('f', 39), 1, 0, 39, 0, 0, 0, now(), now() FROM checklist c WHERE name = $2`,
      [fleet.endpointId, put.body.checklist],
    );
    const found = await cli('mark', 'web-001', 'sudo-installed', '--reason', 'x');
    expect(found).toMatchObject({
      code: 6,
      stdout: '',
      stderr: expect.stringMatching(/give --checklist[\s\S]*debian12\.v1/),
    });
    expect((await cli('mark', 'web-001', 'sudo-installed', '--reason', 'x', '--checklist', fleet.checklist)).code).toBe(
      0,
    );
  });
});
