/** Hooks on the server, with the whole system: what they gate, what they are told, and what a worker's death costs. */
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { expectPromisesKept } from '../helpers/stack/invariants.js';
import { lookAt } from '../helpers/stack/look.js';
import { openPolicy } from '../helpers/stack/seed.js';
import { changeOf, NEW, OLD, ringOf, type Stack, startStack } from '../helpers/stack.js';

interface Said {
  readonly at: number;
  readonly what: 'begin' | 'end';
  readonly facts: { orderId: string; hook: string; when: string; outcome: string; endpoint: string; round: number };
}

let stack: Stack;
let see: ReturnType<typeof lookAt>;
let notes: string;
const digests: Record<string, string> = {};

beforeAll(async () => {
  const team = (name: string, n: number) =>
    Array.from({ length: n }, (_, i) => ({ name: `${name}-${i + 1}`, labels: { team: name } }));
  stack = await startStack({
    packages: ['app'],
    hosts: [
      ...team('good', 2),
      ...team('bad', 1),
      ...team('slow', 1),
      ...team('forged', 1),
      ...team('kill', 1),
      ...team('pause', 1),
    ],
  });
  see = lookAt(stack);
  notes = join(stack.dataDir, 'notes');
  mkdirSync(notes);
  install('drain');
  install('back');
  install('first');
  install('refuse', 'echo "the balancer says no" >&2; exit 3');
  install('endless', 'sleep 600');

  const before = (name: string, over: object = {}) => hook({ name, when: 'before', ...over });
  const back = hook({ name: 'back', when: 'after' });
  await policy('good', [before('drain'), back]);
  await policy('bad', [before('drain'), before('refuse'), before('first'), back]);
  await policy('slow', [before('endless', { timeoutSeconds: 1, onFailure: 'ignore' }), back]);
  await policy('forged', [before('drain', { sha256: 'f'.repeat(64) }), back]);
  await policy('kill', [before('first'), before('drain'), back]);
  await policy('pause', [before('drain'), back]);
}, 120_000);
afterAll(() => stack?.end(), 60_000);

/** Says on its way in and out what it was told, and stands still in between for as long as a file `hold-<name>` is there. */
function install(name: string, last = ''): void {
  const path = join(stack.dataDir, 'hooks', name);
  mkdirSync(join(stack.dataDir, 'hooks'), { recursive: true });
  const say = (what: string) => `printf '%s %s %s\\n' "$(date +%s%3N)" ${what} "$facts" >> ${join(notes, 'said')}`;
  const wait = `while [ -e ${join(notes, `hold-${name}`)} ]; do sleep 0.05; done`;
  const text = `#!/bin/sh\nfacts=$(cat)\n${say('begin')}\n${wait}\n${last}\n${say('end')}\n`;
  writeFileSync(path, text);
  chmodSync(path, 0o755);
  digests[name] = createHash('sha256').update(text).digest('hex');
}
const hook = (over: { name: string; when: string } & Record<string, unknown>) => ({
  runsOn: 'server',
  onFailure: 'fail',
  timeoutSeconds: 60,
  sha256: digests[over.name],
  ...over,
});
async function policy(team: string, hooks: readonly object[]): Promise<void> {
  const document = openPolicy({ appliesTo: { labels: { team } }, hooks });
  const reply = await stack.api('PUT', `/v1/policy-sets/${team}`, { precedence: 10, document });
  if (reply.status >= 300) throw new Error(JSON.stringify(reply.body));
}
function said(team: string): Said[] {
  const path = join(notes, 'said');
  const lines = existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
  return lines
    .map((line) => {
      const [, at, what, facts] = /^(\d+) (\w+) (.*)$/.exec(line) ?? [];
      return { at: Number(at), what, facts: JSON.parse(facts ?? 'null') } as Said;
    })
    .filter(({ facts }) => facts.endpoint.startsWith(team));
}
const began = (team: string) =>
  said(team)
    .filter(({ what }) => what === 'begin')
    .map(({ facts }) => `${facts.hook} ${facts.when} ${facts.outcome}`);
const hold = (name: string) => writeFileSync(join(notes, `hold-${name}`), '');
const letGo = (name: string) => rmSync(join(notes, `hold-${name}`), { force: true });
const change = (team: string) =>
  stack.createChange(
    changeOf({ name: team, labels: { team }, packages: ['app'], rings: [ringOf({ maxInFlight: 1 })] }),
  );
const reasons = (id: string) =>
  stack.rows<{ state: string; reason: string }>(
    `SELECT state, reason FROM order_state WHERE change_id = $1 AND kind = 'change'`,
    [id],
  );

test('gate each host: before it is touched, and after it has come to its end; the next host waits for that', async () => {
  hold('back');
  const id = await change('good');
  await stack.waitFor('the first is done, and on its way back', () => began('good').includes('back after succeeded'));
  // Several ticks of the pump: one at a time means that the second is not let out before the first is back.
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  expect(began('good')).toHaveLength(2);
  expect(await see.count(id, ['release'])).toBe(1);
  letGo('back');
  await see.closed(id);
  expect((await see.orders(id)).map((row) => row.state)).toEqual(['succeeded', 'succeeded']);
  await stack.waitFor('both are back', () => said('good').filter(({ what }) => what === 'end').length === 4);
  for (const n of [1, 2]) {
    const [into, out, backInto] = said('good').filter(({ facts }) => facts.endpoint === `good-${n}`);
    const effects = stack.host(`good-${n}`).effects();
    expect(into?.facts).toMatchObject({ hook: 'drain', when: 'before', outcome: 'pending', round: 1 });
    expect(effects[0]?.at).toBeGreaterThanOrEqual(out?.at ?? Number.POSITIVE_INFINITY);
    expect(backInto?.at).toBeGreaterThanOrEqual(effects.at(-1)?.at ?? Number.POSITIVE_INFINITY);
  }
}, 90_000);

test('one that must succeed and does not: the host is not touched, those after it run, and the ring is halted', async () => {
  const id = await change('bad');
  await stack.waitFor('failed', async () => (await reasons(id))[0]?.state === 'failed');
  expect((await reasons(id))[0]?.reason).toBe(
    'before the start, hook refuse on the server failed (3): the balancer says no',
  );
  await stack.waitFor('back', () => began('bad').includes('back after notStarted'));
  expect(began('bad')).toEqual(['drain before pending', 'refuse before pending', 'back after notStarted']);
  expect(stack.host('bad-1').effects()).toEqual([]);
  await stack.waitFor(
    'halted',
    async () => (await stack.rows('SELECT halted FROM ring WHERE change_id = $1', [id]))[0].halted,
  );
  await stack.api('POST', `/v1/changes/${id}/abort`, { reason: 'seen enough' });
  await see.closed(id);
  expect(await see.count(id, ['permit'])).toBe(0);
}, 60_000);

test('one that may fail is ended at its time-out, said, and passed over', async () => {
  const id = await change('slow');
  await see.closed(id);
  expect(stack.host('slow-1').version('app')).toBe(NEW);
  const events = await stack.rows(
    `SELECT detail FROM order_event e JOIN order_state o ON o.id = e.order_id WHERE o.change_id = $1 AND e.event = 'hook' ORDER BY e.id`,
    [id],
  );
  expect(events[0].detail).toEqual({ hook: 'endless', when: 'before', ok: false, problem: 'did not end within 1 s' });
}, 60_000);

test('bytes other than the policy names are not run', async () => {
  const id = await change('forged');
  await stack.waitFor('failed', async () => (await reasons(id))[0]?.state === 'failed');
  expect((await reasons(id))[0]?.reason).toMatch(
    /^before the start, hook drain on the server is not what the policy names: its digest is /,
  );
  expect(began('forged').filter((line) => line.startsWith('drain'))).toEqual([]);
  expect(stack.host('forged-1').version('app')).toBe(OLD);
  await stack.api('POST', `/v1/changes/${id}/abort`, { reason: 'seen enough' });
  await see.closed(id);
}, 60_000);

test('a worker killed in the middle: what had ended is not run again, what had not is, for the same order', async () => {
  hold('drain');
  const id = await change('kill');
  await stack.waitFor('draining', () => began('kill').includes('drain before pending'));
  await stack.processes.kill9('worker');
  await stack.processes.start('worker');
  await stack.waitFor('draining again', () => began('kill').filter((line) => line.startsWith('drain')).length === 2);
  expect(stack.host('kill-1').effects()).toEqual([]);
  letGo('drain');
  await see.closed(id);
  await stack.waitFor('back', () => began('kill').includes('back after succeeded'));
  expect(began('kill')).toEqual([
    'first before pending',
    'drain before pending',
    'drain before pending',
    'back after succeeded',
  ]);
  expect(new Set(said('kill').map(({ facts }) => facts.orderId)).size).toBe(1);
  expect(stack.host('kill-1').version('app')).toBe(NEW);
}, 120_000);

test('a pause after the gate has opened takes it back: the host is brought back, and gated anew on resume', async () => {
  hold('drain');
  const id = await change('pause');
  await stack.waitFor('draining', () => began('pause').length === 1);
  expect((await stack.api('POST', `/v1/changes/${id}/pause`, {})).status).toBe(202);
  letGo('drain');
  await stack.waitFor('brought back', () => began('pause').includes('back after notStarted'));
  expect(await see.count(id, ['permit'])).toBe(0);
  await stack.api('POST', `/v1/changes/${id}/resume`, {});
  await see.closed(id);
  expect(stack.host('pause-1').version('app')).toBe(NEW);
  await stack.waitFor('back again', () => began('pause').includes('back after succeeded'));
  expect(
    said('pause')
      .filter(({ what }) => what === 'begin')
      .map(({ facts }) => facts.round),
  ).toEqual([1, 1, 2, 2]);
}, 60_000);

test('every promise is kept', () => expectPromisesKept(stack));
