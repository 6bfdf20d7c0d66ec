/** Rules whose fix installs or removes a package, as rows: what is on offer when a plan is frozen, what approvers read, and checklists of earlier releases. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { remediationKind } from '../../activities/kinds/remediation/index.js';
import { readEvidence } from '../../db/approvals/evidence.js';
import { keepPackageLists, loadBrings } from '../../db/baseline/brings.js';
import { loadOffers } from '../../db/baseline/offers.js';
import { loadFixes } from '../../db/baseline/pending-content.js';
import * as stageDb from '../../db/stages.js';
import { APPROVED_PACKAGES, FROZEN_PACKAGES, PACKAGE_FIXES } from '../../domain/baseline/rule-name.js';
import { updateSet } from '../../domain/content/index.js';
import { seedAccount } from '../helpers/seed-change.js';
import { BaselineRig } from './rig.js';

jest.setTimeout(60_000);

let rig: BaselineRig;
beforeAll(async () => {
  rig = await BaselineRig.start([
    { name: 'aide', fix: 'DEBIAN_FRONTEND=noninteractive apt-get install -y "aide"\n' },
    { name: 'plain', fix: "echo 'plain yes'\n" },
    { name: 'mixed', fix: 'apt-get install -y aide\naideinit\n' },
  ]);
});
afterAll(() => rig?.stop());

const rulesOf = (checklist: string) =>
  rig.tickets.rows(
    `SELECT r.name, r.no_fix_reason AS reason, r.package_fix AS moves, f.body IS NOT NULL AS fix FROM checklist c
       JOIN checklist_rule r ON r.checklist_id = c.id LEFT JOIN baseline_fix f ON f.sha256 = r.fix_sha256 WHERE c.name = $1 ORDER BY r.position`,
    [checklist],
  );

it('a checklist that an earlier release made is read anew: what its fixes do, and nothing else of it', async () => {
  const checklist = await rig.assign('old');
  const now = await rulesOf(checklist);
  expect(now).toEqual([
    { name: 'aide', reason: null, moves: { action: 'install', name: 'aide' }, fix: true },
    { name: 'plain', reason: null, moves: null, fix: true },
    {
      name: 'mixed',
      reason: expect.stringMatching(/^its fix moves packages among other things/),
      moves: null,
      fix: false,
    },
  ]);
  // As before migration 0044: no such column, and so no package fix; its rule was declined and its script not kept.
  await rig.tickets.rows(
    `UPDATE checklist_rule SET fix_sha256 = NULL, package_fix = NULL,
            no_fix_reason = 'its fix installs or removes packages, which no snapshot takes back: use a patch cycle' WHERE name IN ('aide', 'mixed')`,
  );
  await rig.tickets.rows(`DELETE FROM baseline_fix WHERE body LIKE '%aide%'`);
  await rig.tickets.rows('UPDATE checklist SET fixes_read = 0');
  const whole = () => rig.tickets.rows('SELECT id, name, digest, profile, tailoring, created_at FROM checklist');
  const before = await whole();
  await rig.duty('baseline-fixes');
  expect([await rulesOf(checklist), await whole()]).toEqual([now, before]);
  const [{ left }] = await rig.tickets.rows('SELECT count(*)::int AS left FROM checklist WHERE fixes_read = 0');
  expect(left).toBe(0);
});

const SYSTEM = { codename: 'bookworm', arch: 'amd64' };
/** A repository of its own, to which packages are put as an index would name them; whoever does not say what they need is of an earlier release. */
async function repository(): Promise<(name: string, version: string, over?: object) => Promise<unknown>> {
  await rig.tickets.rows('DELETE FROM catalogue_package');
  const [{ id }] = await rig.tickets.rows(
    `INSERT INTO repository (id, name, kind, config) VALUES (gen_random_uuid(), gen_random_uuid()::text, 'apt', '{}') RETURNING id`,
  );
  return (name, version, over = {}) =>
    rig.tickets.rows(
      `INSERT INTO catalogue_package (repository_id, name, arch, version, suite, source, source_version, sha256, size, filename, detail, withdrawn_at, depends, provides, provided)
       SELECT $1, $2, coalesce(o.arch, 'amd64'), $3, coalesce(o.suite, 'bookworm'), $2, $3, repeat(coalesce(o.digest, 'a'), 64), 1, $2 || $3,
              jsonb_build_object('pocket', coalesce(o.pocket, 'release')), CASE WHEN o.gone THEN now() END, o.depends, o.provides, coalesce(o.provided, '{}')
         FROM jsonb_to_record($4) AS o (arch text, suite text, digest text, pocket text, gone boolean, depends text, provides text, provided text[])`,
      [id, name, version, JSON.stringify(over)],
    );
}
const wanted = (...names: readonly string[]) => names.map((name) => ({ ...SYSTEM, name }));

it('what a package would come in is the newest that the release’s own repositories name, when that is one file', async () => {
  const put = await repository();
  await put('aide', '0.9-1');
  await put('aide', '0.18-1+deb12u1', { suite: 'bookworm-security', digest: 'b', pocket: 'security' });
  await put('aide', '0.19-1~bpo12+1', { suite: 'bookworm-backports', pocket: 'backports' });
  await put('aide', '0.19-1', { suite: 'trixie' });
  await put('aide', '0.20-1', { gone: true });
  await put('aide', '0.21-1', { arch: 'arm64' });
  await put('tree', '1', { arch: 'all', digest: 'c' });
  await put('two', '1');
  await put('two', '1', { suite: 'bookworm-updates', digest: 'd' });
  expect(await loadOffers(rig.tickets.workerPool, wanted('aide', 'tree', 'two', 'nobody'))).toEqual(
    new Map([
      ['bookworm amd64 aide', { name: 'aide', version: '0.18-1+deb12u1', arch: 'amd64', sha256: 'b'.repeat(64) }],
      ['bookworm amd64 tree', { name: 'tree', version: '1', arch: 'all', sha256: 'c'.repeat(64) }],
    ]),
  );
});

it('what it may bring is all that its needs lead to, in the same repositories; not known where an index was read by an earlier release', async () => {
  const put = await repository();
  await put('aide', '1', { digest: '1', depends: 'libaio (>= 2), mta, common' });
  await put('libaio', '1', { digest: '2', depends: 'never' });
  await put('libaio', '2', { digest: '3', depends: 'libc', suite: 'bookworm-security', pocket: 'security' });
  await put('libaio', '3', { digest: '4', depends: '', suite: 'bookworm-backports', pocket: 'backports' });
  await put('exim', '1', { digest: '5', depends: 'libc', provides: 'mta, smtp (= 1)', provided: ['mta', 'smtp'] });
  await put('postfix', '1', { digest: '6', depends: '', provides: 'mta', provided: ['mta'], gone: true });
  await put('common', '1', { digest: '7', depends: 'aide', arch: 'all' });
  await put('libc', '1', { digest: '8', depends: '' });
  await put('tree', '1', { digest: '9', depends: '' });
  const pool = rig.tickets.workerPool;
  const brings = async (...names: readonly string[]) => {
    const found = await loadBrings(pool, wanted(...names), await loadOffers(pool, wanted(...names)));
    return [...found].map(([key, one]) => [key, one.ok ? one.text.split('\n').slice(1, -1) : one.reason]);
  };
  const line = (name: string, version: string, digit: string, arch = 'amd64') =>
    `${name} ${version} ${arch} ${digit.repeat(64)}`;
  expect(await brings('aide', 'tree', 'nobody')).toEqual([
    [
      'bookworm amd64 aide',
      [line('common', '1', '7', 'all'), line('exim', '1', '5'), line('libaio', '2', '3'), line('libc', '1', '8')],
    ],
    ['bookworm amd64 tree', []],
  ]);
  await put('cat', '1', { digest: 'c', depends: 'stale' });
  await put('stale', '1', { digest: 'd' });
  expect(await brings('cat')).toEqual([
    ['bookworm amd64 cat', expect.stringMatching(/^needs packages of an index .* read anew/)],
  ]);
});

it('a list that a plan names is kept for people, by pages, and comes into the content store', async () => {
  const put = await repository();
  await put('aide', '1', { digest: '1', depends: 'a, b' });
  for (const name of ['a', 'b']) await put(name, '1', { digest: name, depends: '' });
  const pool = rig.tickets.workerPool;
  const [brings] = (await loadBrings(pool, wanted('aide'), await loadOffers(pool, wanted('aide')))).values();
  if (brings?.ok !== true) throw new Error(brings?.reason);
  const { sha256, size } = brings.list;
  await keepPackageLists(pool, [brings, brings], rig.tickets.clock());
  expect([...(await loadFixes(pool, [sha256]))]).toEqual([[sha256, Buffer.from(brings.text)]]);
  await rig.duty('baseline-content');
  expect(await rig.tickets.rows('SELECT size::int FROM content WHERE sha256 = $1', [sha256])).toEqual([{ size }]);
  const get = (path: string) => rig.tickets.api.call('GET', `/v1/package-lists/${path}`);
  const file = (name: string) => ({ name, version: '1', arch: 'amd64', sha256: name.repeat(64) });
  const first = await get(`${sha256}?limit=1`);
  expect(first).toMatchObject({ status: 200, body: { items: [file('a')], next: expect.any(String) } });
  expect((await get(`${sha256}?limit=1&cursor=${first.body.next}`)).body).toEqual({ items: [file('b')], next: null });
  expect((await get('f'.repeat(64))).status).toBe(404);
  expect((await get(`${sha256}?cursor=${Buffer.from('[-1]').toString('base64url')}`)).status).toBe(400);
});

it('a plan names the list of what its rule may bring; where the agent is too old to heed it, the rule is left out', async () => {
  const put = await repository();
  await put('aide', '1', { digest: '1', depends: 'a' });
  await put('a', '1', { digest: 'a', depends: '' });
  const [endpoint, checklist] = [await rig.endpoint(), await rig.assign('listed', { mode: 'propose' })];
  await rig.measure(endpoint, { aide: 'fail', plain: 'pass', mixed: 'pass' });
  await rig.tickets.rows(`UPDATE endpoint SET facts = '{"codename": "bookworm"}' WHERE id = $1`, [endpoint]);
  await rig.tickets.rows(
    `INSERT INTO installed_package (endpoint_id, name, arch, version, source, source_version, scan_id)
     VALUES ($1, 'dpkg', 'amd64', '1', 'dpkg', '1', gen_random_uuid())`,
    [endpoint],
  );
  const parameters = remediationKind.parse({ assignments: ['listed'] });
  if (!parameters.ok) throw new Error(JSON.stringify(parameters.problems));
  const planFor = async (...providers: readonly string[]) => {
    await rig.tickets.rows(`UPDATE endpoint SET agent = $2 WHERE id = $1`, [endpoint, JSON.stringify({ providers })]);
    const plan = await remediationKind.plan(
      {
        db: stageDb,
        client: rig.tickets.workerPool,
        changeId: randomUUID(),
        parameters: parameters.value,
        now: rig.tickets.clock(),
        once: (_, read) => read(),
      },
      [endpoint],
    );
    return { ...plan, work: plan.works[0] };
  };
  const heeding = ['apt', 'openscap', PACKAGE_FIXES, APPROVED_PACKAGES];
  const { work, lists } = await planFor(...heeding, FROZEN_PACKAGES);
  expect(lists?.map(({ text }) => text.split('\n')[1])).toEqual([`a 1 amd64 ${'a'.repeat(64)}`]);
  expect(work?.set.updates).toMatchObject([
    { name: 'aide', source: checklist, installs: { name: 'aide', version: '1', brings: lists?.[0]?.list } },
  ]);
  const old = await planFor(...heeding);
  expect([old.lists, old.work?.set.updates, old.work?.triage.map(({ reason }) => reason)]).toEqual([
    [],
    [],
    ['its fix installs aide, and the agent there is too old to keep to the packages that may come with it'],
  ]);
});

it('approvers read which version of which package a rule would install', async () => {
  const { id: requestedBy } = await seedAccount(rig.tickets.db.pool, { name: 'Requester' });
  const [endpoint, checklist] = [await rig.endpoint(), await rig.assign('shown')];
  const changeId = await rig.remediation({ endpoints: [endpoint], checklist, rules: ['aide', 'plain'], requestedBy });
  const brings = { sha256: 'c'.repeat(64), size: 400, packages: 12 };
  const installs = { name: 'aide', version: '0.18-1', arch: 'amd64', sha256: 'b'.repeat(64), brings };
  const file = { arch: 'all', from: '0-fail', to: '1-pass', source: checklist, sha256: 'a'.repeat(64), size: 1 };
  const made = updateSet([
    { ...file, name: 'aide', installs },
    { ...file, name: 'plain' },
  ]);
  if (!made.ok) throw new Error(made.reason);
  await rig.tickets.rows(
    `WITH us AS (INSERT INTO update_set (digest, items, previous) VALUES ($2, $3, '[]') RETURNING digest)
     UPDATE plan_endpoint SET update_set_digest = us.digest FROM us WHERE change_id = $1`,
    [changeId, made.set.digest, JSON.stringify(made.set.updates)],
  );
  const { updates } = await readEvidence(rig.tickets.workerPool, { changeId, ring: 0 });
  expect(updates.map(({ packages, lists }) => [packages, lists])).toEqual([
    [['aide (installs aide 0.18-1 and at most 12 packages that it needs)', 'plain'], [brings.sha256]],
  ]);
});
