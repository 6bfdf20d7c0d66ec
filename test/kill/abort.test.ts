/**
 * One abort while orders stand in every state there is, and a window that closes over a package manager at work. Hosts are
 * held in their states by their machines and by the network between, never by the server.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Host } from '../helpers/stack/hosts.js';
import { expectPromisesKept } from '../helpers/stack/invariants.js';
import { openPolicy } from '../helpers/stack/seed.js';
import { type ClosingHours, closingSoon } from '../helpers/stack/windows.js';
import { changeOf, NEW, OLD, ringOf, type Stack, startStack } from '../helpers/stack.js';

/** Where each order stands when the abort comes, and how it must end. */
const STATES = {
  pending: ['withdrawn', OLD],
  released: ['withdrawn', OLD],
  offered: ['withdrawn', OLD],
  accepted: ['withdrawn', OLD],
  staged: ['withdrawn', OLD],
  applying: ['succeeded', NEW],
  awaitingReboot: ['succeeded', NEW],
  rebooting: ['succeeded', NEW],
  verifying: ['succeeded', NEW],
  reverting: ['reverted', OLD],
  stalled: ['succeeded', NEW],
  succeeded: ['succeeded', NEW],
} as const;
const PROXIED: readonly string[] = ['offered', 'accepted', 'silent'];
const SHUT = JSON.stringify({ windows: [] });

let stack: Stack;
let soon: ClosingHours;
const limitsFile = (host: Host) => join(host.stateDir, 'limits.json');

beforeAll(async () => {
  stack = await startStack({
    packages: ['app'],
    hosts: [
      ...[...Object.keys(STATES), 'silent'].map((name) => ({
        name,
        labels: { team: 'stop' },
        proxied: PROXIED.includes(name),
        config: { healthGraceSeconds: name === 'verifying' ? 120 : 1 },
      })),
      { name: 'late-close', labels: { team: 'close' } },
    ],
  });
  soon = closingSoon(35);
  await stack.api('PUT', '/v1/policy-sets/closing', {
    precedence: 2,
    document: openPolicy({ hours: soon.hours }),
  });
}, 120_000);
afterAll(() => stack?.end(), 60_000);

const ordersOf = async (changeId: string): Promise<Record<string, string>> =>
  Object.fromEntries(
    (
      await stack.rows(
        `SELECT e.name, o.state FROM order_state o JOIN endpoint e ON e.id = o.endpoint_id
          WHERE o.change_id = $1 AND o.kind = 'change'`,
        [changeId],
      )
    ).map((row) => [row.name, row.state]),
  );
/** What lets anything out: how often it happened so far. */
const letOut = async (changeId: string): Promise<number> =>
  (
    await stack.rows(
      `SELECT count(*)::int AS n FROM order_event e JOIN order_state o ON o.id = e.order_id
        WHERE o.change_id = $1 AND e.event IN ('release', 'permit')`,
      [changeId],
    )
  )[0].n;
const ended = async (changeId: string) =>
  (await stack.rows('SELECT outcome FROM change WHERE id = $1', [changeId]))[0].outcome;

describe('abort in every state', () => {
  let changeId: string;
  let closing: string;
  let atReply: number;

  test('every state is reached', async () => {
    stack.host('late-close').behave({ hold: 'forward', rebootRequired: true });
    closing = await stack.createChange(changeOf({ name: 'close', labels: { team: 'close' }, packages: ['app'] }));

    await stack.processes.kill9(stack.host('released').process);
    stack.proxy('offered').rule(({ path }) => (path.endsWith('/poll') ? 'loseReply' : 'pass'));
    stack.proxy('accepted').rule(({ path }) => (path.includes('/content/') ? 'refuse' : 'pass'));
    stack.host('staged').behave({ clockOffsetMs: 600_000 });
    for (const name of ['applying', 'stalled', 'silent']) stack.host(name).behave({ hold: 'forward' });
    stack.host('awaitingReboot').behave({ hold: 'forward', rebootRequired: true });
    stack.host('rebooting').behave({ rebootRequired: true, rebootMs: 20_000 });
    stack.host('verifying').behave({ unhealthyAfter: true });
    stack.host('reverting').behave({ unhealthyAfter: true, hold: 'back' });
    // Hears its permit, then nothing it says gets through.
    let permitted = false;
    stack.proxy('silent').rule(({ path, body }) => {
      if (!path.endsWith('/poll')) return 'pass';
      const begun = JSON.stringify(body?.open ?? []).includes('applying');
      permitted ||= begun;
      return permitted ? 'refuse' : 'pass';
    });

    changeId = await stack.createChange(
      changeOf({
        name: 'stop',
        labels: { team: 'stop' },
        packages: ['app'],
        rings: [
          ringOf({
            maxInFlight: 50,
            errorBudget: { count: 50 },
            hostOrder: [{ names: [...Object.keys(STATES).filter((name) => name !== 'pending'), 'silent'] }],
          }),
        ],
        // In minutes; how long after its permit a silent host's order is given up.
        over: { offlineAfterMinutes: 1 },
      }),
    );
    // Slow start is not what this is about.
    await stack.waitFor('all let out at once', async () => {
      await stack.rows('UPDATE ring SET concurrency = 50 WHERE change_id = $1', [changeId]);
      return Object.values(await ordersOf(changeId)).filter((state) => state === 'pending').length === 1;
    });
    await stack.waitFor(
      'installing before its owner shuts the window',
      async () => (await ordersOf(changeId)).awaitingReboot === 'applying',
    );
    writeFileSync(limitsFile(stack.host('awaitingReboot')), SHUT);
    stack.host('awaitingReboot').behave({ rebootRequired: true });
    await stack.waitFor(
      'at work before it falls silent',
      async () => (await ordersOf(changeId)).stalled === 'applying',
    );
    stack.processes.freeze(stack.host('stalled').process);
    // As if an hour had gone by.
    await stack.rows(
      `UPDATE order_state o SET updated_at = now() - interval '2 hours' FROM endpoint e
        WHERE e.id = o.endpoint_id AND e.name = 'stalled' AND o.change_id = $1`,
      [changeId],
    );
    await stack.waitFor(
      'every order in its state',
      async () => {
        const now = await ordersOf(changeId);
        const wrong = Object.keys(STATES).filter((state) => now[state] !== state);
        return wrong.length === 0 ? true : Promise.reject(new Error(JSON.stringify(now)));
      },
      30,
    );
  }, 90_000);

  test('an endpoint whose clock is 10 minutes off applies nothing, and says why', async () => {
    const [row] = await stack.rows(`SELECT clock_skew_ms, observations FROM endpoint WHERE name = 'staged'`);
    expect(Math.abs(row.clock_skew_ms)).toBeGreaterThan(590_000);
    expect(row.observations.clockSkewSeconds).toBe(600);
    expect(JSON.stringify(row.observations.waiting)).toContain("clock is 10 min ahead of the server's");
  });

  test('nothing is let out once the abort has been answered', async () => {
    const reply = await stack.api('POST', `/v1/changes/${changeId}/abort`, { reason: 'a test' });
    atReply = await letOut(changeId);
    expect(reply.status).toBe(202);
    // Those who hold a permit may still start, no longer than the window lets them.
    expect(reply.body.outstanding).toBeGreaterThanOrEqual(3);
    expect(Date.parse(reply.body.mayStillStartUntil)).toBeLessThanOrEqual(soon.lastStart);
    await stack.waitFor(
      'what holds no permit taken back at once',
      async () => {
        const now = await ordersOf(changeId);
        return now.pending === 'withdrawn' && now.released === 'withdrawn';
      },
      15,
    );
  });

  test('what has begun comes to its own end', async () => {
    await stack.processes.start(stack.host('released').process);
    stack.processes.thaw(stack.host('stalled').process);
    for (const name of ['applying', 'stalled', 'silent', 'verifying']) stack.host(name).behave({});
    stack.host('reverting').behave({ unhealthyAfter: true });
    writeFileSync(limitsFile(stack.host('awaitingReboot')), '{}');
    await stack.waitFor(
      'the change aborted',
      async () => {
        if (Date.now() > soon.lastStart) {
          for (const name of ['offered', 'accepted']) stack.proxy(name).rule(() => 'pass');
          stack.host('staged').behave({});
        }
        return (await ended(changeId)) !== null;
      },
      220,
    );
    expect(await ended(changeId)).toBe('aborted');
    const states = await ordersOf(changeId);
    const wanted = Object.fromEntries(Object.entries(STATES).map(([state, [end]]) => [state, end]));
    expect(states).toEqual({ ...wanted, silent: 'expired' });
    expect(await letOut(changeId)).toBe(atReply);
  }, 240_000);

  test('a report that comes after its order expired still wins', async () => {
    stack.proxy('silent').rule(() => 'pass');
    await stack.waitFor('the late report', async () => (await ordersOf(changeId)).silent === 'succeeded');
    for (const [state, [, version]] of Object.entries(STATES))
      expect([state, stack.host(state).version('app')]).toEqual([state, version]);
    expect(stack.host('silent').version('app')).toBe(NEW);
  }, 90_000);

  test('a window that closes over a package manager at work lets it finish, and reboots in the next', async () => {
    const host = stack.host('late-close');
    await stack.waitFor('the close', () => Date.now() > soon.closes, 200);
    expect((await ordersOf(closing))['late-close']).toBe('applying');
    host.behave({ rebootRequired: true });
    await stack.waitFor('applied', async () => (await ordersOf(closing))['late-close'] === 'awaitingReboot', 20);
    await stack.waitFor('the end', async () => (await ended(closing)) !== null, 150);
    expect(await ended(closing)).toBe('completed');
    const reboot = host.effects().find((effect) => effect.action === 'reboot');
    expect(reboot?.at).toBeGreaterThanOrEqual(soon.reopens);
    expect(host.starts()[0]?.announcedAt).toBeLessThanOrEqual(soon.lastStart);
  }, 400_000);

  test('every promise is kept', () => expectPromisesKept(stack));
});
