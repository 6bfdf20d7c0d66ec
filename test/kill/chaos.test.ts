/**
 * Kills, freezes and people's contradicting words at random, over changes whose hosts misbehave at random; then quiet, and
 * every promise must hold. RINGMASTER_CHAOS_SECONDS makes it a soak, RINGMASTER_CHAOS_SEED another one.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { brokenPromises } from '../helpers/stack/invariants.js';
import { type Answer, changeOf, ringOf, type Stack, startStack } from '../helpers/stack.js';

const SECONDS = Number(process.env.RINGMASTER_CHAOS_SECONDS ?? 10);
const SEED = Number(process.env.RINGMASTER_CHAOS_SEED ?? 1);
const TEAMS = ['a', 'b', 'c'];
const PACKAGES = ['p1', 'p2', 'p3', 'p4', 'p5', 'p6'];
const SERVERS = ['api', 'postgres', 'temporal', 'worker'];

let stack: Stack;
let seed = SEED;
/** A linear congruential generator: what is done is the same for a seed, when it hits is not. */
const random = () => {
  seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
  return seed / 2_147_483_648;
};
const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

beforeAll(async () => {
  stack = await startStack({
    packages: PACKAGES,
    hosts: TEAMS.flatMap((team) => [1, 2, 3].map((n) => ({ name: `${team}-${n}`, labels: { team } }))),
  });
}, 120_000);
afterAll(() => stack?.end(), 60_000);

test(`after ${SECONDS} s of it (seed ${SEED}) every change ends and every promise is kept`, async () => {
  const until = Date.now() + SECONDS * 1_000;
  await Promise.all([people(until), reaper(until)]);
  for (const host of stack.hosts) host.behave({});
  let resumed = 0;
  await stack.waitFor(
    'every change ended',
    async () => {
      const open = await stack.rows('SELECT id FROM change WHERE closed_at IS NULL');
      if (Date.now() - resumed > 10_000) {
        resumed = Date.now();
        // A ring held for its failures goes on by a person's word only.
        for (const { id } of open) await tell(id, 'resume', {});
      }
      return open.length === 0;
    },
    300,
  );
  expect(await brokenPromises(stack)).toEqual([]);
}, 900_000);

/** Asks again and again: what it talks to is being killed. */
async function patiently(method: string, path: string, body: unknown): Promise<Answer> {
  for (let tries = 1; ; tries++) {
    const answer = await stack.api(method, path, body).catch((error: Error) => error);
    if (!(answer instanceof Error) && answer.status < 500) return answer;
    if (tries === 200) throw new Error(`${method} ${path}: no answer`);
    await pause(150);
  }
}

const tell = (id: string, verb: string, body: object) => patiently('POST', `/v1/changes/${id}/${verb}`, body);

async function people(until: number): Promise<void> {
  const current = new Map<string, string>();
  while (Date.now() < until) {
    for (const team of TEAMS) {
      const id = current.get(team);
      const [row] =
        id === undefined ? [] : await stack.rows('SELECT closed_at FROM change WHERE id = $1', [id]).catch(() => []);
      if (id === undefined || row?.closed_at) current.set(team, await ask(team));
    }
    const id = pick([...current.values()]);
    const words: readonly [string, object][] = [
      ['pause', {}],
      ['resume', {}],
      ['abort', { reason: 'chaos' }],
      ['rollback', { reason: 'chaos' }],
      ['retry-failed', { ring: 0 }],
    ];
    if (random() < 0.3) await tell(id, ...pick(words));
    await pause(700);
  }
}

async function ask(team: string): Promise<string> {
  for (const host of stack.hosts.filter((one) => one.name.startsWith(team))) {
    host.behave({
      applyMs: Math.floor(random() * 2_000),
      revertMs: Math.floor(random() * 1_000),
      unhealthyAfter: random() < 0.1,
      failApply: random() < 0.1,
      fragile: random() < 0.5,
      rebootRequired: random() < 0.3,
      rebootMs: 400,
    });
  }
  const haltAction = pick(['rollback', 'pause'] as const);
  const rings = [ringOf({ name: 'test', select: { sharePercent: 30 }, haltAction }), ringOf({ haltAction })];
  const packages = [pick(PACKAGES), pick(PACKAGES)];
  const over = { priority: pick([0, 0, 5]) };
  const { status, body } = await patiently(
    'POST',
    '/v1/changes',
    changeOf({ name: team, labels: { team }, packages, rings, over }),
  );
  if (status !== 201) throw new Error(`change refused: ${JSON.stringify(body)}`);
  return body.id;
}

/** Half of the time it takes a server, else an agent; now and then it only stops one for a while. */
async function reaper(until: number): Promise<void> {
  while (Date.now() < until) {
    await pause(500 + random() * 2_500);
    const victim = random() < 0.5 ? pick(SERVERS) : pick(stack.hosts).process;
    if (random() < 0.2) {
      stack.processes.freeze(victim);
      await pause(random() * 3_000);
      stack.processes.thaw(victim);
      continue;
    }
    await stack.processes.kill9(victim);
    await pause(random() * 1_000);
    await stack.processes.start(victim);
  }
}
