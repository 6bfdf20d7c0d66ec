/**
 * What the system stands on goes away for a while in the middle of changes: Temporal, then PostgreSQL, then the space on a disk.
 * Whoever looks is told what is waited for; what people say meanwhile is kept; afterwards all of it goes on by itself.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Browser, Page } from '../helpers/browser.js';
import { visibleText } from '../helpers/html.js';
import { type Approver, addApprover } from '../helpers/stack/approver.js';
import { expectPromisesKept } from '../helpers/stack/invariants.js';
import { lookAt } from '../helpers/stack/look.js';
import { BOOTSTRAP_TOKEN, changeOf, NEW, OLD, ringOf, type Stack, startStack } from '../helpers/stack.js';

/** Of the small disk; and what must stay free on each, which is next to nothing, so that only that one is ever short of it. */
const DISK_MIB = 16;
const RESERVE_MIB = 4;
const MIB = 1024 ** 2;
/** Longer than the heartbeat by which the web tier hears of it, and than the worker's first tries to reach it again. */
const AWAY_MS = 12_000;

const disk = mkdtempSync(join(tmpdir(), 'ringmaster-disk-'));
/** A file system of its own needs root. */
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MIB}m`, 'tmpfs', disk]).status === 0;

let stack: Stack;
let see: ReturnType<typeof lookAt>;
let grace: Approver;
let browser: Browser;

beforeAll(async () => {
  stack = await startStack({
    packages: ['app', 'lib', 'fix'],
    hosts: ['work-1', 'work-2', 'ask-1'].map((name) => ({ name, labels: { team: name.slice(0, -2) } })),
    env: { RINGMASTER_DISKS: `small=${disk}`, RINGMASTER_DISK_RESERVE_MIB: `${RESERVE_MIB}` },
  });
  see = lookAt(stack);
  grace = await addApprover(stack, 'Grace');
  browser = grace.browser;
}, 120_000);
afterAll(async () => {
  await stack?.end();
  if (mounted) spawnSync('umount', [disk]);
  rmSync(disk, { recursive: true, force: true });
}, 60_000);

const readyz = async () => {
  const reply = await fetch(`${stack.apiUrl}/readyz`);
  const { away, parts } = (await reply.json()) as { away: string[]; parts: { name: string; detail: string }[] };
  return { code: reply.status, away, parts };
};
const isAway = (...names: string[]) =>
  stack.waitFor(`away: ${names.join(', ') || 'nothing'}`, async () => {
    const { away } = await readyz();
    return JSON.stringify(away) === JSON.stringify(names) || Promise.reject(new Error(JSON.stringify(away)));
  });
const wordsOf = async (path: string): Promise<string> => visibleText((await browser.get(path)).text);
/** A form of a page, as a person fills it in. */
async function say(changeId: string, verb: string): Promise<Page> {
  const path = `/changes/${changeId}/${verb}`;
  const page = await browser.get(path);
  return browser.post(path, { _csrf: page.field('_csrf'), reason: 'a test' });
}
const waitsFor = async (changeId: string): Promise<string | null> =>
  (await stack.api('GET', `/v1/changes/${changeId}`)).body.waitingFor;

test('Temporal: people are told, endpoints go on, what is decided is kept and carried out once it is back', async () => {
  stack.host('work-1').behave({ hold: 'forward' });
  const working = await stack.createChange(
    changeOf({ name: 'working', labels: { team: 'work' }, packages: ['app'], rings: [ringOf({ maxInFlight: 1 })] }),
  );
  const asking = await stack.createChange(
    changeOf({
      name: 'asking',
      labels: { team: 'ask' },
      packages: ['app'],
      rings: [ringOf({ approvals: [grace.rule] })],
    }),
  );
  await stack.waitFor('a host at work', async () => Object.values(await see.states(working)).includes('applying'));
  await stack.waitFor('a question', () => grace.asked(asking));
  const before = await waitsFor(asking);
  expect(before).toContain('waits for approval');

  await stack.processes.kill9('temporal');
  const since = Date.now();
  await isAway('temporal');
  expect((await readyz()).code).toBe(200);
  for (const path of ['/', `/changes/${working}`, `/changes/${asking}`])
    expect(await wordsOf(path)).toContain('Temporal does not answer');
  expect(await wordsOf(`/changes/${asking}`)).toContain(before);
  expect(await fetch(`${stack.apiUrl}/metrics`).then((reply) => reply.text())).toContain('ringmaster_temporal_up 0');

  // A stop is a row: it holds at once, and whoever looks sees it.
  const paused = await say(working, 'pause');
  expect([paused.status, await wordsOf(paused.headers.get('location') ?? '')]).toEqual([
    303,
    expect.stringContaining('Paused: nothing more is released'),
  ]);
  const released = await see.count(working, ['release']);
  const answer = await grace.decideOnPage(asking);
  expect([answer.status, visibleText(answer.text)]).toEqual([202, expect.stringContaining('being checked')]);
  // What endpoints are at comes to its end.
  for (const host of stack.hosts) host.behave({});
  await stack.waitFor('proven without Temporal', async () =>
    Object.values(await see.states(working)).includes('succeeded'),
  );
  // A new one is taken, and says what it waits for.
  const late = await stack.createChange(changeOf({ name: 'late', labels: { team: 'work' }, packages: ['lib'] }));
  expect(await waitsFor(late)).toBe('Waits for a worker to take it up');
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, since + AWAY_MS - Date.now())));
  expect(await see.count(working, ['release'])).toBe(released);
  expect(await see.orders(asking)).toEqual([]);

  await stack.processes.start('temporal');
  await isAway();
  expect(await wordsOf('/')).not.toContain('Temporal does not answer');
  await see.closed(asking, 90);
  expect((await say(working, 'resume')).status).toBe(303);
  await see.closed(working, 90);
  await see.closed(late, 90);
  expect(await Promise.all([working, asking, late].map(see.outcome))).toEqual(Array(3).fill('completed'));
  const decisions = await stack.rows('SELECT state FROM approval_decision');
  expect(decisions).toEqual([{ state: 'counted' }]);
  expect(stack.hosts.map((host) => host.version('app'))).toEqual([NEW, NEW, NEW]);
}, 240_000);

test('PostgreSQL: pages and commands say so instead of pretending, and a host at work is heard once it is back', async () => {
  stack.host('ask-1').behave({ hold: 'forward' });
  const id = await stack.createChange(changeOf({ name: 'rows away', labels: { team: 'ask' }, packages: ['lib'] }));
  await stack.waitFor('a host at work', async () => (await see.states(id))['ask-1'] === 'applying');
  await stack.processes.kill9('postgres');
  const down = await readyz();
  expect([down.code, down.away[0]]).toEqual([503, 'postgresql']);
  const page = await browser.send('GET', `/changes/${id}`, { headers: { accept: 'text/html,*/*;q=0.8' } });
  const command = await fetch(`${stack.apiUrl}/v1/changes/${id}/pause`, {
    method: 'POST',
    headers: { authorization: `Bearer ${BOOTSTRAP_TOKEN}`, 'content-type': 'application/json' },
    body: '{}',
  });
  for (const reply of [page, command])
    expect([reply.status, Number(reply.headers.get('retry-after'))]).toEqual([503, expect.any(Number)]);
  expect(page.headers.get('content-type')).toContain('text/html');
  expect(visibleText(page.text)).toMatch(/database is not reachable.*Try again/s);
  expect(command.headers.get('content-type')).toContain('application/problem+json');
  stack.host('ask-1').behave({});
  // It is done, and has nobody to tell.
  await stack.waitFor('installed', () => stack.host('ask-1').version('lib') === NEW);
  await stack.processes.start('postgres');
  await isAway();
  await see.closed(id, 90);
  expect(await see.outcome(id)).toBe('completed');
}, 120_000);

(mounted ? test : test.skip)(
  'space on a disk of the server: told before it is gone, and nothing is fetched meanwhile',
  async () => {
    // A file that has to be fetched, of which the repository knows.
    const [file] = await stack.rows(`SELECT sha256 FROM catalogue_package WHERE name = 'fix' AND version = $1`, [NEW]);
    const stored = join(stack.dataDir, 'content', file.sha256.slice(0, 2), file.sha256.slice(2, 4), file.sha256);
    renameSync(stored, `${stored}.aside`);
    mkdirSync(join(disk, 'data'));
    writeFileSync(join(disk, 'data/ballast'), Buffer.alloc((DISK_MIB - RESERVE_MIB + 1) * MIB));

    await isAway('disk');
    const told = (await readyz()).parts.find(({ name }) => name === 'disk')?.detail;
    expect(told).toMatch(
      /the disk of small \(.*\) has [0-3] MiB of 16 MiB free: nothing is fetched until there are 4 MiB/,
    );
    expect(await wordsOf('/')).toContain('The server runs out of space: the disk of small');
    expect(await fetch(`${stack.apiUrl}/metrics`).then((reply) => reply.text())).toMatch(/disk_low\{disk="small"\} 1/);

    const id = await stack.createChange(changeOf({ name: 'no room', labels: { team: 'work' }, packages: ['fix'] }));
    await stack.waitFor('it wants content', async () => (await waitsFor(id))?.includes('content'));
    // Several tries.
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    expect([await see.outcome(id), await see.orders(id)]).toEqual([null, []]);
    expect(stack.hosts.map((host) => host.version('fix'))).toEqual([OLD, OLD, OLD]);

    renameSync(`${stored}.aside`, stored);
    rmSync(join(disk, 'data'), { recursive: true });
    await isAway();
    await see.closed(id, 90);
    expect(await see.outcome(id)).toBe('completed');
  },
  180_000,
);

test('every promise is kept', () => expectPromisesKept(stack));
