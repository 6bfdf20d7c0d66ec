/** A zero-day from the command line, from start to proven fixed, against a real API. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { lookAgain } from '../../db/zero-day/look.js';
import { inventoryOf } from '../helpers/agent-client.js';
import { seedPolicy } from '../helpers/seed-change.js';
import { createFleet } from '../stages/fleet.js';
import { type CliRig, startCliRig } from './rig.js';

const [OLD, FIXED] = ['3.0.9-1', '3.0.11-1'];
const NAME = 'Zero-day openssl';

type Enrolled = Awaited<ReturnType<CliRig['enrol']>>;

let rig: CliRig;
let web: Enrolled;
let store: Enrolled;
let id: string;

const scan = ({ agent }: Enrolled, version: string, candidate: string | null) => {
  const { packages } = inventoryOf();
  return agent.inventory({
    packages: packages.map((one) => (one.name === 'openssl' ? { ...one, version, sourceVersion: version } : one)),
    updates: candidate === null ? [] : [{ name: 'openssl', arch: 'amd64', installed: version, candidate }],
  });
};

beforeAll(async () => {
  rig = await startCliRig();
  const fleet = createFleet(rig.db.pool);
  await fleet.repository();
  await seedPolicy(rig.db.pool, { name: 'open' });
  await rig.db.pool.query(
    `INSERT INTO catalogue_package (repository_id, name, arch, version, suite, source, source_version, sha256, size, filename)
     SELECT $1, 'openssl', 'amd64', v, 'stable', 'openssl', v, encode(sha256(v::bytea), 'hex'), 1000, v FROM unnest($2::text[]) v`,
    [fleet.repositoryId, [OLD, FIXED]],
  );
  [web, store] = [await rig.enrol('web-1'), await rig.enrol('db-1')];
  await scan(web, OLD, FIXED);
  await scan(store, OLD, null);
}, 60_000);
afterAll(() => rig?.end());

const changesOf = async () =>
  (await rig.db.pool.query('SELECT id FROM change WHERE zero_day_id = $1 ORDER BY requested_at', [id])).rows.map(
    (row) => row.id as string,
  );

test.each<[string, number, string[], RegExp]>([
  [
    'a package no index names',
    2,
    ['--package', 'nope'],
    /packages\[0\].*no verified index names a package or source nope/,
  ],
  ['a version nobody has', 2, ['--package', 'openssl', '--min-version', '9'], /the newest is 3\.0\.11-1/],
  ['a CVE nobody knows', 2, ['CVE-2026-4040'], /cves\[0\].*CVE-2026-4040/],
  ['an override without leave', 6, ['--package', 'openssl', '--override', 'hours'], /does not allow overriding hours/],
  ['a due date that has passed', 2, ['--package', 'openssl', '--due', '2026-01-01T00:00:00Z'], /dueAt: is in the past/],
  ['a scope that can’t be read', 2, ['--package', 'openssl', '--scope', 'label.site ='], /scope\.where/],
])('%s is refused, and nothing starts', async (_, code, args, says) => {
  const refused = await rig.cli('zero-day', ...args, '--reason', 'a test', '--yes');
  expect([refused.code, refused.stdout, refused.stderr]).toEqual([code, '', expect.stringMatching(says)]);
  expect((await rig.json('zero-day', 'list')).items).toEqual([]);
});

test('it is started, with who is exposed and who is offered a fix', async () => {
  const args = ['--package', 'openssl', '--min-version', FIXED, '--due', '72h', '--reason', 'exploited'];
  const { code, stdout } = await rig.cli('zero-day', ...args, '--yes');
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /^Zero-day [0-9a-f-]{36}: 2 exposed, 1 of them are offered the fix\. 1 of 2 exposed endpoints/,
  );
  id = /^Zero-day ([0-9a-f-]{36})/.exec(stdout)?.[1] ?? '';
  const [change] = await changesOf();
  expect(stdout).toContain(`Started ${change}. Follow it: ringmaster cycle watch ${change}\n`);
  expect(await rig.json('cycle', 'show', change ?? '')).toMatchObject({
    name: NAME,
    priority: 100,
    stage: 'requested',
  });
});

test('it is listed and shown, by name as well', async () => {
  const { items, more } = await rig.json('zero-day', 'list', '--open');
  expect([items, more]).toEqual([
    [expect.objectContaining({ id, name: NAME, counts: expect.objectContaining({ exposed: 2, fixed: 0 }) })],
    false,
  ]);
  expect((await rig.cli('zero-day', 'list', '--utc')).stdout).toMatch(/^Zero-day openssl +2 +0 +20\d\d-.* 2 d 23 h/m);
  const shown = await rig.json('zero-day', 'show', id.slice(0, 8));
  expect(shown).toMatchObject({ id, standing: { counted: 2, byState: { noFix: 1 } }, exposure: { more: false } });
  expect(shown.exposure.items.map((one: { name: string }) => one.name)).toEqual(['db-1', 'web-1']);
  const { stdout } = await rig.cli('zero-day', 'show', NAME);
  expect(stdout).toMatch(/^exposed {2}2$/m);
  expect(stdout).toMatch(/^next +let them scan again, and see to their repositories \(1\)$/m);
  expect(stdout).toMatch(/^db-1 +noFix +its own package index does not offer the fix yet/m);
  const first = await rig.json('zero-day', 'show', NAME, '--limit', '1');
  expect([first.exposure.items.length, first.exposure.more]).toEqual([1, true]);
});

test('it is started again once its change has ended, and not before it is prepared', async () => {
  const [change] = await changesOf();
  const again = () => rig.cli('zero-day', 'again', NAME, '--reason', 'still there', '--yes');
  const early = await again();
  expect([early.code, early.stderr]).toEqual([
    6,
    expect.stringContaining(`change ${change} of it is still being prepared`),
  ]);
  await rig.db.pool.query(`UPDATE change SET closed_at = now(), stage = 'closed', outcome = 'aborted' WHERE id = $1`, [
    change,
  ]);
  const later = await again();
  expect(later.code).toBe(0);
  const [, second] = await changesOf();
  expect(later.stdout).toContain(`Started ${second}.`);
});

test('it is over for who is proven fixed, and for all in the end', async () => {
  const look = () => lookAgain(rig.db.pool, { id, now: Date.now() });
  await scan(web, FIXED, null);
  expect(await look()).toBe(1);
  const shown = await rig.cli('zero-day', 'show', NAME);
  expect(shown.stdout).toMatch(/^exposed {2}1$/m);
  expect(shown.stdout).toMatch(/^fixed {4}1, after \d+ s on average$/m);
  await scan(store, FIXED, null);
  expect(await look()).toBe(0);
  expect((await rig.cli('zero-day', 'show', NAME)).stdout).toContain('Nobody is exposed.\n');
  expect((await rig.json('zero-day', 'list', '--open')).items).toEqual([]);
  expect((await rig.cli('zero-day', 'list')).stdout).toMatch(/^Zero-day openssl +0 +2 .* over /m);
});

test('nobody is asked twice by a script that can’t answer: without --yes nothing starts', async () => {
  const before = await changesOf();
  const { code, stderr } = await rig.cli('zero-day', '--package', 'openssl', '--reason', 'a test');
  expect([code, stderr]).toEqual([6, expect.stringContaining('--yes')]);
  expect(await changesOf()).toEqual(before);
});
