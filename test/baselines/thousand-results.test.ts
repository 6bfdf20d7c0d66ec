/** Results of a thousand endpoints that come at the same moment, signed, through the agents' gateway: none is lost, none counts twice. */
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { generateSigningKeyPem, keyIdOf, signingKeyFromPem } from '../../protocol/envelope.js';
import { type Answer, type SimulatedAgent, simulatedAgent } from '../helpers/agent-client.js';
import { testRuleId } from '../helpers/data-stream.js';
import { BaselineRig } from './rig.js';

jest.setTimeout(180_000);

const COUNT = 1_000;
/** Ten rules: which of them fail is an endpoint's number in binary, so that no two have the same results. */
const RULES = Array.from({ length: 10 }, (_, n) => `rule${n}`);
const failsOn = (rule: number, endpoint: number): boolean => ((endpoint >> rule) & 1) === 1;
const codesOf = (endpoint: number): string => RULES.map((_, rule) => (failsOn(rule, endpoint) ? 'f' : 'p')).join('');
const failures = Array.from({ length: COUNT }, (_, n) => RULES.filter((_, rule) => failsOn(rule, n)).length);
const sum = (all: readonly number[]): number => all.reduce((a, b) => a + b, 0);

let rig: BaselineRig;
let digest: string;
interface Reporting {
  readonly id: string;
  readonly n: number;
  readonly agent: SimulatedAgent;
  readonly orderId: string;
}
let endpoints: readonly Reporting[];

beforeAll(async () => {
  rig = await BaselineRig.start(RULES);
  const checklist = await rig.assign('all', { critical: [testRuleId('rule0')] });
  const keys = Array.from({ length: COUNT }, () => signingKeyFromPem(generateSigningKeyPem()));
  const rows = await rig.tickets.rows<{ id: string; n: number }>(
    `INSERT INTO endpoint (id, name, public_key, key_id, zone, agent)
     SELECT gen_random_uuid(), 'web-' || k.n, k.key, k.id, 'UTC', '{"providers": ["apt", "openscap"]}'
       FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k (key, id, n)
     RETURNING id, split_part(name, '-', 2)::int - 1 AS n`,
    [keys.map(({ publicKey }) => publicKey), keys.map(({ publicKey }) => keyIdOf(publicKey))],
  );
  await rig.assess();
  // As they stood before: everything passed.
  await rig.tickets.rows(
    `INSERT INTO assessment (endpoint_id, checklist_id, results, revision, passed, failed, errors, not_applicable, not_checked, first_at, assessed_at)
     SELECT e.id, k.id, $2, 1, $3, 0, 0, 0, 0, now(), now() FROM endpoint e CROSS JOIN checklist k WHERE k.name = $1`,
    [checklist, codesOf(0), RULES.length],
  );
  [{ digest }] = (await rig.tickets.rows('SELECT digest FROM checklist WHERE name = $1', [checklist])) as [
    { digest: string },
  ];
  const orders = await rig.tickets.rows(`SELECT id, endpoint_id FROM order_state WHERE kind = 'scan'`);
  const orderOf = new Map(orders.map(({ id, endpoint_id }) => [endpoint_id as string, id as string]));
  endpoints = rows.map(({ id, n }) => ({
    ...{ id, n, orderId: orderOf.get(id) as string },
    agent: simulatedAgent({ url: rig.tickets.api.url, key: keys[n] as (typeof keys)[number] }),
  }));
});
afterAll(() => rig?.stop());

/** Everything (`base` null), or what differs from what the server has. */
const resultsOf = (n: number, base: number | null) =>
  Object.fromEntries(
    RULES.flatMap((name, rule) =>
      base === null || failsOn(rule, n) ? [[testRuleId(name), failsOn(rule, n) ? 'fail' : 'pass']] : [],
    ),
  );

/** As an agent does: until it is taken, and with everything where the server asks for that. */
async function report({ agent, orderId, n }: Reporting, base: number | null): Promise<Answer> {
  for (let tries = 0; tries < 50; tries += 1) {
    const sent = agent.send({
      path: '/agent/v1/assessment',
      body: {
        ...{ protocol: 2, orderId, checklist: digest, startedAt: Date.now(), partial: false },
        ...{ base, results: resultsOf(n, base), problem: null, arf: null },
      },
    });
    const answer = await sent.catch(() => null);
    if (answer?.status === 200) return answer.body.sendAll ? report({ agent, orderId, n } as Reporting, null) : answer;
    if (answer !== null && answer.status < 500 && answer.status !== 429)
      throw new Error(`${answer.status} ${JSON.stringify(answer.body)}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`the results of endpoint ${n} were never taken`);
}

it('all are there, each as its endpoint sent it, and once: whatever was sent twice, in full or as differences', async () => {
  expect([endpoints.length, new Set(endpoints.map(({ orderId }) => orderId)).size]).toEqual([COUNT, COUNT]);
  expect(new Set(endpoints.map(({ agent }) => keyIdOf(agent.key.publicKey))).size).toBe(COUNT);
  const answers = await Promise.all(
    endpoints.flatMap((one) => {
      const base = one.n % 2 === 0 ? null : 1;
      // Of some the answer was lost: sent again while the first is still at it.
      return one.n % 10 < 2 ? [report(one, base), report(one, base)] : [report(one, base)];
    }),
  );
  expect(answers).toHaveLength(1.2 * COUNT);

  const stored = await rig.tickets.rows(
    `SELECT split_part(e.name, '-', 2)::int - 1 AS n, a.results, a.revision, a.passed, a.failed
       FROM assessment a JOIN endpoint e ON e.id = a.endpoint_id ORDER BY 1`,
  );
  expect(stored).toEqual(
    Array.from({ length: COUNT }, (_, n) => ({
      ...{ n, results: codesOf(n), revision: n === 0 ? 1 : 2 },
      ...{ passed: RULES.length - (failures[n] ?? 0), failed: failures[n] },
    })),
  );
  const [changes] = await rig.tickets.rows(
    'SELECT count(*)::int AS n, count(DISTINCT (endpoint_id, position))::int AS different FROM rule_change',
  );
  expect(changes).toEqual({ n: sum(failures), different: sum(failures) });
  // Drift of the critical rule is noticed on every second one, and makes work once.
  await rig.duty('notices');
  const [noticed] = await rig.tickets.rows(
    'SELECT count(*)::int AS n, count(DISTINCT endpoint_id)::int AS endpoints FROM noticed',
  );
  expect(noticed).toEqual({ n: COUNT / 2, endpoints: COUNT / 2 });
  const [work] = await rig.tickets.rows('SELECT count(*)::int AS n, sum(seen)::int AS seen FROM work_item');
  expect(work).toEqual({ n: COUNT / 2, seen: COUNT / 2 });
});

it('what is not signed by the endpoint whose order it is counts for nothing', async () => {
  const [one, other] = endpoints as [Reporting, Reporting];
  const answer = report({ ...one, agent: other.agent }, null);
  await expect(answer).rejects.toThrow('no such scan order of this endpoint');
});
