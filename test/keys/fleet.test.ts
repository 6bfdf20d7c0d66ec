/** Keys that change under a fleet at work: real agents, the real worker, the command line. */

import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { signingKeyFromPem } from '../../protocol/envelope.js';
import { runCli } from '../helpers/cli.js';
import { expectPromisesKept } from '../helpers/stack/invariants.js';
import { lookAt } from '../helpers/stack/look.js';
import { changeOf, NEW, OLD, ringOf, type Stack, startStack } from '../helpers/stack.js';

let stack: Stack;
let see: ReturnType<typeof lookAt>;
beforeAll(async () => {
  stack = await startStack({
    packages: ['app', 'fix'],
    hosts: [
      ...['1', '2', '3', '4'].map((n) => ({ name: `work-${n}`, labels: { team: 'work' } })),
      { name: 'cut-off', labels: { team: 'cut' }, proxied: true },
    ],
  });
  see = lookAt(stack);
}, 120_000);
afterAll(() => stack?.end(), 60_000);

const keys = async (...args: string[]) => {
  const env = {
    RINGMASTER_DATA: stack.dataDir,
    DATABASE_URL: stack.workerUrl,
    RINGMASTER_KEYS_DIR: stack.keysDir,
    HOME: dirname(stack.dataDir),
  };
  const { code, stdout, stderr } = await runCli(['keys', ...args, '--json'], { url: stack.apiUrl, env });
  if (code !== 0) throw new Error(`keys ${args.join(' ')}: ${stderr}`);
  return JSON.parse(stdout);
};
const signingKey = () => signingKeyFromPem(readFileSync(`${stack.keysDir}/worker.pem`, 'utf8'));
const statusOf = (name: string) => JSON.parse(readFileSync(`${stack.host(name).stateDir}/status.json`, 'utf8'));
const signedBy = async (changeId: string) => {
  const rows = await stack.rows<{ keyid: string }>(
    `SELECT DISTINCT v.envelope->'signatures'->0->>'keyid' AS keyid
       FROM order_envelope v JOIN order_state o ON o.id = v.order_id WHERE o.change_id = $1 AND o.kind = 'change'`,
    [changeId],
  );
  return rows.map((row) => row.keyid);
};

test('a rotation during work loses nothing', async () => {
  const before = signingKey().keyid;
  const team = [1, 2, 3, 4].map((n) => stack.host(`work-${n}`));
  for (const host of team) host.behave({ hold: 'forward' });
  const id = await stack.createChange(
    changeOf({ name: 'rotate', labels: { team: 'work' }, packages: ['app'], rings: [ringOf({ maxInFlight: 2 })] }),
  );
  await stack.waitFor('one at work', async () => (await see.count(id, ['apply'])) > 0);
  const { version } = await keys('rotate', '--yes');
  expect(version).toBe(2);
  const after = signingKey().keyid;
  const rotatedAt = Date.now();
  await stack.waitFor('the worker has taken it up', async () => {
    const [told] = await stack.rows(`SELECT value FROM setting WHERE key = 'workerHeartbeat'`);
    return told.value.duties.find((d: { name: string }) => d.name === 'keys')?.lastRunAt > rotatedAt;
  });
  for (const host of team) host.behave({});
  await see.closed(id);
  expect((await see.orders(id)).map((row) => row.state)).toEqual(Array(4).fill('succeeded'));
  for (const host of team) expect(host.version('app')).toBe(NEW);
  expect(new Set(await signedBy(id))).toEqual(new Set([before, after]));
}, 90_000);

test('an order signed by a revoked key is refused by its agent, and signed anew by the worker', async () => {
  const host = stack.host('cut-off');
  stack.proxy('cut-off').rule(() => 'refuse');
  const id = await stack.createChange(changeOf({ name: 'revoke', labels: { team: 'cut' }, packages: ['app'] }));
  await stack.waitFor('let out', async () => (await signedBy(id)).length > 0);
  const stolen = signingKey().keyid;
  expect(await signedBy(id)).toEqual([stolen]);
  // With the worker gone nobody signs anew: the endpoint gets exactly what the revoked key signed.
  await stack.processes.kill9('worker');
  await keys('revoke', stolen.slice(0, 12), '--yes');
  stack.proxy('cut-off').rule(() => 'pass');
  await stack.waitFor('refused', () => statusOf('cut-off').untrusted.includes('order: no signature by a trusted key'));
  expect(host.effects()).toEqual([]);
  expect(host.journal().filter((record) => record.type === 'order' && record.kind === 'change')).toEqual([]);

  await stack.processes.start('worker');
  await see.closed(id);
  expect((await see.orders(id)).map((row) => row.state)).toEqual(['succeeded']);
  expect(host.version('app')).toBe(NEW);
  expect(host.version('fix')).toBe(OLD);
  expect(await signedBy(id)).toEqual([signingKey().keyid]);
}, 120_000);

test('every promise is kept', () => expectPromisesKept(stack));
