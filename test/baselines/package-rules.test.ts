/** Rules whose fix installs or removes a package, as rows: what is on offer when a plan is frozen, what approvers read, and checklists of earlier releases. */
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { readEvidence } from '../../db/approvals/evidence.js';
import { loadOffers } from '../../db/baseline/offers.js';
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

it('what a package would come in is the newest that the release’s own repositories name, when that is one file', async () => {
  const [{ id }] = await rig.tickets.rows(
    `INSERT INTO repository (id, name, kind, config) VALUES (gen_random_uuid(), 'r', 'apt', '{}') RETURNING id`,
  );
  const put = (name: string, version: string, over: object = {}) =>
    rig.tickets.rows(
      `INSERT INTO catalogue_package (repository_id, name, arch, version, suite, source, source_version, sha256, size, filename, detail, withdrawn_at)
       SELECT $1, $2, coalesce(o.arch, 'amd64'), $3, coalesce(o.suite, 'bookworm'), $2, $3, repeat(coalesce(o.digest, 'a'), 64), 1, $2 || $3,
              jsonb_build_object('pocket', coalesce(o.pocket, 'release')), CASE WHEN o.gone THEN now() END
         FROM jsonb_to_record($4) AS o (arch text, suite text, digest text, pocket text, gone boolean)`,
      [id, name, version, JSON.stringify(over)],
    );
  await put('aide', '0.9-1');
  await put('aide', '0.18-1+deb12u1', { suite: 'bookworm-security', digest: 'b', pocket: 'security' });
  await put('aide', '0.19-1~bpo12+1', { suite: 'bookworm-backports', pocket: 'backports' });
  await put('aide', '0.19-1', { suite: 'trixie' });
  await put('aide', '0.20-1', { gone: true });
  await put('aide', '0.21-1', { arch: 'arm64' });
  await put('tree', '1', { arch: 'all', digest: 'c' });
  await put('two', '1');
  await put('two', '1', { suite: 'bookworm-updates', digest: 'd' });
  const system = { codename: 'bookworm', arch: 'amd64' };
  const names = ['aide', 'tree', 'two', 'nobody'];
  expect(
    await loadOffers(
      rig.tickets.workerPool,
      names.map((name) => ({ ...system, name })),
    ),
  ).toEqual(
    new Map([
      ['bookworm amd64 aide', { name: 'aide', version: '0.18-1+deb12u1', arch: 'amd64', sha256: 'b'.repeat(64) }],
      ['bookworm amd64 tree', { name: 'tree', version: '1', arch: 'all', sha256: 'c'.repeat(64) }],
    ]),
  );
});

it('approvers read which version of which package a rule would install', async () => {
  const { id: requestedBy } = await seedAccount(rig.tickets.db.pool, { name: 'Requester' });
  const [endpoint, checklist] = [await rig.endpoint(), await rig.assign('shown')];
  const changeId = await rig.remediation({ endpoints: [endpoint], checklist, rules: ['aide', 'plain'], requestedBy });
  const installs = { name: 'aide', version: '0.18-1', arch: 'amd64', sha256: 'b'.repeat(64) };
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
  expect(updates.map(({ packages }) => packages)).toEqual([['aide (installs aide 0.18-1)', 'plain']]);
});
