/** Two things at once, in the worst order: a pause and a release, reports lost and doubled, two changes over the same hosts. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { expectPromisesKept } from '../helpers/stack/invariants.js';
import { arm, disarm, standsStill } from '../helpers/stack/kill-points.js';
import { lookAt } from '../helpers/stack/look.js';
import { changeOf, NEW, OLD, ringOf, type Stack, startStack } from '../helpers/stack.js';

const NEWER = '3.0-1';

let stack: Stack;
beforeAll(async () => {
  const hosts = (team: string, names: readonly string[], proxied = false) =>
    names.map((name) => ({ name: `${team}-${name}`, labels: { team }, proxied }));
  stack = await startStack({
    packages: ['app', 'fix'],
    more: [{ name: 'app', version: NEWER }],
    hosts: [
      ...hosts('pause', ['1', '2', '3']),
      ...hosts('net', ['lost', 'doubled'], true),
      ...hosts('over', ['pending', 'released', 'applying', 'verifying', 'succeeded', 'same']).map((host) =>
        host.name === 'over-verifying' ? { ...host, config: { healthGraceSeconds: 120 } } : host,
      ),
    ],
  });
  see = lookAt(stack);
}, 120_000);
afterAll(() => stack?.end(), 60_000);

let see: ReturnType<typeof lookAt>;

describe('pause', () => {
  test('waits for a release that has begun, and lets none follow its answer', async () => {
    for (const n of [1, 2, 3]) stack.host(`pause-${n}`).behave({ hold: 'forward' });
    const id = await stack.createChange(changeOf({ name: 'pause', labels: { team: 'pause' }, packages: ['app'] }));
    const at = { event: 'release', changeId: id };
    await arm(stack.pool, at);
    await stack.waitFor('a release before its commit', () => standsStill(stack.pool, at));
    let answered = false;
    const pause = stack.api('POST', `/v1/changes/${id}/pause`, {}).then((reply) => {
      answered = true;
      return reply;
    });
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(answered).toBe(false);
    await disarm(stack.pool);
    expect((await pause).status).toBe(202);
    const released = await see.count(id, ['release']);
    expect(released).toBeGreaterThan(0);
    for (const n of [1, 2, 3]) stack.host(`pause-${n}`).behave({});
    // Long enough for many a tick of a pump that had not heard.
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    expect(await see.count(id, ['release'])).toBe(released);
    await stack.api('POST', `/v1/changes/${id}/resume`, {});
    await see.closed(id);
    expect((await see.orders(id)).map((row) => row.state)).toEqual(['succeeded', 'succeeded', 'succeeded']);
  }, 90_000);
});

describe('reports', () => {
  test('lost and doubled, every one: taken in once', async () => {
    let polls = 0;
    stack.proxy('net-lost').rule(({ path, body }) => {
      if (!path.endsWith('/poll') || !(body?.reports?.length > 0)) return 'pass';
      polls += 1;
      return polls % 3 === 0 ? 'pass' : 'loseReply';
    });
    stack.proxy('net-doubled').rule(() => 'double');
    const id = await stack.createChange(changeOf({ name: 'net', labels: { team: 'net' }, packages: ['app'] }));
    await see.closed(id, 90);
    expect(await see.outcome(id)).toBe('completed');
    expect(stack.proxy('net-lost').met.loseReply).toBeGreaterThan(1);
    const twice = await stack.rows(
      'SELECT order_id, seq FROM order_event WHERE seq IS NOT NULL GROUP BY order_id, seq HAVING count(*) > 1',
    );
    expect(twice).toEqual([]);
    for (const name of ['net-lost', 'net-doubled']) stack.proxy(name).rule(() => 'pass');
  }, 120_000);
});

describe('a change of higher priority over a routine one in every state', () => {
  let routine: string;
  let urgent: string;

  test('takes the place of what has not begun, and waits for what has', async () => {
    const first = ['over-released', 'over-applying', 'over-verifying', 'over-succeeded', 'over-same'];
    await stack.processes.kill9(stack.host('over-released').process);
    stack.host('over-applying').behave({ hold: 'forward' });
    stack.host('over-verifying').behave({ unhealthyAfter: true });
    routine = await stack.createChange(
      changeOf({
        name: 'routine',
        labels: { team: 'over' },
        packages: ['app'],
        // Soaks for long, so that it is open still when somebody wants it undone.
        rings: [ringOf({ maxInFlight: 20, soakMinutes: 600, hostOrder: [{ names: first }], deadlineMinutes: 700 })],
        over: { deadlineMinutes: 1_000 },
      }),
    );
    const wanted = {
      pending: 'pending',
      released: 'released',
      applying: 'applying',
      verifying: 'verifying',
      succeeded: 'succeeded',
      same: 'succeeded',
    };
    await stack.waitFor('the routine change in every state', async () => {
      await see.hurry(routine);
      const now = Object.fromEntries((await see.orders(routine)).map((row) => [row.host.slice(5), row.state]));
      return (
        Object.entries(wanted).every(([name, state]) => now[name] === state) ||
        Promise.reject(new Error(JSON.stringify(now)))
      );
    });
    await stack.waitFor(
      'the look that follows each success',
      async () =>
        (
          await stack.rows(
            `SELECT 1 FROM order_state o JOIN endpoint e ON e.id = o.endpoint_id JOIN scan s ON s.endpoint_id = e.id AND s.received_at > o.settled_at
              WHERE o.change_id = $1 AND o.kind = 'change' AND e.name = 'over-same'`,
            [routine],
          )
        ).length > 0,
    );
    // A newer fix of the very same package has come out, and one host has seen it.
    stack.host('over-same').behave({
      available: [
        { name: 'app', version: NEWER },
        { name: 'fix', version: NEW },
      ],
    });
    const [before] = await stack.rows(
      `UPDATE endpoint SET wants_scan = true WHERE name = 'over-same' RETURNING id, now() AS at`,
    );
    await stack.rows(`SELECT pg_notify('rm_wake', '*')`);
    await stack.waitFor(
      'it scanned',
      async () =>
        (await stack.rows('SELECT 1 FROM scan WHERE endpoint_id = $1 AND received_at > $2', [before.id, before.at]))
          .length > 0,
    );

    urgent = await stack.createChange(
      changeOf({
        name: 'urgent',
        labels: { team: 'over' },
        packages: ['fix'],
        rings: [ringOf({ maxInFlight: 20 })],
        over: { priority: 100 },
      }),
    );
    const same = await stack.createChange({
      ...changeOf({
        name: 'same',
        labels: { team: 'over' },
        packages: ['app'],
        rings: [ringOf()],
        over: { priority: 100 },
      }),
      scope: { names: ['over-same'] },
    });
    await stack.waitFor('superseded', async () => {
      await see.hurry(urgent);
      return (await see.states(routine))['over-released'] === 'superseded';
    });
    // Nothing interrupts a package manager: the urgent one waits where the routine one is at work.
    expect((await see.states(urgent))['over-applying']).toBe('pending');
    expect((await see.states(urgent))['over-verifying']).toBe('pending');
    await stack.processes.start(stack.host('over-released').process);
    for (const name of ['over-applying', 'over-verifying']) stack.host(name).behave({});
    await see.closed(urgent, 90);
    await see.closed(same, 60);
    expect(await see.outcome(urgent)).toBe('completed');
    for (const name of Object.keys(wanted))
      expect([name, stack.host(`over-${name}`).version('fix')]).toEqual([name, NEW]);
    expect(stack.host('over-same').version('app')).toBe(NEWER);
  }, 200_000);

  test('rolled back, the routine one leaves the urgent one alone', async () => {
    await stack.waitFor(
      'the routine change is through',
      async () =>
        (await stack.rows(`SELECT 1 FROM ring WHERE change_id = $1 AND state = 'soaking'`, [routine])).length > 0,
    );
    const reply = await stack.api('POST', `/v1/changes/${routine}/rollback`, { reason: 'a test' });
    expect(reply.status).toBe(202);
    await see.closed(routine, 90);
    expect(await see.outcome(routine)).toBe('rolledBack');
    for (const name of ['pending', 'released', 'applying', 'verifying', 'succeeded'])
      expect([name, stack.host(`over-${name}`).version('app'), stack.host(`over-${name}`).version('fix')]).toEqual([
        name,
        OLD,
        NEW,
      ]);
    // What is installed there is no longer what the routine change installed.
    expect([stack.host('over-same').version('app'), stack.host('over-same').version('fix')]).toEqual([NEWER, NEW]);
    expect((await see.orders(routine, 'revert')).find((row) => row.host === 'over-same')?.outcome).toBe('moot');
  }, 120_000);
});

test('every promise is kept', () => expectPromisesKept(stack));
