import { describe, expect, test } from '@jest/globals';
import { parseRemediationParameters } from '../change/remediation-parameters.js';
import type { Brings } from '../content/index.js';
import { packagesToCome, planRemediation, type RemediationGroup } from './plan-remediation.js';

const rule = (name: string, over: object = {}) => ({
  ruleId: `xccdf_org.example_rule_${name.replaceAll('-', '_')}`,
  name,
  severity: 'medium',
  fixSha256: 'a'.repeat(64),
  fixSize: 10,
  noFixReason: null,
  packageFix: null,
  values: {},
  ...over,
});
const RULES = [
  rule('fails'),
  rule('passes'),
  rule('no-fix', { fixSha256: null, fixSize: null, noFixReason: 'the baseline has no fix for it' }),
  rule('errs'),
  rule('fails-too', { severity: 'high' }),
];
const group = (over: Partial<RemediationGroup> = {}): RemediationGroup => ({
  endpointIds: ['e1'],
  checklist: 'small.v1.all.0123abcd',
  assignment: 'small',
  precedence: 0,
  mode: 'propose',
  results: 'fpfef',
  problem: null,
  able: true,
  movesPackages: true,
  heedsApproved: true,
  heedsLists: true,
  system: { codename: 'bookworm', arch: 'amd64' },
  exceptions: [],
  ...over,
});
const AIDE = { name: 'aide', version: '0.18', arch: 'amd64', sha256: 'b'.repeat(64) };
const OFFERS = new Map([['bookworm amd64 aide', AIDE]]);
const LIST = { sha256: 'c'.repeat(64), size: 400, packages: 12 };
const BRINGS = new Map<string, Brings>([['bookworm amd64 aide', { ok: true, list: LIST, text: 'the list' }]]);
const plan = (over: Partial<RemediationGroup> = {}, parameters: object = {}, of = RULES) => {
  const parsed = parseRemediationParameters(parameters);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const rules = new Map([['small.v1.all.0123abcd', of]]);
  const groups = [group(over)];
  const [work] = planRemediation({
    groups,
    rules,
    offers: OFFERS,
    brings: BRINGS,
    parameters: parsed.value,
    unassigned: [],
  }).works;
  return {
    installs: work?.set.updates.flatMap(({ installs }) => installs ?? []),
    digest: work?.set.digest,
    updates: work?.set.updates.map((update) => `${update.name} ${update.from}→${update.to}`),
    triage: work?.triage.map(({ name, outcome, reason }) => `${name} ${outcome}: ${reason}`),
    idle: work?.idle,
    reversibility: work?.reversibility,
    source: work?.set.updates[0]?.source,
  };
};

test('what fails and can be put right is in; what can not is declined with the reason; errors prove nothing', () => {
  expect(plan()).toMatchObject({
    updates: ['fails 0-fail→1-pass', 'fails-too 0-fail→1-pass'],
    triage: ['no-fix declined: the baseline has no fix for it'],
    idle: null,
    reversibility: 'reversible',
    source: 'small.v1.all.0123abcd',
  });
});

test('a fix that moves a package is in where the agent can, with what approvers should know; elsewhere it is declined', () => {
  const of = [rule('telnet-removed', { packageFix: { action: 'remove', name: 'telnet' } }), rule('fails')];
  expect(plan({ results: 'ff' }, {}, of)).toMatchObject({
    updates: ['fails 0-fail→1-pass', 'telnet-removed 0-fail→1-pass'],
    triage: [
      'telnet-removed included: removes telnet, if nothing depends on it; undone by installing the same version again',
    ],
    reversibility: 'reversibleButData',
  });
  expect(plan({ results: 'ff', movesPackages: false }, {}, of)).toMatchObject({
    updates: ['fails 0-fail→1-pass'],
    triage: [
      'telnet-removed declined: its fix moves a package, and the agent there is too old for that, or has no apt',
    ],
    reversibility: 'reversible',
  });
});

const INSTALLS = [rule('aide-installed', { packageFix: { action: 'install', name: 'aide' } }), rule('fails')];
test('a fix that installs is planned with the file that approvers see, which is in the digest', () => {
  const planned = plan({ results: 'ff' }, {}, INSTALLS);
  expect(planned).toMatchObject({
    updates: ['aide-installed 0-fail→1-pass', 'fails 0-fail→1-pass'],
    installs: [{ ...AIDE, brings: LIST }],
    triage: [
      expect.stringMatching(
        /^aide-installed included: installs aide 0\.18 \(amd64, SHA-256 b{64}\) and may bring up to 12 packages with it, those that it needs and that are not there yet \(list c{64}\); undone by removing what came$/,
      ),
    ],
  });
  OFFERS.set('bookworm amd64 aide', { ...AIDE, version: '0.19' });
  expect(plan({ results: 'ff' }, {}, INSTALLS).digest).not.toBe(planned.digest);
  OFFERS.set('bookworm amd64 aide', AIDE);
});

test('what the package may bring is in the digest, too; where that can not be told, nothing is installed', () => {
  const before = plan({ results: 'ff' }, {}, INSTALLS);
  const known = BRINGS.get('bookworm amd64 aide') as Brings;
  BRINGS.set('bookworm amd64 aide', { ok: true, list: { ...LIST, sha256: 'd'.repeat(64) }, text: 'another list' });
  expect(plan({ results: 'ff' }, {}, INSTALLS).digest).not.toBe(before.digest);
  BRINGS.set('bookworm amd64 aide', { ok: false, reason: 'needs packages of an index that must be read anew' });
  expect(plan({ results: 'ff' }, {}, INSTALLS)).toMatchObject({
    updates: ['fails 0-fail→1-pass'],
    triage: [
      'aide-installed declined: its fix installs aide 0.18, which needs packages of an index that must be read anew',
    ],
  });
  BRINGS.set('bookworm amd64 aide', known);
});

test.each<[string, Partial<RemediationGroup>, string]>([
  [
    'no repository for the release has it',
    { system: { codename: 'trixie', arch: 'amd64' } },
    'in a version that nobody knows yet: no configured repository for trixie (amd64) has it',
  ],
  ['the release is not known', { system: null }, 'and it is not known which release and architecture the endpoint has'],
  [
    'the agent would install what it is offered',
    { heedsApproved: false },
    'and the agent there is too old to keep to the version that is approved',
  ],
  [
    'the agent would bring what it is offered',
    { heedsLists: false },
    'and the agent there is too old to keep to the packages that may come with it',
  ],
])('nothing is installed that nobody has approved: declined where %s', (_, over, reason) => {
  expect(plan({ results: 'ff', ...over }, {}, INSTALLS)).toMatchObject({
    updates: ['fails 0-fail→1-pass'],
    triage: [`aide-installed declined: its fix installs aide, ${reason}`],
  });
});

test('what is asked of the catalogue: packages of failing rules, once per release', () => {
  const rules = new Map([['small.v1.all.0123abcd', INSTALLS]]);
  const of = (...over: Partial<RemediationGroup>[]) => packagesToCome(over.map(group), rules);
  expect(of({ results: 'ff' }, { results: 'fp' })).toEqual([{ codename: 'bookworm', arch: 'amd64', name: 'aide' }]);
  expect(of({ results: 'pf' }, { results: 'ff', system: null }, { results: null })).toEqual([]);
});

test.each<[string, object, string[]]>([
  ['by short name', { rules: ['fails-*'] }, ['fails-too 0-fail→1-pass']],
  ['as XCCDF writes it', { rules: ['fails_too'] }, ['fails-too 0-fail→1-pass']],
  ['by id', { rules: ['xccdf_org.example_rule_fails'] }, ['fails 0-fail→1-pass']],
  ['less some', { exclude: ['fails'] }, ['fails-too 0-fail→1-pass']],
  ['by severity', { severities: ['high'] }, ['fails-too 0-fail→1-pass']],
])('rules are chosen %s', (_, parameters, updates) => {
  expect(plan({}, parameters).updates).toEqual(updates);
});

test('an excepted rule is declined with who answers for it', () => {
  const exception = {
    id: 'x',
    selector: { all: true },
    target: { rule: 'fails' },
    reason: 'the till needs it',
    ownerName: 'Ada',
    createdAt: 0,
    expiresAt: 86_400_000,
    revokedAt: null,
  } as const;
  const made = plan({ exceptions: [exception] });
  expect(made.updates).toEqual(['fails-too 0-fail→1-pass']);
  expect(made.triage?.[0]).toBe('fails declined: excepted until 1970-01-02T00:00:00.000Z by Ada: the till needs it');
});

test.each<[string, Partial<RemediationGroup>, object, RegExp]>([
  ['is only observed', { mode: 'observe' }, {}, /^baseline small is only observed here$/],
  ['has no scanner', { able: false }, {}, /OpenSCAP is not installed/],
  ['was never measured', { results: null }, {}, /^not measured by its baseline yet$/],
  ['gave no answer', { results: null, problem: 'none of the 5 rules applies' }, {}, /^not measured: none of the 5/],
  ['passes', { results: 'ppppp' }, {}, /^no rule that was asked for fails$/],
  ['has only what nobody can put right', {}, { rules: ['no-fix'] }, /^no failing rule can be put right$/],
])('an endpoint that %s gets nothing, and is told why', (_, over, parameters, reason) => {
  const made = plan(over, parameters);
  expect([made.updates, made.idle]).toEqual([[], expect.stringMatching(reason)]);
});

test.each([
  { rules: ['*'] },
  { rules: [] },
  { rule: ['a'] },
  { assignments: [] },
  { severities: ['urgent'] },
  { rules: ['a b'] },
])('parameters %j are refused', (parameters) => {
  expect(parseRemediationParameters(parameters).ok).toBe(false);
});

describe('of several checklists of an endpoint', () => {
  const LARGE = 'large.v1.all.0123abcd';
  const plans = (over: Partial<RemediationGroup>, parameters: object) => {
    const parsed = parseRemediationParameters(parameters);
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
    const groups = [
      group({ endpointIds: ['e1', 'e2'] }),
      group({ checklist: LARGE, assignment: 'large', precedence: 9, results: 'ff', ...over }),
    ];
    const rules = new Map([
      ['small.v1.all.0123abcd', RULES],
      [
        LARGE,
        [rule('fails-elsewhere'), rule('no-fix', { fixSha256: null, noFixReason: 'the baseline has no fix for it' })],
      ],
    ]);
    return planRemediation({
      groups,
      rules,
      offers: OFFERS,
      brings: BRINGS,
      parameters: parsed.value,
      unassigned: [],
    }).works.map(
      (work) => `${work.endpointIds.join()}: ${work.idle ?? work.set.updates.map(({ name }) => name).join()}`,
    );
  };

  test.each<[string, Partial<RemediationGroup>, object, string[]]>([
    ['the one with the highest precedence has its way', {}, {}, ['e1: fails-elsewhere', 'e2: fails,fails-too']],
    ['one in which no rule that was asked for fails gives way', {}, { rules: ['fails'] }, ['e1,e2: fails']],
    ['one that can put right none of them gives way', {}, { rules: ['fails', 'no-fix'] }, ['e1,e2: fails']],
    ['one that is only observed gives way', { mode: 'observe' }, {}, ['e1,e2: fails,fails-too']],
    ['one that excepts gives way', {}, { exclude: ['fails-elsewhere'] }, ['e1,e2: fails,fails-too']],
    [
      'where none has work, one says why',
      { mode: 'observe' },
      { rules: ['no-fix'] },
      ['e1,e2: no failing rule can be put right'],
    ],
  ])('%s', (_, over, parameters, expected) => {
    expect(plans(over, parameters)).toEqual(expected);
  });
});
