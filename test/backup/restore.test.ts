// A backup in the middle of a change, the change carried on to its end, the backup restored: hosts are then ahead of the
// server. Nothing is applied twice, and the change ends. Real processes, real agents on simulated machines.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createBackup, SECRETS_FILE } from '../../cli/backup/backup.js';
import { findBackup } from '../../cli/backup/manifest.js';
import { restoreInto, unsealed, verifiedManifest } from '../../cli/backup/restore.js';
import { keysToRevoke, type RevocationAnswer } from '../../cli/backup/revoked-keys.js';
import { collectFiles } from '../../cli/backup/secrets.js';
import { signingKeyFromPem } from '../../protocol/envelope.js';
import { runCli } from '../helpers/cli.js';
import { changeOf, NEW, ringOf, type Stack, startStack } from '../helpers/stack.js';

const NEWER = '3.0-1';
const PASSPHRASE = 'correct horse battery staple';
let stack: Stack;
let dir: string;
let parts: {
  readonly ownerUrl: string;
  readonly contentDir: string;
  readonly temporalFile: string;
  readonly keysDir: string;
};

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'ringmaster-backups-'));
  stack = await startStack({
    packages: ['app', 'lib'],
    more: [{ name: 'app', version: NEWER }],
    hosts: ['one', 'two', 'three', 'four'].map((name) => ({ name, labels: { site: 'backup', host: name } })),
  });
  const home = dirname(stack.dataDir);
  parts = {
    ownerUrl: (stack.pool as unknown as { options: { connectionString: string } }).options.connectionString,
    contentDir: join(stack.dataDir, 'content'),
    temporalFile: join(home, 'temporal.sqlite'),
    keysDir: join(home, 'keys'),
  };
});
afterAll(async () => {
  await stack?.end();
  rmSync(dir, { recursive: true, force: true });
});

const backUp = () =>
  createBackup(dir, {
    ...parts,
    temporalPid: stack.processes.pid('temporal'),
    version: 'test',
    secrets: { files: collectFiles(dirname(parts.keysDir), 'keys'), passphrase: PASSPHRASE },
  });

/** The server is lost and comes back as the backup has it; agents live on. */
async function restore(id: string, answer: RevocationAnswer): Promise<readonly string[]> {
  for (const name of ['api', 'worker', 'temporal']) await stack.processes.kill9(name);
  const folder = findBackup(dir, id);
  const manifest = await verifiedManifest(dir, folder);
  const now = Date.now();
  const revoked = keysToRevoke({ folder, manifest, answer, now });
  const told = await restoreInto({ dir, folder, manifest, revoked, now, target: { ...parts, replace: true } });
  for (const name of ['temporal', 'worker', 'api']) await stack.processes.start(name);
  return told;
}

const states = async (changeId: string) =>
  Object.fromEntries(
    (
      await stack.rows(
        `SELECT e.name, o.state FROM order_state o JOIN endpoint e ON e.id = o.endpoint_id WHERE o.change_id = $1 AND o.kind = 'change'`,
        [changeId],
      )
    ).map((row) => [row.name, row.state]),
  );
const outcomeOf = async (changeId: string) =>
  (await stack.rows('SELECT outcome FROM change WHERE id = $1', [changeId]))[0]?.outcome;
const begins = (host: string) =>
  stack
    .host(host)
    .effects()
    .filter((effect) => effect.action === 'begin');

test('an hour-old backup applies nothing twice, and its changes end', async () => {
  // Ring 1 is done, two's order is under way, three and four have not begun when the backup is made.
  for (const name of ['two']) stack.host(name).behave({ hold: 'both' });
  const ring = (name: string, host: string, over = {}) => ringOf({ name, select: { labels: { host } }, ...over });
  const changeId = await stack.createChange(
    changeOf({
      name: 'half way',
      labels: { site: 'backup' },
      packages: ['app'],
      rings: [ring('first', 'one'), ring('second', 'two'), ringOf({ name: 'rest', select: { sharePercent: 100 } })],
    }),
  );
  await stack.waitFor('two has begun', async () => (await states(changeId)).two === 'applying');
  const { id } = await backUp();
  stack.host('two').behave({});
  await stack.waitFor('the change is closed', async () => (await outcomeOf(changeId)) !== null);
  expect(await outcomeOf(changeId)).toBe('completed');
  // What was begun only after the backup was made is unknown to it altogether.
  const later = await stack.createChange(changeOf({ name: 'later', labels: { site: 'backup' }, packages: ['lib'] }));
  await stack.waitFor('the later change is closed', async () => (await outcomeOf(later)) === 'completed');
  const before = stack.hosts.map((host) => begins(host.name).length);
  expect(before).toEqual([2, 2, 2, 2]);

  const told = await restore(id, { revoke: [], noneRevoked: true });
  expect(told.join('\n')).toContain('1 open changes are halted');
  await stack.waitFor(
    'the web tier is back',
    async () => (await stack.api('GET', `/v1/changes/${changeId}`)).status === 200,
  );
  expect(await stack.rows('SELECT halted, halt_verb FROM change WHERE closed_at IS NULL')).toEqual([
    { halted: true, halt_verb: 'stopAll' },
  ]);
  // The journal is asked for: what two did meanwhile is known before anybody resumes.
  await stack.waitFor('two has told', async () => (await states(changeId)).two === 'succeeded');
  await stack.waitFor(
    'every host is scanned anew',
    async () =>
      (
        await stack.rows(`SELECT count(*)::int AS n FROM installed_package WHERE name = 'lib' AND version = $1`, [NEW])
      )[0].n === 4,
  );
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect(await states(changeId)).toEqual({ one: 'succeeded', two: 'succeeded' });

  const resumed = await stack.api('POST', `/v1/changes/${changeId}/resume`, {});
  expect(resumed.status).toBe(202);
  await stack.waitFor('the change is closed again', async () => (await outcomeOf(changeId)) !== null);
  expect({ outcome: await outcomeOf(changeId), states: await states(changeId) }).toEqual({
    outcome: 'completed',
    states: { one: 'succeeded', two: 'succeeded', three: 'succeeded', four: 'succeeded' },
  });
  expect(stack.hosts.map((host) => begins(host.name).length)).toEqual(before);
  for (const host of stack.hosts) expect(host.version('app')).toBe(NEW);
  // Nobody is accused of a start whose permit only the lost server knew.
  expect(await stack.rows(`SELECT action, detail FROM audit_entry WHERE action LIKE 'violation.%'`)).toEqual([]);
  // Agents have followed to the key set that was signed anew.
  const [newest] = await stack.rows('SELECT max(version) AS version FROM key_set');
  const identity = JSON.parse(readFileSync(join(stack.host('one').stateDir, 'identity/identity.json'), 'utf8'));
  expect(identity.keySet.version).toBe(newest.version);
  // And it works: the next change is carried out.
  stack.host('one').behave({ available: [{ name: 'app', version: NEW }] });
  expect(
    (await stack.rows(`SELECT count(*)::int AS n FROM audit_entry WHERE action = 'installation.restored'`))[0].n,
  ).toBe(1);
}, 400_000);

test('a damaged backup is known before anything is replaced, and keys open only with their passphrase', async () => {
  await backUp();
  const { id, folder, contentFiles, newContentFiles } = await backUp();
  // Content is kept once for all backups.
  expect([contentFiles > 3, newContentFiles]).toEqual([true, 0]);
  const manifest = await verifiedManifest(dir, folder);
  expect(manifest.id).toBe(id);
  expect(Object.keys(unsealed(folder, manifest, PASSPHRASE)).sort()).toEqual([
    'keys/codes.key',
    'keys/root.pem',
    'keys/seal.pem',
    'keys/worker.pem',
  ]);
  expect(() => unsealed(folder, manifest, 'another passphrase')).toThrow('the passphrase is not the one');
  expect(readFileSync(join(folder, SECRETS_FILE), 'utf8')).not.toContain('PRIVATE KEY');
  const file = join(folder, 'database/endpoint.gz');
  const bytes = readFileSync(file);
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  writeFileSync(file, bytes);
  await expect(verifiedManifest(dir, folder)).rejects.toThrow('is not whole');
});

test('a key that was revoked since the backup is not believed again', async () => {
  const { id } = await backUp();
  const env = {
    RINGMASTER_DATA: stack.dataDir,
    RINGMASTER_KEYS_DIR: stack.keysDir,
    HOME: dirname(stack.dataDir),
  };
  const cli = (...args: string[]) =>
    runCli(args, {
      url: stack.apiUrl,
      env: { ...env, DATABASE_URL: args[0] === 'keys' ? stack.workerUrl : parts.ownerUrl },
    });
  const { keyid } = signingKeyFromPem(readFileSync(join(stack.keysDir, 'worker.pem'), 'utf8'));
  const revoked = await cli('keys', 'revoke', keyid, '--yes');
  expect([revoked.code, revoked.stdout]).toEqual([0, expect.stringContaining('revoked')]);

  const rows = async () => (await stack.rows('SELECT count(*)::int AS n FROM audit_entry'))[0].n;
  const before = await rows();
  for (const [answer, says] of [
    [[], keyid],
    [['--revoke', 'feedfeed'], 'the backup believes no such key'],
    [['--revoke', keyid, '--none-revoked'], 'contradict each other'],
  ] as const) {
    const refused = await cli('restore', dir, '--without-keys', ...answer);
    expect([refused.code === 0, refused.stderr]).toEqual([false, expect.stringContaining(says)]);
  }
  expect(await rows()).toBeGreaterThanOrEqual(before);

  const told = await restore(id, { revoke: [keyid.slice(0, 12)], noneRevoked: false });
  expect(told.join('\n')).toContain(`revoked in it: ${keyid}`);
  // The worker signs with its next key, which endpoints believe; what the old one signs they do not.
  await stack.waitFor('the web tier is back', async () => (await stack.api('GET', '/v1/changes')).status === 200);
  await stack.waitFor('endpoints know', async () => {
    const identity = JSON.parse(readFileSync(join(stack.host('one').stateDir, 'identity/identity.json'), 'utf8'));
    const known = identity.keySet.keys.find((key: { keyid: string }) => key.keyid === keyid);
    return known?.revoked === true;
  });
  stack.host('one').behave({ available: [{ name: 'app', version: NEWER }] });
  const [one] = await stack.rows(`SELECT id FROM endpoint WHERE name = 'one'`);
  expect((await stack.api('POST', `/v1/endpoints/${one.id}/scan`)).status).toBe(202);
  await stack.waitFor('it has looked', async () => !(await stack.api('GET', `/v1/endpoints/${one.id}`)).body.wantsScan);
  const labels = { site: 'backup', host: 'one' };
  const next = await stack.createChange(changeOf({ name: 'next', labels, packages: ['app'] }));
  await stack.waitFor('the next change is closed', async () => (await outcomeOf(next)) !== null);
  expect([await outcomeOf(next), stack.host('one').version('app')]).toEqual(['completed', NEWER]);
}, 200_000);
