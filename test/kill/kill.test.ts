/**
 * `kill -9` of each process while changes stand at these points, each of them held there until the kill. One kill hits all
 * of them; afterwards every promise holds and every change ends as it should.
 *
 * | point     | worker, PostgreSQL, Temporal        | API                                | agent                                      |
 * | --------- | ----------------------------------- | ---------------------------------- | ------------------------------------------ |
 * | `before`  | a release, not committed            | a start's report, not committed    | given a permit that is not committed       |
 * | `after`   | committed, the pump not through     | committed, its reply not sent      | begun, its package manager not through     |
 * | `beat`    | hosts at work, the pump's heart beats | the same                         | the same                                   |
 * | `revert`  | a ring going back, one host at it   | the same                           | the same                                   |
 * | `decided` | an approval judged, or its orders inserted, not committed | one sent, not committed | its orders inserted, not committed |
 * | `journal` |                                     |                                    | {@link JOURNAL}: its own commits           |
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Approver, addApprover } from '../helpers/stack/approver.js';
import type { Host, JournalPoint } from '../helpers/stack/hosts.js';
import { expectPromisesKept } from '../helpers/stack/invariants.js';
import { arm, disarm, type KillPoint, standsStill } from '../helpers/stack/kill-points.js';
import { lookAt } from '../helpers/stack/look.js';
import { changeOf, NEW, OLD, ringOf, type Stack, startStack } from '../helpers/stack.js';

const POINTS = ['before', 'after', 'beat', 'revert', 'decided'] as const;
type Point = (typeof POINTS)[number] | 'journal';
type Victim = 'worker' | 'postgres' | 'temporal' | 'api' | 'agent';

/** Which event the first two points are about: an order let out, or what an agent is given and says. */
const EVENT: Readonly<Record<Victim, { readonly before: KillPoint; readonly after: KillPoint }>> = {
  worker: { before: 'release', after: 'release' },
  postgres: { before: 'release', after: 'release' },
  temporal: { before: 'release', after: 'release' },
  api: { before: 'apply', after: 'apply' },
  agent: { before: 'permit', after: 'apply' },
};
/** How far an approval has come: sent by its person, judged by the worker, or about to open its ring. */
const APPROVAL: Readonly<Record<Victim, KillPoint>> = {
  worker: 'decision counted',
  postgres: 'decision counted',
  temporal: 'insert change',
  api: 'decision submitted',
  agent: 'insert change',
};
/** The agent's own commits: of a start and of its result, each before it is durable and right after, by the number of a host. */
const JOURNAL: readonly JournalPoint[] = [
  { report: 'apply', when: 'before' },
  { report: 'apply', when: 'torn' },
  { report: 'apply', when: 'after' },
  { report: 'applied', when: 'before' },
  { report: 'applied', when: 'after' },
];
const VICTIMS = Object.keys(EVENT) as Victim[];
const packageOf = (victim: Victim) => `app-${victim}`;

let stack: Stack;
let grace: Approver;
const team = (point: Point): Host[] => stack.hosts.filter((host) => host.name.startsWith(point));

beforeAll(async () => {
  stack = await startStack({
    packages: VICTIMS.map(packageOf),
    hosts: [
      ...POINTS.flatMap((point) =>
        (point === 'decided' ? [1] : [1, 2, 3]).map((n) => ({ name: `${point}-${n}`, labels: { team: point } })),
      ),
      ...JOURNAL.map((_, at) => ({ name: `journal-${at}`, labels: { team: 'journal' }, journalPoints: true })),
    ],
  });
  grace = await addApprover(stack, 'Grace');
}, 120_000);
afterAll(() => stack?.end(), 60_000);

describe.each(VICTIMS)('kill -9 of %s', (victim) => {
  const ids: Partial<Record<Point, string>> = {};
  const ask = async (point: Point): Promise<string> => {
    // The last ring spends its budget on its last host, so that it goes back on the others.
    const failing = ringOf({ haltAction: 'rollback', hostOrder: [{ names: ['revert-1', 'revert-2'] }] });
    const approved = ringOf({ approvals: [grace.rule] });
    const id = await stack.createChange(
      changeOf({
        name: `${victim} ${point}`,
        labels: { team: point },
        packages: [packageOf(victim)],
        rings: [point === 'revert' ? failing : point === 'decided' ? approved : ringOf({ maxInFlight: 5 })],
      }),
    );
    ids[point] = id;
    return id;
  };
  const inState = async (point: Point, kind: string, state: string): Promise<boolean> =>
    (
      await stack.rows('SELECT 1 FROM order_state WHERE change_id = $1 AND kind = $2 AND state = $3', [
        ids[point],
        kind,
        state,
      ])
    ).length > 0;
  const happened = async (point: Point, event: string): Promise<boolean> =>
    (
      await stack.rows(
        'SELECT 1 FROM order_event e JOIN order_state o ON o.id = e.order_id WHERE o.change_id = $1 AND e.event = $2',
        [ids[point], event],
      )
    ).length > 0;

  const everyJournalHeld = async (changeId: string): Promise<void> => {
    for (const [at, point] of JOURNAL.entries()) stack.host(`journal-${at}`).standAt(point);
    await stack.waitFor('each agent at its own commit', async () => {
      // Slow start is not what this is about.
      await lookAt(stack).hurry(changeId);
      return team('journal').every((host) => host.standsStill());
    });
  };

  /** Whether the report a host's agent was killed at is in its journal. */
  const keptReport = (host: Host, at: number): boolean =>
    host.journal().some((record) => {
      const ofThis = record.type === 'report' && host.book().orders[record.orderId]?.doc?.changeId === ids.journal;
      return ofThis && record.report.type === JOURNAL[at]?.report;
    });
  /** Whether starts are on record at the server, and none of their agents knows. */
  const heardNothingOfIt = async (): Promise<boolean> => {
    const starts = await stack.rows(
      `SELECT n.name, e.order_id, e.seq FROM order_event e JOIN order_state o ON o.id = e.order_id JOIN endpoint n ON n.id = o.endpoint_id
        WHERE o.change_id = $1 AND e.event = 'apply'`,
      [ids.after],
    );
    const acked = starts.map((row) => stack.host(row.name).book().orders[row.order_id]?.acked ?? 0);
    return starts.length > 0 && starts.every((row, at) => Number(acked[at]) < row.seq);
  };

  beforeAll(async () => {
    for (const host of team('revert')) host.behave({ hold: 'back', unhealthyAfter: host.name === 'revert-3' });
    for (const host of team('beat')) host.behave({ hold: 'forward' });
    // The agent's own package manager dies with it here; everywhere else it outlives it.
    if (victim === 'agent') for (const host of team('after')) host.behave({ hold: 'forward', fragile: true });

    await ask('revert');
    const at = { event: EVENT[victim].before, changeId: await ask('before') };
    await arm(stack.pool, at);
    await ask('beat');
    const decision = { event: APPROVAL[victim], changeId: await ask('decided') };
    await stack.waitFor('a transaction before its commit', () => standsStill(stack.pool, at));
    await stack.waitFor('hosts at work', () => inState('beat', 'change', 'applying'));
    await stack.waitFor('unhealthy', () => happened('revert', 'revertBegun'));
    team('revert')[2]?.behave({});
    await stack.waitFor('a host going back', () => inState('revert', 'revert', 'reverting'));
    await stack.waitFor('a question', () => grace.asked(decision.changeId));
    await arm(stack.pool, decision);
    const deciding = grace.approve(decision.changeId);
    deciding.catch(() => undefined);
    await stack.waitFor('an approval on its way', () => standsStill(stack.pool, decision));
    const early = await stack.rows('SELECT id FROM order_state WHERE change_id = $1', [decision.changeId]);
    expect(early).toEqual([]);
    if (victim === 'agent') await everyJournalHeld(await ask('journal'));
    const committed = () => happened('after', EVENT[victim].after);
    if (victim === 'api') stack.commitGate.keepBackOnce(committed);
    await ask('after');
    await stack.waitFor('a commit', committed);
    if (victim === 'api') await stack.waitFor('its reply kept back', () => stack.commitGate.kept > 0);

    const names = victim === 'agent' ? stack.hosts.map((host) => host.process) : [victim];
    await Promise.all(names.map((name) => stack.processes.kill9(name)));
    if (victim === 'agent') expect(team('journal').map(keptReport)).toEqual([false, false, true, false, true]);
    if (victim === 'api') expect(await heardNothingOfIt()).toBe(true);
    stack.commitGate.letGo();
    for (const host of stack.hosts) host.behave({});
    for (const host of team('journal')) host.standAt(null);
    if (victim === 'postgres') await stack.processes.start(victim);
    await stack.waitFor('the database', () => disarm(stack.pool).then(() => true));
    if (victim !== 'postgres') await Promise.all(names.map((name) => stack.processes.start(name)));
    await deciding;
    await stack.waitFor(
      'every change closed',
      async () => {
        const changes = Object.values(ids);
        const [row] = await stack.rows(
          'SELECT count(*)::int AS n FROM change WHERE id = ANY ($1) AND closed_at IS NOT NULL',
          [changes],
        );
        return row.n === changes.length;
      },
      120,
    );
  }, 240_000);

  const outcome = async (point: Point) =>
    (await stack.rows('SELECT outcome FROM change WHERE id = $1', [ids[point]]))[0].outcome;
  const versions = (point: Point) => team(point).map((host) => host.version(packageOf(victim)));

  test('before a commit: every host has exactly what was planned', async () => {
    expect([await outcome('before'), ...versions('before')]).toEqual(['completed', NEW, NEW, NEW]);
  });
  test('after a commit, before completion: every host has exactly what was planned', async () => {
    expect([await outcome('after'), ...versions('after')]).toEqual(['completed', NEW, NEW, NEW]);
  });
  if (victim === 'agent')
    test('before and after its own journal has a start and a result: every host has exactly what was planned', async () => {
      expect([await outcome('journal'), ...versions('journal')]).toEqual(['completed', ...JOURNAL.map(() => NEW)]);
    });
  test('mid-heartbeat: every host has exactly what was planned', async () => {
    expect([await outcome('beat'), ...versions('beat')]).toEqual(['completed', NEW, NEW, NEW]);
  });
  test('mid-revert: every host is back on what it had', async () => {
    expect([await outcome('revert'), ...versions('revert')]).toEqual(['rolledBack', OLD, OLD, OLD]);
  });
  test('between a decision and its ring: counted once, and the ring opened on it', async () => {
    expect([await outcome('decided'), ...versions('decided')]).toEqual(['completed', NEW]);
    const decisions = await stack.rows(
      `SELECT d.state, r.state AS request, r.id = ANY (g.approvals) AS opened, cardinality(g.approvals) AS named
         FROM approval_request r JOIN ring g ON g.change_id = r.change_id AND g.ordinal = r.ring
         JOIN approval_decision d ON d.request_id = r.id WHERE r.change_id = $1`,
      [ids.decided],
    );
    expect(decisions).toEqual([{ state: 'counted', request: 'approved', opened: true, named: 1 }]);
  });
  test('every promise is kept', () => expectPromisesKept(stack));
});
