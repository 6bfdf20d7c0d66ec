/** Two things at once, in the worst order: a pause and a release, reports lost and doubled, two changes over the same hosts. */
import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { STRAGGLERS } from '../../domain/change/spec.js';
import type { OrderState } from '../../domain/order/index.js';
import { addApprover } from '../helpers/stack/approver.js';
import { expectPromisesKept } from '../helpers/stack/invariants.js';
import { arm, disarm, standsStill } from '../helpers/stack/kill-points.js';
import { lookAt, runsOf } from '../helpers/stack/look.js';
import { openPolicy } from '../helpers/stack/seed.js';
import { changeOf, NEW, OLD, ringOf, type Stack, startStack } from '../helpers/stack.js';

const NEWER = '3.0-1';

/**
 * Where the routine order of each host stands when the urgent change comes, and what the urgent one then does there: goes to
 * work at once because the routine one is over or not yet out, takes its place, or waits for its end.
 */
const OVER: Readonly<Record<string, { readonly state: OrderState; readonly urgent: 'atOnce' | 'instead' | 'after' }>> =
  {
    pending: { state: 'pending', urgent: 'atOnce' },
    released: { state: 'released', urgent: 'instead' },
    offered: { state: 'offered', urgent: 'instead' },
    accepted: { state: 'accepted', urgent: 'instead' },
    staged: { state: 'staged', urgent: 'instead' },
    permitted: { state: 'staged', urgent: 'after' },
    applying: { state: 'applying', urgent: 'after' },
    awaitingReboot: { state: 'awaitingReboot', urgent: 'after' },
    rebooting: { state: 'rebooting', urgent: 'after' },
    verifying: { state: 'verifying', urgent: 'after' },
    reverting: { state: 'reverting', urgent: 'after' },
    stalled: { state: 'stalled', urgent: 'after' },
    succeeded: { state: 'succeeded', urgent: 'atOnce' },
    same: { state: 'succeeded', urgent: 'atOnce' },
    reverted: { state: 'reverted', urgent: 'atOnce' },
    failed: { state: 'failed', urgent: 'atOnce' },
    skipped: { state: 'skipped', urgent: 'atOnce' },
  };
/** These get no permit until a hook on the server has ended. */
const GATED = ['offered', 'accepted', 'staged', 'failed'];
const over = (...urgent: string[]) => Object.keys(OVER).filter((name) => urgent.includes(OVER[name]?.urgent ?? ''));

let stack: Stack;
beforeAll(async () => {
  const hosts = (team: string, names: readonly string[], proxied = false) =>
    names.map((name) => ({ name: `${team}-${name}`, labels: { team }, proxied }));
  stack = await startStack({
    packages: ['app', 'fix'],
    more: [{ name: 'app', version: NEWER }],
    // Every turn of a ring is long enough to go on in a new history.
    temporalConfig: ['limit.historyCount.suggestContinueAsNew=5'],
    hosts: [
      ...hosts('pause', ['1', '2', '3']),
      ...hosts('net', ['lost', 'doubled'], true),
      ...hosts('turn', ['first', 'late', 'last']),
      ...Object.keys(OVER).map((name) => ({
        name: `over-${name}`,
        labels: { team: 'over', ...(GATED.includes(name) ? { gated: 'yes' } : {}) },
        proxied: ['offered', 'accepted'].includes(name),
        config: { healthGraceSeconds: name === 'verifying' ? 600 : 1 },
      })),
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

describe('a decision arriving during continue-as-new', () => {
  const ROUNDS = 6;

  test('is counted once and opens its ring, and every word of a person is carried out', async () => {
    const grace = await addApprover(stack, 'Grace');
    const names = (...hosts: string[]) => ({ names: hosts.map((host) => `turn-${host}`) });
    stack.host('turn-first').behave({ hold: 'forward' });
    const id = await stack.createChange(
      changeOf({
        name: 'turns',
        labels: { team: 'turn' },
        packages: ['app'],
        rings: [
          ringOf({ select: names('first', 'late'), hostOrder: [names('first')] }),
          ringOf({ name: 'rest', select: names('last'), approvals: [grace.rule] }),
        ],
      }),
    );
    await stack.waitFor('at work', async () => (await see.states(id))['turn-first'] === 'applying');
    // Away since long ago: caught up in a lane of its own, which goes on while the next ring waits for its approval.
    await stack.processes.kill9(stack.host('turn-late').process);
    await stack.rows(`UPDATE endpoint SET last_seen = now() - interval '2 hours' WHERE name = 'turn-late'`);
    stack.host('turn-first').behave({});
    await stack.waitFor('a question', () => grace.asked(id));
    const lane = async (): Promise<{ halted: boolean }> =>
      (await stack.rows('SELECT halted FROM ring WHERE change_id = $1 AND ordinal = $2', [id, STRAGGLERS]))[0];
    await stack.waitFor('a lane', lane);
    const tell = async (verb: string) =>
      expect((await stack.api('POST', `/v1/changes/${id}/${verb}`, {})).status).toBe(202);
    let deciding: Promise<void> | undefined;
    for (let round = 1; round <= ROUNDS; round++) {
      await tell('pause');
      // The lane hears it as it ends one history and begins the next; so does whoever waits for the decision.
      await Promise.all([tell('resume'), tell('retry-failed')]);
      if (round === ROUNDS / 2) deciding = grace.approve(id);
      await stack.waitFor('going on', async () => !(await lane()).halted);
    }
    await deciding;
    await stack.processes.start(stack.host('turn-late').process);
    await see.closed(id, 90);
    expect(await see.outcome(id)).toBe('completed');
    expect(['first', 'late', 'last'].map((name) => stack.host(`turn-${name}`).version('app'))).toEqual([NEW, NEW, NEW]);
    const decisions = await stack.rows(
      `SELECT d.state, r.id = ANY (g.approvals) AS opened, cardinality(g.approvals) AS named FROM approval_request r
         JOIN ring g ON g.change_id = r.change_id AND g.ordinal = r.ring JOIN approval_decision d ON d.request_id = r.id WHERE r.change_id = $1`,
      [id],
    );
    expect(decisions).toEqual([{ state: 'counted', opened: true, named: 1 }]);
    const unheard = await stack.rows(`SELECT topic FROM outbox WHERE done_at IS NULL`);
    expect(unheard).toEqual([]);
    expect(await runsOf(stack, `change/${id}/ring/${STRAGGLERS}`)).toBeGreaterThanOrEqual(ROUNDS / 2);
  }, 120_000);
});

describe('a change of higher priority over a routine one in every state', () => {
  let routine: string;
  let urgent: string;
  const host = (name: string) => stack.host(`over-${name}`);
  const statesOf = async (changeId: string): Promise<Record<string, string>> =>
    Object.fromEntries((await see.orders(changeId)).map((row) => [row.host.slice('over-'.length), row.state]));
  const limits = (name: string, owner: object) =>
    writeFileSync(join(host(name).stateDir, 'limits.json'), JSON.stringify(owner));
  const holdFile = () => join(stack.dataDir, 'hold-gate');

  /** A program on the server that keeps the routine change's orders from their permits, and one of them for good. */
  async function gate(): Promise<void> {
    const text = `#!/bin/sh
facts=$(cat)
case "$facts" in *'"change":"routine"'*) ;; *) exit 0;; esac
case "$facts" in *'"endpoint":"over-failed"'*) exit 3;; esac
while [ -e ${holdFile()} ]; do sleep 0.05; done
`;
    mkdirSync(join(stack.dataDir, 'hooks'), { recursive: true });
    writeFileSync(holdFile(), '');
    writeFileSync(join(stack.dataDir, 'hooks', 'gate'), text, { mode: 0o755 });
    const sha256 = createHash('sha256').update(text).digest('hex');
    const hook = { name: 'gate', when: 'before', onFailure: 'fail', timeoutSeconds: 600, runsOn: 'server', sha256 };
    const document = openPolicy({ appliesTo: { labels: { gated: 'yes' } }, hooks: [hook] });
    expect((await stack.api('PUT', '/v1/policy-sets/gated', { precedence: 10, document })).status).toBeLessThan(300);
  }

  test('takes the place of what has not begun, and waits for what has', async () => {
    await gate();
    await stack.processes.kill9(host('released').process);
    stack.proxy('over-offered').rule(({ path }) => (path.endsWith('/poll') ? 'loseReply' : 'pass'));
    stack.proxy('over-accepted').rule(({ path }) => (path.includes('/content/') ? 'refuse' : 'pass'));
    host('permitted').behave({ clockOffsetMs: 600_000 });
    for (const name of ['applying', 'stalled']) host(name).behave({ hold: 'forward' });
    host('awaitingReboot').behave({ hold: 'forward', rebootRequired: true });
    host('rebooting').behave({ rebootRequired: true, rebootMs: 1_000 });
    for (const name of ['verifying', 'reverted']) host(name).behave({ unhealthyAfter: true });
    host('reverting').behave({ unhealthyAfter: true, hold: 'back' });
    limits('skipped', { neverTouch: ['app'] });
    routine = await stack.createChange(
      changeOf({
        name: 'routine',
        labels: { team: 'over' },
        packages: ['app'],
        // Soaks for long, so that it is open still when somebody wants it undone.
        rings: [
          ringOf({
            maxInFlight: 30,
            errorBudget: { count: 30 },
            soakMinutes: 600,
            hostOrder: [{ names: Object.keys(OVER).flatMap((name) => (name === 'pending' ? [] : [`over-${name}`])) }],
            deadlineMinutes: 700,
          }),
        ],
        over: { deadlineMinutes: 1_000 },
      }),
    );
    const reaches = (name: string, state: OrderState) =>
      stack.waitFor(`${name} is ${state}`, async () => {
        await see.hurry(routine);
        return (await statesOf(routine))[name] === state;
      });
    // A machine that is down and does not come up yet.
    await reaches('rebooting', 'rebooting');
    await stack.processes.kill9(host('rebooting').process);
    await reaches('awaitingReboot', 'applying');
    limits('awaitingReboot', { windows: [] });
    host('awaitingReboot').behave({ rebootRequired: true });
    await reaches('stalled', 'applying');
    stack.processes.freeze(host('stalled').process);
    await stack.waitFor('the routine change in every state', async () => {
      // As if an hour had gone by; again and again, for its last words may still be on their way.
      await stack.rows(
        `UPDATE order_state o SET updated_at = now() - interval '2 hours' FROM endpoint e
          WHERE e.id = o.endpoint_id AND e.name = 'over-stalled' AND o.change_id = $1 AND o.state = 'applying'`,
        [routine],
      );
      const now = await statesOf(routine);
      const wrong = Object.entries(OVER).filter(([name, { state }]) => now[name] !== state);
      return wrong.length === 0 ? true : Promise.reject(new Error(JSON.stringify(now)));
    });
    host('reverted').behave({});
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
    host('same').behave({
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
        rings: [ringOf({ maxInFlight: 30 })],
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
    const where = async (changeId: string, names: readonly string[], state: OrderState) => {
      const now = await statesOf(changeId);
      return names.every((name) => now[name] === state) || Promise.reject(new Error(JSON.stringify(now)));
    };
    await stack.waitFor('in their place', async () => {
      await see.hurry(urgent);
      return where(routine, over('instead'), 'superseded');
    });
    await stack.waitFor('at once', async () => {
      await see.hurry(urgent);
      return where(urgent, over('atOnce'), 'succeeded');
    });
    // Nothing interrupts a package manager, and a permit is kept: the urgent one waits where the routine one is at work.
    expect(await where(urgent, over('after'), 'pending')).toBe(true);
    const routineNow = await statesOf(routine);
    for (const name of over('after')) expect([name, routineNow[name]]).toEqual([name, OVER[name]?.state]);

    rmSync(holdFile());
    for (const name of ['offered', 'accepted']) stack.proxy(`over-${name}`).rule(() => 'pass');
    for (const name of over('instead', 'after')) host(name).behave({});
    limits('awaitingReboot', {});
    stack.processes.thaw(host('stalled').process);
    // After a while without an answer it asks rarely; at its start it asks at once.
    await stack.processes.kill9(host('offered').process);
    for (const name of ['released', 'offered', 'rebooting']) await stack.processes.start(host(name).process);
    await see.closed(urgent, 90);
    await see.closed(same, 60);
    expect(await see.outcome(urgent)).toBe('completed');
    for (const name of Object.keys(OVER)) expect([name, host(name).version('fix')]).toEqual([name, NEW]);
    expect(host('same').version('app')).toBe(NEWER);
  }, 240_000);

  test('rolled back, the routine one leaves the urgent one alone', async () => {
    // What failed before it keeps the last host waiting for good.
    await stack.waitFor('whatever of it had begun is over', async () => {
      const left = (
        await stack.rows(`SELECT state FROM order_state WHERE change_id = $1 AND phase <> 'done'`, [routine])
      ).map((row) => row.state);
      return (left.length === 1 && left[0] === 'pending') || Promise.reject(new Error(JSON.stringify(left)));
    });
    const reply = await stack.api('POST', `/v1/changes/${routine}/rollback`, { reason: 'a test' });
    expect(reply.status).toBe(202);
    await see.closed(routine, 90);
    expect(await see.outcome(routine)).toBe('rolledBack');
    for (const name of Object.keys(OVER))
      if (name !== 'same')
        expect([name, host(name).version('app'), host(name).version('fix')]).toEqual([name, OLD, NEW]);
    expect((await statesOf(routine)).pending).toBe('withdrawn');
    // What is installed there is no longer what the routine change installed.
    expect([host('same').version('app'), host('same').version('fix')]).toEqual([NEWER, NEW]);
    expect((await see.orders(routine, 'revert')).find((row) => row.host === 'over-same')?.outcome).toBe('moot');
  }, 120_000);
});

test('every promise is kept', () => expectPromisesKept(stack));
