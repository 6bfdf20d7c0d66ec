/**
 * An approval and a new plan at the same moment, with everything real. A plan that asks for more is never carried out on what
 * was said about the one before; whoever decides is told which plan is in force; and each change ends up waiting for a decision
 * on exactly that one.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Browser } from '../helpers/browser.js';
import { approvalRule } from '../helpers/scripted-activities.js';
import { expectPromisesKept } from '../helpers/stack/invariants.js';
import { arm, disarm, standsStill } from '../helpers/stack/kill-points.js';
import { lookAt } from '../helpers/stack/look.js';
import { type Answer, changeOf, NEW, OLD, ringOf, type Stack, startStack } from '../helpers/stack.js';

const PASSWORD = 'correct horse battery';
const HOSTS = ['h0', 'h1', 'h2', 'h3', 'h4'];

/** How long each waits before it speaks; a new plan may be asked for by two at once. */
interface Timing {
  readonly decide: number;
  readonly replan: readonly number[];
}
const TIMINGS: readonly Timing[] = [
  { decide: 0, replan: [0] },
  { decide: 0, replan: [0, 0] },
  { decide: 0, replan: [30, 35] },
  { decide: 0, replan: [90] },
  { decide: 20, replan: [0] },
  { decide: 50, replan: [0, 20] },
  { decide: 90, replan: [0] },
  { decide: 150, replan: [0, 90] },
  { decide: 230, replan: [0] },
  { decide: 350, replan: [0, 200] },
];

/** One change for package `p…`; `q…` comes with it once its exception has ended. */
interface Round {
  readonly n: number;
  readonly id: string;
  readonly host: string;
  readonly exception: string;
}

interface Waiting {
  readonly requestId: string;
  readonly digest: string;
}

let stack: Stack;
let see: ReturnType<typeof lookAt>;
let ada: Browser;
let adaId: string;
beforeAll(async () => {
  const packages = [...TIMINGS.keys(), 'held', 'judged', 'late', 'less'].flatMap((n) => [`p${n}`, `q${n}`]);
  stack = await startStack({
    packages,
    hosts: HOSTS.map((name) => ({ name, labels: { host: name }, config: { healthGraceSeconds: 0.1 } })),
  });
  see = lookAt(stack);
  const account = { name: 'Ada', email: 'ada@example.test', roles: ['Manager'], password: PASSWORD };
  adaId = (await stack.api('POST', '/v1/accounts', account)).body.id;
  ada = new Browser(stack.apiUrl);
  const page = await ada.get('/sign-in');
  await ada.post('/sign-in', { _csrf: page.field('_csrf'), next: '/', email: account.email, password: PASSWORD });
}, 120_000);
afterAll(() => stack?.end(), 60_000);

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function except(name: string): Promise<string> {
  const { status, body } = await stack.api('POST', '/v1/exceptions', {
    selector: { all: true },
    package: name,
    reason: 'a test',
    owner: adaId,
    expiresAt: new Date(Date.now() + 86_400_000).toISOString(),
  });
  if (status !== 201) throw new Error(`exception refused: ${JSON.stringify(body)}`);
  return body.id;
}
const liftException = (id: string) => stack.api('DELETE', `/v1/exceptions/${id}`);

async function begin(key: number | string, n: number, options: { readonly excepted: boolean }): Promise<Round> {
  const host = HOSTS[n % HOSTS.length] as string;
  const exception = options.excepted ? await except(`q${key}`) : '';
  const rings = [ringOf({ approvals: [approvalRule({ from: { accounts: [adaId] } })] })];
  const packages = [`p${key}`, `q${key}`];
  const id = await stack.createChange(changeOf({ name: `round ${key}`, labels: { host }, packages, rings }));
  return { n, id, host, exception };
}

/** The request that waits for a decision, if it is the only one and about the plan in force. */
async function waiting(id: string): Promise<Waiting | undefined> {
  const rows = await stack.rows(
    `SELECT r.id, r.plan_digest, c.plan_digest AS in_force FROM approval_request r JOIN change c ON c.id = r.change_id
      WHERE c.id = $1 AND r.state = 'open'`,
    [id],
  );
  const [only] = rows;
  if (rows.length !== 1 || only.plan_digest !== only.in_force) throw new Error(JSON.stringify(rows));
  return { requestId: only.id, digest: only.in_force };
}

async function asked(id: string): Promise<Waiting> {
  let found: Waiting | undefined;
  await stack.waitFor('exactly the plan in force waits for a decision', async () => {
    found = await waiting(id);
    return true;
  });
  return found as Waiting;
}

async function approve({ requestId, digest }: Waiting): Promise<Answer> {
  const reply = await ada.send('POST', `/v1/approvals/${requestId}/decisions`, {
    body: JSON.stringify({ decision: 'approve', planDigest: digest }),
    headers: { 'content-type': 'application/json', origin: stack.apiUrl },
  });
  return { status: reply.status, body: JSON.parse(reply.text) };
}

const replan = (id: string) => stack.api('POST', `/v1/changes/${id}/replan`, { reason: 'the exception has ended' });

/** All that was said has reached the workflows, and been answered by them. */
const heard = (id: string) =>
  stack.waitFor('everything said has been heard', async () => {
    const [row] = await stack.rows(
      `SELECT count(*)::int AS n FROM outbox WHERE done_at IS NULL AND workflow_id LIKE 'change/' || $1 || '%'`,
      [id],
    );
    return row.n === 0;
  });

async function planOf(id: string): Promise<string> {
  return (await stack.rows('SELECT plan_digest FROM change WHERE id = $1', [id]))[0].plan_digest;
}

/** What the ring was opened under, if it was. */
async function openedUnder(id: string): Promise<string | null> {
  const [ring] = await stack.rows(`SELECT approved_digest FROM ring WHERE change_id = $1 AND ordinal = 0`, [id]);
  return ring.approved_digest;
}

/** After the race: either the old plan was carried out as approved, or the new one waits, and is carried out once approved. */
async function settle(round: Round, before: Waiting, decided: Answer): Promise<'old plan' | 'new plan'> {
  await heard(round.id);
  const [host, q] = [stack.host(round.host), stack.host(round.host).version.bind(stack.host(round.host))];
  const key = (await stack.rows('SELECT name FROM change WHERE id = $1', [round.id]))[0].name.slice(6);
  if ((await planOf(round.id)) === before.digest) {
    // The decision came first, and the ring was open before the new plan could be made.
    expect(decided.status).toBe(201);
    await see.closed(round.id);
    expect(await openedUnder(round.id)).toBe(before.digest);
    expect([host.version(`p${key}`), q(`q${key}`)]).toEqual([NEW, OLD]);
    return 'old plan';
  }
  const now = await asked(round.id);
  expect(now.digest).not.toBe(before.digest);
  if (decided.status === 409)
    expect(decided.body).toMatchObject({ planInForce: now.digest, detail: expect.stringContaining(now.digest) });
  else expect(decided).toMatchObject({ status: 201, body: { state: 'counted' } });
  const [decision] = await stack.rows('SELECT plan_digest FROM approval_decision WHERE request_id = $1', [
    before.requestId,
  ]);
  if (decision !== undefined) expect(decision.plan_digest).toBe(before.digest);
  const [old] = await stack.rows('SELECT state FROM approval_request WHERE id = $1', [before.requestId]);
  expect(old.state).toBe('voided');
  expect(await see.orders(round.id)).toEqual([]);
  expect(await openedUnder(round.id)).toBeNull();
  expect([host.version(`p${key}`), q(`q${key}`)]).toEqual([OLD, OLD]);
  expect((await approve(now)).status).toBe(201);
  await see.closed(round.id);
  expect(await openedUnder(round.id)).toBe(now.digest);
  expect([host.version(`p${key}`), q(`q${key}`)]).toEqual([NEW, NEW]);
  return 'new plan';
}

test('in whatever order both arrive', async () => {
  const rounds = await Promise.all(TIMINGS.map((_, n) => begin(n, n, { excepted: true })));
  const before = await Promise.all(rounds.map(({ id }) => asked(id)));
  const decided: Answer[] = [];
  for (const [n, { decide, replan: replans }] of TIMINGS.entries()) {
    const { id, exception } = rounds[n] as Round;
    await liftException(exception);
    const [said, ...planned] = await Promise.all([
      pause(decide).then(() => approve(before[n] as Waiting)),
      ...replans.map((ms) => pause(ms).then(() => replan(id))),
    ]);
    decided.push(said as Answer);
    for (const reply of planned) expect([202, 409]).toContain(reply?.status);
  }
  const ends = await Promise.all(rounds.map((round, n) => settle(round, before[n] as Waiting, decided[n] as Answer)));
  expect(ends).toContain('new plan');
}, 120_000);

test('an approval that is counted while the new plan is being written approves nothing', async () => {
  const round = await begin('held', 0, { excepted: true });
  const before = await asked(round.id);
  await liftException(round.exception);
  const holder = await stack.pool.connect();
  try {
    await holder.query('BEGIN');
    await holder.query('SELECT 1 FROM ring WHERE change_id = $1 FOR UPDATE', [round.id]);
    expect((await replan(round.id)).status).toBe(202);
    await stack.waitFor('the new plan waits to be written', async () => {
      const rows = await stack.rows(
        `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ILIKE '%ring%' AND datname = current_database()`,
      );
      return rows.length > 0;
    });
    const decided = await approve(before);
    expect(decided).toMatchObject({ status: 201, body: { state: 'counted' } });
    await holder.query('ROLLBACK');
    expect(await settle(round, before, decided)).toBe('new plan');
  } finally {
    await holder.query('ROLLBACK');
    holder.release();
  }
}, 60_000);

test('nor does one whose judgement commits just before it', async () => {
  const round = await begin('judged', 1, { excepted: true });
  const before = await asked(round.id);
  await liftException(round.exception);
  const at = { event: 'decision counted', changeId: round.id };
  await arm(stack.pool, at);
  const deciding = approve(before);
  await stack.waitFor('the judgement stands before its commit', () => standsStill(stack.pool, at));
  expect((await replan(round.id)).status).toBe(202);
  await stack.waitFor('the new plan waits for it', async () => {
    const rows = await stack.rows(
      `SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ILIKE '%voided%' AND datname = current_database()`,
    );
    return rows.length > 0;
  });
  await disarm(stack.pool);
  const decided = await deciding;
  expect(decided.status).toBe(201);
  expect(await settle(round, before, decided)).toBe('new plan');
}, 60_000);

test('one about a plan that was replaced is refused, and names the plan in force', async () => {
  const round = await begin('late', 2, { excepted: true });
  const before = await asked(round.id);
  await liftException(round.exception);
  expect((await replan(round.id)).status).toBe(202);
  await stack.waitFor('a new plan', async () => (await planOf(round.id)) !== before.digest);
  const decided = await approve(before);
  expect(decided.status).toBe(409);
  expect(await settle(round, before, decided)).toBe('new plan');
}, 60_000);

test('a plan that asks for less keeps what is asked, and is what the approval carries out', async () => {
  const round = await begin('less', 3, { excepted: false });
  const before = await asked(round.id);
  await except('qless');
  expect((await replan(round.id)).status).toBe(202);
  await heard(round.id);
  const narrower = await planOf(round.id);
  expect(narrower).not.toBe(before.digest);
  const { body } = await stack.api('GET', `/v1/changes/${round.id}`);
  expect(body.waitingFor).toBe('Ring 0 waits for approval');
  expect((await approve(before)).status).toBe(201);
  await see.closed(round.id);
  expect(await openedUnder(round.id)).toBe(narrower);
  expect([stack.host('h3').version('pless'), stack.host('h3').version('qless')]).toEqual([NEW, OLD]);
}, 60_000);

test('every promise is kept', () => expectPromisesKept(stack));
