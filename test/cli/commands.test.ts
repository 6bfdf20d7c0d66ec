import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ADMIN_TOKEN } from '../helpers/api-server.js';
import { cliMain, runCli } from '../helpers/cli.js';
import { createFleet, NOW } from '../stages/fleet.js';
import { type CliRig, startCliRig } from './rig.js';

let rig: CliRig;
let db: CliRig['db'];
let api: CliRig['api'];
let cli: CliRig['cli'];
let json: CliRig['json'];
let stdin: CliRig['stdin'];
let endpointId: string;

beforeAll(async () => {
  rig = await startCliRig();
  ({ db, api, cli, json, stdin } = rig);
  endpointId = (await rig.enrol('web-1')).id;
});
afterAll(() => rig?.end());

describe('endpoints', () => {
  test('are listed for people and for programs', async () => {
    const listed = await cli('endpoints', '--label', 'role=web');
    expect(listed).toMatchObject({ code: 0, stderr: '' });
    expect(listed.stdout).toMatch(/^NAME +STATE +UPDATES/);
    expect(listed.stdout).toMatch(/^web-1/m);
    expect(listed.stdout).toContain('Times are Europe/Berlin.');
    expect((await cli('endpoints', '--utc')).stdout).toContain('Times are UTC.');
    expect(await json('endpoints', 'list')).toMatchObject({ items: [{ id: endpointId }], more: false });
    expect(await json('endpoints', 'list', '--name', 'nobody')).toEqual({ items: [], more: false });
  });

  test('are held, released and scanned by name', async () => {
    expect((await cli('endpoints', 'hold', 'web-1', '--until', '2d', '--reason', 'fair')).stdout).toMatch(
      /^web-1 gets no change until \d{4}-\d\d-\d\d \d\d:\d\d Europe\/Berlin\.\n$/,
    );
    expect(await json('endpoints', 'show', 'web-1')).toMatchObject({ holdReason: 'fair' });
    expect((await cli('endpoints', 'hold', 'web-1', '--lift')).code).toBe(0);
    expect(await json('scan', 'web-1')).toEqual({ asked: [endpointId] });
    expect(await json('endpoints', 'show', endpointId)).toMatchObject({ holdUntil: null, wantsScan: true });
  });

  test('what a machine calls itself can’t move the reader’s cursor', async () => {
    await db.pool.query(`UPDATE endpoint SET name = E'web-1\\u001b[2J' WHERE id = $1`, [endpointId]);
    const { stdout } = await cli('endpoints');
    expect(stdout).not.toContain('\u001b');
    expect(stdout).toContain('web-1\ufffd[2J');
    await db.pool.query(`UPDATE endpoint SET name = 'web-1' WHERE id = $1`, [endpointId]);
  });
});

describe('exit codes', () => {
  test.each<[string, number, string[], RegExp]>([
    ['a command nobody knows', 2, ['cycle', 'frobnicate'], /unknown command/],
    ['an option nobody knows', 2, ['endpoints', '--frobnicate'], /unknown option/],
    ['a reason that is missing', 2, ['cycle', 'abort', 'x'], /--reason/],
    ['a value that can’t be', 2, ['endpoints', '--state', 'asleep'], /state: /],
    ['a limit that is none', 2, ['audit', 'list', '--limit', 'x'], /--limit/],
    ['no such endpoint', 5, ['endpoints', 'show', 'nobody'], /no such endpoint: nobody/],
    ['no such cycle', 5, ['cycle', 'show', '00000000-0000-4000-8000-000000000000'], /no such change\n {2}request id: /],
    ['nobody to be asked', 6, ['cycle', 'stop-all', '--reason', 'x'], /give --yes/],
    ['a file that is not there', 2, ['cycle', 'plan', '/nowhere.yaml'], /can't read \/nowhere.yaml: ENOENT/],
    ['a server that is not there', 3, ['endpoints', '--url', 'http://127.0.0.1:2'], /connection refused/],
  ])('%s: %i', async (_, code, args, words) => {
    const found = await cli(...args);
    expect(found).toMatchObject({
      code,
      stdout: '',
      stderr: expect.stringMatching(words),
    });
    expect(found.stderr).not.toContain('rmt_');
  });
});

test('a token that is none, and a file of it that others can read', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ringmaster-cli-'));
  const file = join(folder, 'token');
  writeFileSync(file, 'rmt_wrong-token\n', { mode: 0o644 });
  const found = await runCli(['endpoints', '--token-file', file], { url: api.url });
  expect(found).toMatchObject({
    code: 4,
    stdout: '',
    stderr: expect.stringMatching(/^warning: .* chmod 600[\s\S]*Sign in first/),
  });
  expect(found.stderr).not.toContain('rmt_');
  rmSync(folder, { recursive: true });
});

const DOCUMENTS = `kind: PolicySet
name: web
spec:
  precedence: 5
  document:
    appliesTo: {groups: [all-web]}
    hours: {communicate: {always: true}, stage: {always: true}, apply: {always: true}}
    freezeCalendars: [holidays]
    reboot: ifNeeded
    expectedMinutes: 10
    healthChecks: [{type: http, url: "http://127.0.0.1/"}]
    hooks: []
    stageRateLimit: null
---
kind: Group
name: all-web
spec: {selector: {groups: [web]}}
---
kind: Group
name: web
spec: {selector: {labels: {role: web}}}
---
kind: QuorumGroup
name: cluster
spec: {selector: {groups: [web]}, maxUnavailable: 1}
---
kind: FreezeCalendar
name: holidays
spec:
  icalendar: |
    BEGIN:VCALENDAR
    VERSION:2.0
    PRODID:-//test//EN
    BEGIN:VEVENT
    UID:1
    DTSTAMP:20260101T000000Z
    DTSTART;VALUE=DATE:20261224
    DTEND;VALUE=DATE:20261227
    SUMMARY:Christmas
    END:VEVENT
    END:VCALENDAR
`;

describe('apply and export', () => {
  test('show differences first, apply them, and meet', async () => {
    const dry = await stdin(DOCUMENTS, 'apply', '-f', '-', '--dry-run');
    expect(dry).toMatchObject({ code: 1, stderr: '' });
    expect(dry.stdout).toMatch(/^create Group web\n {2}\+ selector: /m);
    expect(dry.stdout).toContain('5 to create, 0 to change, 0 left as they are.');
    expect((await json('export')).items).toEqual([]);

    // Nobody can be asked on a pipe.
    expect((await stdin(DOCUMENTS, 'apply', '-')).code).toBe(6);
    expect(await stdin(DOCUMENTS, 'apply', '-', '--yes')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Applied 5.'),
    });

    const exported = (await cli('export')).stdout;
    expect((await json('export')).items).toHaveLength(5);
    const again = await stdin(exported, 'apply', '-', '--dry-run');
    expect(again).toMatchObject({ code: 0, stdout: '0 to create, 0 to change, 5 left as they are.\n' });
    expect((await stdin(DOCUMENTS, 'apply', '-', '--dry-run')).code).toBe(0);

    const changed = await stdin(exported.replace('maxUnavailable: 1', 'maxUnavailable: 2'), 'apply', '-', '--yes');
    expect(changed.stdout).toContain('change QuorumGroup cluster\n  - maxUnavailable: 1\n  + maxUnavailable: 2\n');
    expect(changed.code).toBe(0);
  });

  test('a schedule is made and changed', async () => {
    const spec = (await cli('cycle', 'init')).stdout.replace(/^/gm, '    ').trimStart();
    const schedule = (at: string) => `kind: Schedule
name: monthly
spec:
  calendar: {rrule: "FREQ=MONTHLY;BYDAY=2TU", at: "${at}", zone: Europe/Berlin}
  overlap: skip
  spec:
    ${spec}`;
    expect(await stdin(schedule('22:00'), 'apply', '-', '--yes')).toMatchObject({ code: 0, stderr: '' });
    const { items } = await json('export', 'Schedule');
    const changed = await stdin(schedule('23:00'), 'apply', '-', '--yes');
    expect(changed.stdout).toContain('  - calendar.at: "22:00"\n  + calendar.at: "23:00"\n');
    const { body } = await api.call('GET', '/v1/schedules');
    expect(body.items).toMatchObject([{ name: 'monthly', calendar: { at: '23:00' } }]);
    expect(items).toHaveLength(1);
  });

  test('everything wrong is told with its place, and nothing is applied', async () => {
    const bad = `kind: Group\nname: a\nspec:\n  selector: {lables: {a: b}}\n---\nkind: Grupp\nname: b\nspec: {}\n---\nkind: QuorumGroup\nname: c\nspec:\n  selector: {all: true}\n  maxUnavailable: 0\n`;
    const { code, stderr } = await stdin(bad, 'apply', '-', '--yes');
    expect(code).toBe(2);
    expect(stderr).toMatch(/standard input:4:14: spec\.selector\.lables: unknown field/);
    expect(stderr).toMatch(/standard input:6:1: kind: must be one of Group, /);
    expect(stderr).toMatch(/standard input:14:3: spec\.maxUnavailable: /);
    const broken = await stdin('kind: [\n', 'apply', '-', '--yes');
    expect(broken).toMatchObject({ code: 2, stderr: expect.stringMatching(/standard input:\d+:\d+: /) });
  });

  test('what only the server knows is told with its place too', async () => {
    const { code, stderr } = await stdin(
      'kind: Group\nname: x\nspec:\n  selector:\n    groups: [gone]\n',
      'apply',
      '-',
      '--yes',
    );
    expect(code).toBe(2);
    expect(stderr).toMatch(/standard input:5:\d+: .*gone/);
  });
});

describe('cycles', () => {
  const spec = async (over = '') => `${(await cli('cycle', 'init')).stdout}${over}`;

  test('a dry run tells rings, windows, finishes and who can’t make it, and writes nothing', async () => {
    const fleet = createFleet(db.pool);
    await fleet.repository();
    await db.pool.query(
      `INSERT INTO endpoint (id, name, public_key, labels, zone, last_seen, state, state_reason)
       SELECT gen_random_uuid(), 'plan-' || i, 'plan-key-' || i, '{"plan":"yes"}', CASE i % 3 WHEN 0 THEN 'Asia/Tokyo' ELSE 'Europe/Berlin' END,
              CASE WHEN i > 5 THEN now() END, CASE WHEN i > 58 THEN 'quarantined' ELSE 'active' END, CASE WHEN i > 58 THEN 'cloned' END
         FROM generate_series(1, 60) i`,
    );
    await db.pool.query(
      `INSERT INTO scan (id, endpoint_id, started_at, received_at, complete, provider)
       SELECT gen_random_uuid(), id, now(), now(), true, 'apt' FROM endpoint WHERE labels ? 'plan'`,
    );
    await db.pool.query(
      `INSERT INTO available_update (endpoint_id, name, arch, installed, candidate, scan_id)
       SELECT id, 'bash', 'amd64', '1-1', '1-2', id FROM endpoint WHERE labels ? 'plan'`,
    );
    await db.pool.query(
      `INSERT INTO catalogue_package (repository_id, name, arch, version, suite, source, source_version, sha256, size, filename)
       SELECT $1, 'bash', 'amd64', v, 'stable', 'bash', v, encode(sha256(v::bytea), 'hex'), 1000, v FROM unnest(ARRAY['1-1', '1-2']) v`,
      [fleet.repositoryId],
    );
    const policy = {
      appliesTo: { labels: { plan: 'yes' } },
      hours: {
        communicate: { always: true },
        stage: { always: true },
        apply: { windows: [{ rrule: 'FREQ=DAILY', from: '22:00', to: '23:00', zone: 'endpoint' }] },
      },
      freezeCalendars: [],
      reboot: 'never',
      expectedMinutes: 10,
      healthChecks: [],
      hooks: [],
      stageRateLimit: null,
    };
    const put = await api.call('PUT', '/v1/policy-sets/plan', { body: { precedence: 50, document: policy } });
    expect(put.status).toBe(200);

    const count = async () =>
      (
        await db.pool.query(
          'SELECT (SELECT count(*) FROM change) + (SELECT count(*) FROM audit_entry) + (SELECT count(*) FROM plan) AS n',
        )
      ).rows[0].n;
    const before = await count();
    const text = (await spec()).replace('scope: {all: true}', 'scope: {labels: {plan: "yes"}}');
    const plan = JSON.parse((await stdin(text, 'cycle', 'plan', '-', '--json')).stdout);
    expect(plan).toMatchObject({ endpoints: 58, updates: { included: 58, deferred: 0, declined: 0 }, cves: [] });
    expect(plan.rings.map((ring: { endpoints: number }) => ring.endpoints)).toEqual([1, 3, 11, 22, 21]);
    expect(plan.rings[1].afterApprovals).toBe(1);
    expect(plan.excluded).toEqual([{ reason: 'quarantined: cloned', endpoints: 2, names: ['plan-59', 'plan-60'] }]);
    expect(plan.stragglers).toEqual([
      {
        reason: 'silent for longer than offlineAfterMinutes',
        endpoints: 5,
        names: ['plan-1', 'plan-2', 'plan-3', 'plan-4', 'plan-5'],
      },
    ]);
    const zones = new Set(
      plan.rings.flatMap((ring: { windows: { zone: string }[] }) => ring.windows.map(({ zone }) => zone)),
    );
    expect([...zones].sort()).toEqual(['Asia/Tokyo', 'Europe/Berlin']);
    for (const [i, ring] of plan.rings.entries()) {
      if (i > 0 && ring.begins !== null) expect(ring.begins >= plan.rings[i - 1].passed).toBe(true);
    }

    const shown = await stdin(text, 'cycle', 'plan', '-');
    expect(shown.code).toBe(0);
    expect(shown.stdout).toMatch(/^0 test +1 /m);
    expect(shown.stdout).toContain('5: silent for longer than offlineAfterMinutes (plan-1,');
    // A deadline before every window: nobody can make it.
    const short = text
      .replace('deadlineMinutes: 20160', 'deadlineMinutes: 1')
      .replaceAll('deadlineMinutes: 10080', 'deadlineMinutes: 1');
    const hopeless = JSON.parse((await stdin(short, 'cycle', 'plan', '-', '--json')).stdout);
    const never = hopeless.cannot.reduce((sum: number, one: { endpoints: number }) => sum + one.endpoints, 0);
    // Unless a window is open at this very minute somewhere, all of them.
    expect(
      never + hopeless.stragglers.reduce((sum: number, one: { endpoints: number }) => sum + one.endpoints, 0),
    ).toBeGreaterThanOrEqual(5);
    expect(await count()).toBe(before);
  });

  test('a specification that is wrong is told by line, before and after it reached the server', async () => {
    const wrong = (await spec()).replace('maxInFlight: 10', 'maxInFlight: 0');
    const local = await stdin(wrong, 'cycle', 'start', '-');
    expect(local).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/standard input:\d+:5: rings\[1\]\.maxInFlight: /),
    });
    const unknown = await stdin(
      (await spec()).replace('scope: {all: true}', 'scope: {groups: [gone]}'),
      'cycle',
      'start',
      '-',
    );
    expect(unknown).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/standard input:6:\d+: scope\.groups\[0\]: no such group: gone/),
    });
  });

  test('start, list, show, pause, stop-all; a watcher that is stopped stops nothing', async () => {
    const started = JSON.parse(
      (await stdin(await spec(), 'cycle', 'start', '-', '--plan-first', '--yes', '--json')).stdout.split('\n')[1] ?? '',
    );
    expect(started).toMatchObject({ name: 'Monthly patches', stage: 'requested' });
    expect(await json('cycle', 'list', '--open')).toMatchObject({ items: [{ id: started.id }], more: false });
    expect((await cli('cycle', 'show', 'Monthly patches')).stdout).toMatch(/^id +[0-9a-f-]{36}$/m);
    expect(await json('cycle', 'pause', started.id.slice(0, 8), '--reason', 'test')).toMatchObject({
      changeId: started.id,
      outstanding: 0,
    });
    const early = await cli('cycle', 'replan', started.id, '--reason', 'an exception was made');
    expect([early.code, early.stderr]).toEqual([6, expect.stringContaining('the change has no plan yet')]);
    expect((await cli('cycle', 'stop-all', '--reason', 'test', '--yes')).stdout).toContain('Paused 1 change.');

    const late = await cli('cycle', 'watch', started.id, '--timeout', '1s', '--json');
    expect(late.code).toBe(7);
    const events = late.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(events[0]).toMatchObject({ type: 'progress', halted: true });
    expect(events.at(-1)).toMatchObject({ type: 'end', code: 7 });
    const signal = { name: 'SIGINT', on: /halted/ } as const;
    const stopped = await runCli(['cycle', 'watch', started.id], { url: api.url, token: ADMIN_TOKEN, signal });
    expect(stopped).toMatchObject({
      code: 130,
      stdout: expect.stringContaining('stopped watching; the cycle goes on'),
    });
    expect((await api.call('GET', `/v1/changes/${started.id}`)).body.closedAt).toBeNull();

    for (const [outcome, code] of [
      ['completed', 0],
      ['completedWithFailures', 1],
      ['aborted', 1],
    ] as const) {
      await db.pool.query(`UPDATE change SET outcome = $2, stage = 'closed', closed_at = now() WHERE id = $1`, [
        started.id,
        outcome,
      ]);
      expect(await cli('cycle', 'watch', started.id)).toMatchObject({
        code,
        stdout: expect.stringContaining(`Ended: ${outcome}.`),
      });
    }
    expect((await cli('cycle', 'pause', started.id)).code).toBe(6);
  });

  test('the audit log tells who did it', async () => {
    const { items } = await json('audit', 'list', '--action', 'group.put');
    expect(items.length).toBeGreaterThan(0);
    expect((await cli('audit', 'list', '--limit', '1')).stderr).toContain('--limit 0 shows all');
  });

  test('approvals: none open, and a decision without a code is not even sent', async () => {
    expect(await json('approve', 'list', '--all')).toEqual({ items: [], more: false });
    const decided = await cli('approve', 'accept', NOW.toString(), '--digest', 'x');
    expect(decided).toMatchObject({ code: 2, stderr: expect.stringContaining('one-time code') });
  });
});

describe('completion', () => {
  const script = () => spawnSync(process.execPath, [cliMain(), 'completion', 'bash'], { encoding: 'utf8' }).stdout;
  const complete = (...words: string[]): string[] => {
    const list = words.map((word) => `'${word}'`).join(' ');
    const ask = `COMP_WORDS=(ringmaster ${list}); COMP_CWORD=${words.length}; _ringmaster; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = spawnSync('bash', ['--norc', '-c', `${script()}\n${ask}`], { encoding: 'utf8' });
    return stdout.trim().split('\n');
  };

  test('bash takes the script', () => {
    const { stdout, status } = spawnSync('bash', ['--norc', '-c', `${script()}\ncomplete -p ringmaster`], {
      encoding: 'utf8',
    });
    expect({ stdout, status }).toEqual({ stdout: 'complete -o filenames -F _ringmaster ringmaster\n', status: 0 });
  });
  test.each<[string[], string[]]>([
    [['cyc'], ['cycle']],
    [
      ['cycle', 'st'],
      ['start', 'stop-all'],
    ],
    [['cycle', 'start', '--pl'], ['--plan-first']],
    [['cycle', '--json', 'pa'], ['pause']],
    [
      ['completion', ''],
      ['bash', 'zsh', 'fish'],
    ],
    [['endpoints', 'list', '--sta'], ['--state']],
  ])('%j gives %j', (words, wanted) => {
    expect(complete(...words)).toEqual(wanted);
  });
});
