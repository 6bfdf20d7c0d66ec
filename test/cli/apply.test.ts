/** `ringmaster apply` against the real web tier: what it makes, what it leaves alone, and what it must not overwrite. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { readResources } from '../../cli/apply/documents.js';
import { planResources } from '../../cli/apply/plan.js';
import { createClient } from '../../cli/client/http-client.js';
import { ADMIN_TOKEN, startApi, type TestApi } from '../helpers/api-server.js';
import { runCli } from '../helpers/cli.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';

let db: TestDatabase;
let api: TestApi;
let work: string;
let file: string;
beforeAll(async () => {
  db = await createDatabase();
  api = await startApi({ apiUrl: db.apiUrl, pool: db.pool });
  work = mkdtempSync(join(tmpdir(), 'ringmaster-apply-'));
  file = join(work, 'fleet.yaml');
}, 60_000);
afterAll(async () => {
  await api?.close();
  await db?.drop();
  rmSync(work, { recursive: true, force: true });
});
beforeEach(() => writeFileSync(file, documents()));

const documents = (tier = 'web'): string => `
kind: QuorumGroup
name: cluster
spec: { selector: { groups: [web] }, maxUnavailable: 1 }
---
kind: Group
name: web
spec: { selector: { labels: { tier: ${tier} } } }
---
kind: FreezeCalendar
name: year's end
spec:
  icalendar: |
    BEGIN:VCALENDAR
    VERSION:2.0
    PRODID:-//test//EN
    BEGIN:VEVENT
    UID:1
    DTSTAMP:20260101T000000Z
    DTSTART;VALUE=DATE:20261220
    DTEND;VALUE=DATE:20270103
    SUMMARY:Year's end
    END:VEVENT
    END:VCALENDAR
---
kind: Schedule
name: monthly
spec:
  calendar: { rrule: FREQ=MONTHLY;BYDAY=2TU, at: "20:00", zone: Europe/Berlin }
  overlap: skip
  spec:
    kind: patch
    name: monthly
    reason: every month
    scope: { all: true }
    priority: 5
    deadlineMinutes: 10000
    offlineAfterMinutes: 60
    parameters: {}
    rings:
      - name: all
        select: { all: true }
        maxInFlight: 5
        errorBudget: { count: 0 }
        successThresholdPercent: 95
        minSample: 1
        soakMinutes: 5
        approvals: []
        deadlineMinutes: 5000
        haltAction: ask
`;
const cli = (...args: string[]) => runCli(args, { url: api.url, token: ADMIN_TOKEN });
const apply = async (...more: string[]) => {
  const { code, stdout, stderr } = await cli('apply', '-f', file, '--json', ...more);
  return { code, stderr, ...(stdout === '' ? {} : JSON.parse(stdout)) };
};

test('makes what the files say, in an order that works; again it has nothing to do, and what it exports is the same', async () => {
  expect(await apply('--yes')).toMatchObject({ code: 0, applied: 4 });
  expect((await api.call('GET', '/v1/quorum-groups/cluster')).body).toMatchObject({ maxUnavailable: 1 });
  expect(await apply('--yes')).toMatchObject({ code: 0, applied: 0 });
  const { stdout } = await cli('export');
  writeFileSync(file, stdout);
  expect(await apply('--dry-run')).toMatchObject({ code: 0, applied: 0, items: Array(4).fill({ action: 'keep' }) });
});

test('changes what differs, field by field, and nothing else', async () => {
  writeFileSync(file, documents('shop'));
  const dry = await apply('--dry-run');
  expect([dry.code, dry.items.filter((item: { action: string }) => item.action !== 'keep')]).toEqual([
    1,
    [
      {
        kind: 'Group',
        name: 'web',
        action: 'change',
        fields: [{ field: 'selector.labels.tier', before: 'web', after: 'shop' }],
      },
    ],
  ]);
  expect(await apply('--yes')).toMatchObject({ code: 0, applied: 1 });
  expect((await api.call('GET', '/v1/groups/web')).body.selector).toEqual({ labels: { tier: 'shop' } });
});

test('what somebody else changed, or made, after it was shown is refused, not overwritten', async () => {
  const theirs = async (name: string) => {
    const { body } = await api.call('GET', `/v1/groups/${name}`);
    return body.selector.labels;
  };
  const meddle = (name: string) =>
    api.call('PUT', `/v1/groups/${name}`, { body: { selector: { labels: { tier: 'theirs' } } } });
  const connection = { url: new URL(`${api.url}/`), token: ADMIN_TOKEN, timeoutMs: 30_000 };
  for (const [name, tier] of [
    ['web', 'mine'],
    ['new', 'mine'],
  ]) {
    writeFileSync(file, `{ kind: Group, name: ${name}, spec: { selector: { labels: { tier: ${tier} } } } }`);
    const client = createClient(connection);
    const [planned] = await planResources(client, readResources([file]));
    await meddle(name ?? '');
    const put = planned?.wanted.kind.put(client, { ...planned.wanted, before: planned.before });
    await expect(put).rejects.toMatchObject({ status: 412, code: 6 });
    expect(await theirs(name ?? '')).toEqual({ tier: 'theirs' });
  }
});
