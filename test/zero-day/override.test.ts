/** Hours and freezes are set aside only where the policy allows it and a named person approved exactly that. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { HOUR } from '../../domain/time.js';
import { visibleText } from '../helpers/html.js';
import { approvalRule } from '../helpers/scripted-activities.js';
import { lookAt } from '../helpers/stack/look.js';
import { openPolicy } from '../helpers/stack/seed.js';
import { NEW, OLD, type Stack, startStack } from '../helpers/stack.js';
import { addManager, decide, type Manager, putPolicy } from './rig.js';

const FREEZE = 'year-end';
let stack: Stack;
let see: ReturnType<typeof lookAt>;
let grace: Manager;

/** Open for two hours, six hours from now. */
function hoursLater() {
  const wall = (at: number) => new Date(at).toISOString().slice(11, 16);
  const opens = Date.now() + 6 * HOUR;
  const window = { rrule: 'FREQ=DAILY', from: wall(opens), to: wall(opens + 2 * HOUR), zone: 'Etc/UTC' };
  return { communicate: { always: true }, stage: { always: true }, apply: { windows: [window] } };
}

const stamp = (at: number) => `${new Date(at).toISOString().replace(/[-:]/g, '').slice(0, 15)}Z`;

beforeAll(async () => {
  stack = await startStack({
    packages: ['app', 'lib'],
    hosts: ['closed', 'frozen', 'owned'].map((team) => ({ name: team, labels: { team } })),
  });
  see = lookAt(stack);
  grace = await addManager(stack, 'grace');
  const lines = [
    'BEGIN:VCALENDAR',
    'VERSION:2.0',
    'PRODID:-//test//EN',
    'BEGIN:VEVENT',
    'UID:1',
    `DTSTAMP:${stamp(Date.now())}`,
  ];
  const event = [`DTSTART:${stamp(Date.now() - HOUR)}`, `DTEND:${stamp(Date.now() + 24 * HOUR)}`, 'SUMMARY:Year end'];
  const imported = await fetch(`${stack.apiUrl}/v1/freeze-calendars/${FREEZE}`, {
    method: 'PUT',
    headers: { authorization: 'Bearer rmt_kill-tests-administrator', 'content-type': 'text/calendar' },
    body: [...lines, ...event, 'END:VEVENT', 'END:VCALENDAR', ''].join('\r\n'),
  });
  expect([imported.status, await imported.text()]).toEqual([200, expect.any(String)]);
  for (const [name, over] of [
    ['closed', { hours: hoursLater() }],
    ['owned', { hours: hoursLater() }],
    ['frozen', { freezeCalendars: [FREEZE] }],
  ] as const) {
    const reply = await stack.api('PUT', `/v1/policy-sets/${name}`, {
      precedence: 5,
      document: openPolicy({ ...over, appliesTo: { labels: { team: name } } }),
    });
    expect([reply.status, reply.body]).toEqual([200, expect.anything()]);
  }
}, 120_000);
afterAll(() => stack?.end(), 60_000);

/** One person's approval of exactly that is what the policy wants for these. */
const allow = (what: { hours: boolean; freezes: boolean }) =>
  putPolicy(stack, {
    override: {
      ...what,
      approval: approvalRule({ from: { accounts: [grace.id] }, escalateTo: { accounts: [grace.id] } }),
    },
  });

async function start(override: { hours?: boolean; freezes?: boolean }, names: readonly string[], packages = ['app']) {
  return stack.api('POST', '/v1/zero-day', { packages, reason: 'a test', scope: { names: [...names] }, override });
}

const mails = () => {
  const folder = join(stack.dataDir, 'mail');
  return readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
};

describe('hours of operation', () => {
  test('what the policy does not allow is refused', async () => {
    await allow({ hours: true, freezes: false });
    const reply = await start({ hours: true, freezes: true }, ['closed']);
    expect([reply.status, reply.body.detail]).toEqual([409, 'the expedite policy does not allow overriding freezes']);
  });

  test('rejected, nothing is released', async () => {
    const { body } = await start({ hours: true }, ['closed']);
    await decide(stack, { changeId: body.changeId, person: grace, decision: 'reject' });
    await stack.waitFor('the ring stays shut', async () =>
      /stays shut: approval rejected/.test(
        (await stack.api('GET', `/v1/changes/${body.changeId}`)).body.waitingFor ?? '',
      ),
    );
    expect(await see.orders(body.changeId)).toEqual([]);
    await stack.api('POST', `/v1/changes/${body.changeId}/abort`, { reason: 'a test' });
    await see.closed(body.changeId);
    expect(stack.host('closed').version('app')).toBe(OLD);
  }, 60_000);

  test('approved, endpoints are changed although closed; frozen ones and owners’ own limits stay', async () => {
    writeFileSync(join(stack.host('owned').stateDir, 'limits.json'), JSON.stringify({ hold: 'payroll runs' }));
    const { body } = await start({ hours: true }, ['closed', 'frozen', 'owned']);
    const [{ header }] = await (async () => {
      await stack.waitFor(
        'a plan',
        async () => (await stack.rows('SELECT 1 FROM plan WHERE change_id = $1', [body.changeId])).length > 0,
      );
      return stack.rows('SELECT header FROM plan WHERE change_id = $1', [body.changeId]);
    })();
    expect(header.budgets.override).toEqual({ hours: true, freezes: false });
    const page = await decide(stack, { changeId: body.changeId, person: grace, decision: 'approve' });
    const words =
      'By approving you allow exactly this: 3 endpoints may be changed, and rebooted where that is needed, outside their hours of operation, at once.';
    expect(visibleText(page)).toContain(words);
    await stack.waitFor('the mail', () => mails().some((mail) => mail.includes(words)));
    await stack.waitFor('the closed one is changed', () => stack.host('closed').version('app') === NEW);
    await stack.waitFor('the owner’s no', async () => (await see.states(body.changeId)).owned === 'skipped');
    expect((await see.states(body.changeId)).frozen).toBe('pending');
    await stack.api('POST', `/v1/changes/${body.changeId}/abort`, { reason: 'a test' });
    await see.closed(body.changeId);
    expect(['frozen', 'owned'].map((name) => stack.host(name).version('app'))).toEqual([OLD, OLD]);
  }, 90_000);
});

describe('freezes', () => {
  test('approved by themselves: what is frozen is changed, what is closed is not', async () => {
    await allow({ hours: false, freezes: true });
    const { body } = await start({ freezes: true }, ['closed', 'frozen'], ['lib']);
    const page = await decide(stack, { changeId: body.changeId, person: grace, decision: 'approve' });
    expect(visibleText(page)).toContain('where that is needed, during freezes, at once');
    await stack.waitFor('the frozen one is changed', () => stack.host('frozen').version('lib') === NEW);
    expect((await see.states(body.changeId)).closed).toBe('pending');
    await stack.api('POST', `/v1/changes/${body.changeId}/abort`, { reason: 'a test' });
    await see.closed(body.changeId);
    expect(stack.host('closed').version('lib')).toBe(OLD);
  }, 90_000);
});
