/**
 * `kill -9` of each process while four changes stand at four points: one before a commit, one right after it, one with its
 * hosts at work, one rolling back. One kill hits all four; afterwards every promise holds and every change ends as it should.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { Host } from '../helpers/stack/hosts.js';
import { expectPromisesKept } from '../helpers/stack/invariants.js';
import { arm, disarm, type KillPoint, standsStill } from '../helpers/stack/kill-points.js';
import { changeOf, NEW, OLD, ringOf, type Stack, startStack } from '../helpers/stack.js';

const POINTS = ['before', 'after', 'beat', 'revert'] as const;
type Point = (typeof POINTS)[number];
type Victim = 'worker' | 'api' | 'postgres' | 'temporal';

/** Which event the first two points are about: the worker's own for those it depends on, a report for the web tier. */
const EVENT: Readonly<Record<Victim, KillPoint>> = {
  worker: 'release',
  postgres: 'release',
  temporal: 'release',
  api: 'apply',
};
const VICTIMS = Object.keys(EVENT) as Victim[];
const packageOf = (victim: string) => `app-${victim}`;

let stack: Stack;
const team = (point: Point): Host[] => stack.hosts.filter((host) => host.name.startsWith(point));

beforeAll(async () => {
  stack = await startStack({
    packages: [...VICTIMS, 'agent'].map(packageOf),
    hosts: POINTS.flatMap((point) => [1, 2, 3].map((n) => ({ name: `${point}-${n}`, labels: { team: point } }))),
  });
}, 120_000);
afterAll(() => stack?.end(), 60_000);
afterEach(async () => {
  for (const host of stack.hosts) host.behave({});
  await disarm(stack.pool);
});

const closed = (...ids: string[]) =>
  stack.waitFor(
    'every change closed',
    async () => {
      const [row] = await stack.rows(
        'SELECT count(*)::int AS n FROM change WHERE id = ANY ($1) AND closed_at IS NOT NULL',
        [ids],
      );
      return row.n === ids.length;
    },
    150,
  );
const outcomeOf = async (id: string) => (await stack.rows('SELECT outcome FROM change WHERE id = $1', [id]))[0].outcome;
const hasEvent = async (changeId: string, event: string) =>
  (
    await stack.rows(
      'SELECT 1 FROM order_event e JOIN order_state o ON o.id = e.order_id WHERE o.change_id = $1 AND e.event = $2',
      [changeId, event],
    )
  ).length > 0;

/** A ring that spends its budget on its last host and goes back on the others. */
const failingRing = () => ringOf({ haltAction: 'rollback', hostOrder: [{ names: ['revert-1', 'revert-2'] }] });

describe.each(VICTIMS)('kill -9 of %s', (victim) => {
  const packages = [packageOf(victim)];
  const ids: Partial<Record<Point, string>> = {};
  const ask = async (point: Point) => {
    const rings = point === 'revert' ? [failingRing()] : [ringOf()];
    const id = await stack.createChange(
      changeOf({ name: `${victim} ${point}`, labels: { team: point }, packages, rings }),
    );
    ids[point] = id;
    return id;
  };

  beforeAll(async () => {
    for (const host of team('revert')) host.behave({ revertMs: 12_000, unhealthyAfter: host.name === 'revert-3' });
    for (const host of team('beat')) host.behave({ applyMs: 9_000 });
    const revert = await ask('revert');
    const before = await ask('before');
    const at = { event: EVENT[victim], changeId: before };
    await arm(stack.pool, at);
    await stack.waitFor('a transaction before its commit', () => standsStill(stack.pool, at));
    await stack.waitFor('a host going back', async () =>
      hasEvent(revert, 'revertBegun').then(
        async (any) =>
          any &&
          (
            await stack.rows(
              `SELECT 1 FROM order_state WHERE change_id = $1 AND kind = 'revert' AND state = 'reverting'`,
              [revert],
            )
          ).length > 0,
      ),
    );
    const beat = await ask('beat');
    await stack.waitFor(
      'hosts at work',
      async () =>
        (await stack.rows(`SELECT 1 FROM order_state WHERE change_id = $1 AND state = 'applying'`, [beat])).length > 0,
    );
    const after = await ask('after');
    await stack.waitFor('a commit', () => hasEvent(after, EVENT[victim]));
    await stack.processes.kill9(victim);
    if (victim === 'postgres') await stack.processes.start(victim);
    await stack.waitFor('the database', () => disarm(stack.pool).then(() => true));
    if (victim !== 'postgres') await stack.processes.start(victim);
    await closed(revert, before, beat, after);
  }, 240_000);

  test.each(['before', 'after', 'beat'] as const)('%s: every host has exactly what was planned', async (point) => {
    expect(await outcomeOf(ids[point] as string)).toBe('completed');
    for (const host of team(point)) expect([host.name, host.version(packageOf(victim))]).toEqual([host.name, NEW]);
  });

  test('mid-revert: every host is back', async () => {
    expect(await outcomeOf(ids.revert as string)).toBe('rolledBack');
    for (const host of team('revert')) expect([host.name, host.version(packageOf(victim))]).toEqual([host.name, OLD]);
  });

  test('every promise is kept', () => expectPromisesKept(stack));
});
