// Agents that update themselves in rings: real agents under their launcher, the real web tier, worker and database. The new
// agent stays when it reaches the server; one that can't is gone again by itself, and its ring says so.
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { build } from 'esbuild';
import { publishAgentRelease } from '../../db/agents/releases.js';
import { changeOf, ringOf, type Stack, startStack } from '../helpers/stack.js';

let stack: Stack;
let dir: string;
const HOSTS = ['one', 'two', 'old-way'];

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'ringmaster-self-'));
  stack = await startStack({
    packages: ['app'],
    hosts: HOSTS.map((name) => ({ name, labels: { site: 'self', host: name }, launched: name !== 'old-way' })),
  });
});
afterAll(async () => {
  await stack?.end();
  rmSync(dir, { recursive: true, force: true });
});

/** The agent of these sources under another version; `spoil` changes what was built. */
async function release(version: string, spoil = (text: string) => text): Promise<void> {
  const outfile = join(dir, `${version}.mjs`);
  await build({
    entryPoints: ['agent/main.ts'],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    minify: true,
    define: { RINGMASTER_AGENT_VERSION: JSON.stringify(version) },
    banner: { js: "import { createRequire as __cr } from 'node:module'; const require = __cr(import.meta.url);" },
    logLevel: 'error',
  });
  const bytes = Buffer.from(spoil(readFileSync(outfile, 'utf8')));
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const file = join(stack.dataDir, 'content', sha256.slice(0, 2), sha256.slice(2, 4), sha256);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, bytes);
  expect(await publishAgentRelease(stack.pool, { version, sha256, size: bytes.length, now: Date.now() })).toBe(true);
}

const update = (version: string, over = {}) =>
  stack.createChange(
    changeOf({
      name: `agents to ${version}`,
      labels: { site: 'self' },
      packages: [],
      rings: [
        ringOf({ name: 'first', select: { labels: { host: 'one' } } }),
        ringOf({ name: 'rest', select: { sharePercent: 100 } }),
      ],
      over: { kind: 'agentUpdate', parameters: { version, discoverMinutes: 1, confirmMinutes: 1 }, ...over },
    }),
  );
const agents = async () =>
  Object.fromEntries(
    (await stack.rows(`SELECT name, agent ->> 'version' AS version FROM endpoint`)).map((r) => [r.name, r.version]),
  );
const orders = (changeId: string) =>
  stack.rows(
    `SELECT e.name, o.state, o.reason FROM order_state o JOIN endpoint e ON e.id = o.endpoint_id WHERE o.change_id = $1 AND o.kind = 'change' ORDER BY 1`,
    [changeId],
  );
const slotOf = (name: string) => readlinkSync(join(stack.host(name).stateDir, 'slots/current'));

test('a new agent is rolled out in rings, checks in, and is proven by its own inventory', async () => {
  await stack.waitFor('agents say what they are', async () =>
    Object.values(await agents()).every((v) => v === '0.1.0'),
  );
  await release('0.1.1');
  const id = await update('0.1.1');
  await stack.waitFor(
    'the change is closed',
    async () => (await stack.rows('SELECT 1 FROM change WHERE id = $1 AND closed_at IS NOT NULL', [id])).length > 0,
  );
  expect(await orders(id)).toEqual([
    { name: 'one', state: 'succeeded', reason: null },
    { name: 'two', state: 'succeeded', reason: null },
  ]);
  expect(await stack.rows('SELECT outcome FROM change WHERE id = $1', [id])).toEqual([{ outcome: 'completed' }]);
  expect(await agents()).toEqual({ one: '0.1.1', two: '0.1.1', 'old-way': '0.1.0' });
  expect([slotOf('one'), slotOf('two')]).toEqual(['a', 'a']);
  // Who can't is in no ring, and is told why.
  const [excluded] = await stack.rows(
    `SELECT p.reason FROM plan_endpoint p JOIN endpoint e ON e.id = p.endpoint_id WHERE p.change_id = $1 AND e.name = 'old-way'`,
    [id],
  );
  expect(excluded.reason).toContain('can not update itself');
  // Killed and started again it is still the new one, and no trial is left.
  await stack.processes.kill9(stack.host('one').process);
  await stack.processes.start(stack.host('one').process);
  const polls = async () =>
    (await stack.rows(`SELECT last_seen > now() - interval '2 seconds' AS fresh FROM endpoint WHERE name = 'one'`))[0]
      .fresh;
  await stack.waitFor('it polls', polls);
  expect((await agents()).one).toBe('0.1.1');
}, 150_000);

test.each([
  ['ends at once', '0.1.2', () => 'import "node:fs"; process.exit(3);\n'],
  ['never reaches its server', '0.1.3', () => 'import "node:fs"; setInterval(() => {}, 1000);\n'],
])(
  'an agent that %s is replaced by the one before, by the host itself, and the ring halts',
  async (_, version, spoil) => {
    const before = slotOf('one');
    await release(version, spoil);
    const id = await update(version);
    await stack.waitFor(
      'one is back',
      async () => (await orders(id)).some((o) => o.name === 'one' && o.state === 'reverted'),
      70,
    );
    const [order] = await orders(id);
    expect(order.reason).toMatch(/agent 0\.1\.1 runs, not .*did not reach the server in 3 starts/);
    expect(slotOf('one')).toBe(before);
    // The budget is spent: two keeps what it has.
    await stack.waitFor(
      'the ring is halted',
      async () => (await stack.rows('SELECT 1 FROM ring WHERE change_id = $1 AND halted', [id])).length > 0,
    );
    expect(await agents()).toEqual({ one: '0.1.1', two: '0.1.1', 'old-way': '0.1.0' });
    expect((await stack.api('POST', `/v1/changes/${id}/abort`, { reason: 'a bad release' })).status).toBe(202);
    await stack.waitFor(
      'the change is closed',
      async () => (await stack.rows('SELECT 1 FROM change WHERE id = $1 AND closed_at IS NOT NULL', [id])).length > 0,
    );
  },
  150_000,
);
