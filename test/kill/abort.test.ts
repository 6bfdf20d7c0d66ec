/**
 * One abort while orders stand in every state there is, and a window that closes over a package manager at work. Hosts are
 * held in their states by their machines and by the network between, never by the server.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Browser } from '../helpers/browser.js';
import { approvalRule } from '../helpers/scripted-activities.js';
import type { Host } from '../helpers/stack/hosts.js';
import { expectPromisesKept } from '../helpers/stack/invariants.js';
import { lookAt, whoPumps } from '../helpers/stack/look.js';
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
const PASSWORD = 'a long enough password';
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
        labels: { team: 'stop', hours: 'closing' },
        proxied: PROXIED.includes(name),
        config: { healthGraceSeconds: name === 'verifying' ? 600 : 1 },
      })),
      { name: 'late-close', labels: { team: 'close', hours: 'closing' } },
      ...['pump-1', 'pump-2', 'pump-3'].map((name) => ({ name, labels: { team: 'pump' } })),
      ...['away-reboot', 'away-decision'].map((name) => ({ name, labels: { team: 'away' } })),
    ],
  });
  see = lookAt(stack);
  soon = closingSoon(35);
  await stack.api('PUT', '/v1/policy-sets/closing', {
    precedence: 2,
    document: openPolicy({ appliesTo: { labels: { hours: 'closing' } }, hours: soon.hours }),
  });
}, 120_000);
afterAll(() => stack?.end(), 60_000);

let see: ReturnType<typeof lookAt>;

describe('abort in every state', () => {
  let changeId: string;
  let closing: string;
  let atReply: number;
  const letOut = () => see.count(changeId, ['release', 'permit']);

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
      await see.hurry(changeId);
      return Object.values(await see.states(changeId)).filter((state) => state === 'pending').length === 1;
    });
    await stack.waitFor(
      'installing before its owner shuts the window',
      async () => (await see.states(changeId)).awaitingReboot === 'applying',
    );
    writeFileSync(limitsFile(stack.host('awaitingReboot')), SHUT);
    stack.host('awaitingReboot').behave({ rebootRequired: true });
    await stack.waitFor(
      'at work before it falls silent',
      async () => (await see.states(changeId)).stalled === 'applying',
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
        const now = await see.states(changeId);
        const wrong = Object.keys(STATES).filter((state) => now[state] !== state);
        return wrong.length === 0 ? true : Promise.reject(new Error(JSON.stringify(now)));
      },
      30,
    );
  }, 90_000);

  test('an endpoint whose clock is 10 minutes off applies nothing, and says why', async () => {
    const told = async () =>
      (await stack.rows(`SELECT clock_skew_ms, observations FROM endpoint WHERE name = 'staged'`))[0];
    await stack.waitFor('the reason told', async () => Object.keys((await told()).observations.waiting).length > 0, 15);
    const { clock_skew_ms: skew, observations } = await told();
    expect(Math.abs(skew)).toBeGreaterThan(590_000);
    expect(observations.clockSkewSeconds).toBe(600);
    expect(JSON.stringify(observations.waiting)).toContain("clock is 10 min ahead of the server's");
  });

  test('nothing is let out once the abort has been answered', async () => {
    const reply = await stack.api('POST', `/v1/changes/${changeId}/abort`, { reason: 'a test' });
    atReply = await letOut();
    expect(reply.status).toBe(202);
    // What keeps them from starting goes away once their permits have ended, and not before.
    setTimeout(
      () => {
        for (const name of ['offered', 'accepted']) stack.proxy(name).rule(() => 'pass');
        stack.host('staged').behave({});
        // After minutes without an answer it asks rarely, which would count as silence; at its start it asks at once.
        const { process: offered } = stack.host('offered');
        void stack.processes.kill9(offered).then(() => stack.processes.start(offered));
      },
      soon.lastStart + 1_000 - Date.now(),
    );
    // Those who hold a permit may still start, no longer than the window lets them.
    expect(reply.body.outstanding).toBeGreaterThanOrEqual(3);
    expect(Date.parse(reply.body.mayStillStartUntil)).toBeLessThanOrEqual(soon.lastStart);
    await stack.waitFor(
      'what holds no permit taken back at once',
      async () => {
        const now = await see.states(changeId);
        return now.pending === 'withdrawn' && now.released === 'withdrawn';
      },
      15,
    );
  });

  // Permits have to end first: time for two more things to go wrong.
  test('two pumps: one stopped past its heartbeat and continued releases nothing beside the one that replaced it', async () => {
    await stack.addWorker('worker-2');
    for (const n of [1, 2, 3]) stack.host(`pump-${n}`).behave({ hold: 'forward' });
    const id = await stack.createChange(
      changeOf({ name: 'pump', labels: { team: 'pump' }, packages: ['app'], rings: [ringOf({ maxInFlight: 1 })] }),
    );
    await stack.waitFor('the first is let out', async () => (await see.count(id, ['release'])) === 1);
    const epoch = async () =>
      (await stack.rows('SELECT epoch::int FROM ring WHERE change_id = $1 AND ordinal = 0', [id]))[0].epoch;
    expect(await epoch()).toBe(1);
    const pumping = await whoPumps(stack, { changeId: id, workers: ['worker', 'worker-2'] });
    stack.processes.freeze(pumping);
    for (const n of [1, 2, 3]) stack.host(`pump-${n}`).behave({ applyMs: 2_000 });
    await stack.waitFor('another has taken over', async () => (await epoch()) === 2, 90);
    stack.processes.thaw(pumping);
    await see.closed(id, 90);
    expect(await see.outcome(id)).toBe('completed');
    expect(await see.count(id, ['release'])).toBe(3);
    const most = await stack.rows(
      `SELECT e.event, e.at, o.id FROM order_event e JOIN order_state o ON o.id = e.order_id
        WHERE o.change_id = $1 AND (e.event = 'release' OR e.to_state = 'succeeded') ORDER BY e.id`,
      [id],
    );
    expect(most.map((row) => row.event === 'release')).toEqual([true, false, true, false, true, false]);
    await stack.processes.stop('worker-2');
  }, 240_000);

  test('while the worker is dead a host reboots and proves itself, and a person decides: both count once it is back', async () => {
    const person = await stack.api('POST', '/v1/accounts', {
      name: 'Grace',
      email: 'grace@example.test',
      roles: ['Manager'],
      password: PASSWORD,
    });
    expect(person.status).toBe(201);
    stack.host('away-reboot').behave({ hold: 'forward', rebootRequired: true, rebootMs: 1_500 });
    const reboot = await stack.createChange({
      ...changeOf({ name: 'reboot', labels: {}, packages: ['app'] }),
      scope: { names: ['away-reboot'] },
    });
    const decide = await stack.createChange({
      ...changeOf({
        name: 'decide',
        labels: {},
        packages: ['app'],
        rings: [ringOf({ approvals: [approvalRule({ from: { accounts: [person.body.id] } })] })],
      }),
      scope: { names: ['away-decision'] },
    });
    const asked = async () =>
      (
        await stack.rows(
          `SELECT p.locator, r.id, r.plan_digest FROM approval_request r JOIN approval_person p ON p.request_id = r.id
            WHERE r.change_id = $1 AND r.state = 'open'`,
          [decide],
        )
      )[0];
    await stack.waitFor('a question', asked);
    await stack.waitFor('a host at work', async () => (await see.states(reboot))['away-reboot'] === 'applying');
    const { locator, id: requestId } = await asked();

    await stack.processes.kill9('worker');
    stack.host('away-reboot').behave({ rebootRequired: true, rebootMs: 1_500 });
    const browser = new Browser(stack.apiUrl);
    const signIn = await browser.get('/sign-in');
    await browser.post('/sign-in', { email: 'grace@example.test', password: PASSWORD, _csrf: signIn.field('_csrf') });
    const page = await browser.get(`/approvals/${locator}`);
    const answer = await browser.post(`/approvals/${locator}`, {
      _csrf: page.field('_csrf'),
      planDigest: page.field('planDigest'),
      decision: 'approve',
      comment: '',
      code: '',
    });
    expect([answer.status, answer.text]).toEqual([202, expect.stringContaining('being checked')]);
    await stack.waitFor(
      'proven without a worker',
      async () => (await see.states(reboot))['away-reboot'] === 'succeeded',
    );
    expect(
      stack
        .host('away-reboot')
        .effects()
        .filter((effect) => effect.action === 'reboot'),
    ).toHaveLength(1);
    expect(await see.orders(decide)).toEqual([]);

    await stack.processes.start('worker');
    await see.closed(decide, 120);
    await see.closed(reboot, 60);
    expect([await see.outcome(reboot), await see.outcome(decide)]).toEqual(['completed', 'completed']);
    const decisions = await stack.rows('SELECT state FROM approval_decision WHERE request_id = $1', [requestId]);
    expect(decisions).toEqual([{ state: 'counted' }]);
  }, 240_000);

  test('what has begun comes to its own end', async () => {
    await stack.processes.start(stack.host('released').process);
    stack.processes.thaw(stack.host('stalled').process);
    for (const name of ['applying', 'stalled', 'silent', 'verifying']) stack.host(name).behave({});
    stack.host('reverting').behave({ unhealthyAfter: true });
    writeFileSync(limitsFile(stack.host('awaitingReboot')), '{}');
    await see.closed(changeId, 220);
    expect(await see.outcome(changeId)).toBe('aborted');
    const states = await see.states(changeId);
    const wanted = Object.fromEntries(Object.entries(STATES).map(([state, [end]]) => [state, end]));
    expect(states).toEqual({ ...wanted, silent: 'expired' });
    expect(await letOut()).toBe(atReply);
  }, 240_000);

  test('a report that comes after its order expired still wins', async () => {
    stack.proxy('silent').rule(() => 'pass');
    // After minutes without an answer it asks rarely; at its start it asks at once.
    await stack.processes.kill9(stack.host('silent').process);
    await stack.processes.start(stack.host('silent').process);
    await stack.waitFor('the late report', async () => (await see.states(changeId)).silent === 'succeeded');
    for (const [state, [, version]] of Object.entries(STATES))
      expect([state, stack.host(state).version('app')]).toEqual([state, version]);
    expect(stack.host('silent').version('app')).toBe(NEW);
  }, 90_000);

  test('a window that closes over a package manager at work lets it finish, and reboots in the next', async () => {
    const host = stack.host('late-close');
    await stack.waitFor('the close', () => Date.now() > soon.closes, 200);
    expect((await see.states(closing))['late-close']).toBe('applying');
    host.behave({ rebootRequired: true });
    await stack.waitFor('applied', async () => (await see.states(closing))['late-close'] === 'awaitingReboot', 20);
    await stack.waitFor('the end', async () => (await see.outcome(closing)) !== null, 150);
    expect(await see.outcome(closing)).toBe('completed');
    const reboot = host.effects().find((effect) => effect.action === 'reboot');
    expect(reboot?.at).toBeGreaterThanOrEqual(soon.reopens);
    expect(host.starts()[0]?.announcedAt).toBeLessThanOrEqual(soon.lastStart);
  }, 400_000);

  test('every promise is kept', () => expectPromisesKept(stack));
});
