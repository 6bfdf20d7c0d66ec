/** What fails where: by rule over the fleet, on one endpoint, and findings that people say are wrong. */
import type { Command } from 'commander';
import { conflictInWords } from '../../../domain/baseline/conflicts.js';
import { fixInWords } from '../../../domain/baseline/fix-words.js';
import { isFinding } from '../../../domain/baseline/results.js';
import { selectorInWords } from '../../../domain/fleet/selector-words.js';
import type {
  AssessmentEntry,
  AssignmentEntry,
  ConflictEntry,
  EndpointRuleEntry,
  FalsePositiveEntry,
  RuleTallyEntry,
  TrialComparison,
} from '../../client/baseline-types.js';
import type { ApiClient } from '../../client/http-client.js';
import { CliError, EXIT } from '../../exit-codes.js';
import { plain } from '../../output/plain.js';
import { type ApiOptions, apiCommand, openApi } from '../api-command.js';
import { findEndpoint } from '../find.js';
import { firstOf, LIMIT_OPTION, noteMore } from '../limit.js';

export function registerFindings(baseline: Command): void {
  apiCommand(baseline.command('assignments'))
    .description('Who is measured by which version, in which mode, and how they stand')
    .action(assignments);
  apiCommand(baseline.command('trial <assignment>'))
    .description('The trial of an assignment compared with the rest, before it is widened')
    .action(trial);
  apiCommand(baseline.command('conflicts <assignment>'))
    .description('Rules of which an assignment with a higher precedence wants something else, and decides')
    .option(...LIMIT_OPTION)
    .action(conflicts);
  apiCommand(baseline.command('failing <checklist>'))
    .description('Rules of a checklist by the number of endpoints they fail on (baseline status names checklists)')
    .option('--all', 'rules that fail nowhere as well')
    .option(...LIMIT_OPTION)
    .action(failing);
  apiCommand(baseline.command('findings <endpoint>'))
    .description('Rules that fail on an endpoint, since when, and what their fix does')
    .option('--checklist <name>', 'only of this checklist')
    .option('--all', 'rules that do not fail as well')
    .action(findings);
  apiCommand(baseline.command('mark <endpoint> <rule>'))
    .description('Say that a finding is wrong on an endpoint: it counts nowhere, and nothing puts it right')
    .requiredOption('--reason <text>', 'why it is')
    .option('--checklist <name>', 'where several have the rule')
    .action(mark);
  apiCommand(baseline.command('unmark <endpoint> <rule>'))
    .description('Take back that a finding is wrong')
    .option('--checklist <name>', 'where several have the rule')
    .action(unmark);
  apiCommand(baseline.command('marked <checklist>'))
    .description('Findings that people say are wrong, newest first')
    .option(...LIMIT_OPTION)
    .action(marked);
}

async function assignments(options: ApiOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  const { items } = await client.get<{ items: AssignmentEntry[] }>('/v1/compliance/assignments');
  if (screen.json) return screen.value({ items });
  screen.table({
    columns: [
      { title: 'ASSIGNMENT' },
      { title: 'BASELINE' },
      { title: 'VERSION', right: true },
      { title: 'MODE' },
      { title: 'TRIAL' },
      { title: 'HOLDS FOR', shrinkTo: 15 },
      { title: 'PASS', right: true },
      { title: 'FAIL', right: true },
      { title: 'ERROR', right: true },
      { title: 'NOT MEASURED', right: true },
      { title: `OLDEST (${screen.zone.name})` },
      { title: 'CHECKLIST', shrinkTo: 15 },
    ],
    rows: items.map((one) => [
      one.name,
      one.baseline,
      String(one.version),
      one.mode,
      one.trial === null ? '-' : `${one.trial.mode} for ${selectorInWords(one.trial.appliesTo)}`,
      selectorInWords(one.appliesTo),
      ...[one.passing, one.failing, one.erring, one.unmeasured].map(String),
      screen.zone.show(one.oldest),
      one.checklist,
    ]),
  });
  if (items.length === 0)
    screen.note('Nobody is measured by a baseline yet: PUT /v1/baseline-assignments/{name} (docs/baselines.md).');
}

async function trial(name: string, options: ApiOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  const found = await client.get<TrialComparison>(`/v1/baseline-assignments/${encodeURIComponent(name)}/trial`);
  if (screen.json) return screen.value(found);
  const lines = [
    ['endpoints', 'endpoints'],
    ['compliant', 'without a failing rule'],
    ['failing', 'failing rules over all of them'],
    ['succeeded', 'remediations that succeeded'],
    ['reverted', 'remediations that were reverted'],
    ['failed', 'remediations that failed'],
    ['falsePositives', 'findings marked as wrong'],
  ] as const;
  screen.table({
    columns: [{ title: 'OF' }, { title: 'TRIAL', right: true }, { title: 'REST', right: true }],
    rows: lines.map(([key, words]) => [words, String(found.trial[key]), String(found.rest[key])]),
  });
  if (found.unfinished !== null) screen.note(plain(`It can't be widened yet: ${found.unfinished}.`));
}

async function conflicts(name: string, options: ApiOptions & { limit?: string }): Promise<void> {
  const { client, screen } = await openApi(options);
  const path = `/v1/baseline-assignments/${encodeURIComponent(name)}/conflicts`;
  const found = await firstOf(client.pages<ConflictEntry>(path), options.limit);
  if (screen.json) return screen.value(found);
  screen.table({
    columns: [
      { title: 'RULE', shrinkTo: 20 },
      { title: 'DECIDED BY', shrinkTo: 10 },
      { title: 'ENDPOINTS', right: true },
      { title: 'WHY', shrinkTo: 20 },
    ],
    rows: found.items.map((one) => [one.name, one.decidedBy, String(one.endpoints), conflictInWords(one)]),
  });
  if (found.items.length === 0) screen.note('None: no other assignment wants anything else of its rules.');
  noteMore(screen, found.more);
}

async function failing(checklist: string, options: ApiOptions & { all?: boolean; limit?: string }): Promise<void> {
  const { client, screen } = await openApi(options);
  const path = `/v1/compliance/${encodeURIComponent(checklist)}/rules`;
  const { items } = await client.get<{ items: RuleTallyEntry[] }>(path);
  const wanted = items
    .filter((rule) => options.all === true || rule.fail + rule.error > 0)
    .sort((a, b) => b.fail - a.fail || b.error - a.error);
  const found = await firstOf(each(wanted), options.limit);
  if (screen.json) return screen.value(found);
  screen.table({
    columns: [
      { title: 'RULE', shrinkTo: 20 },
      { title: 'SEVERITY' },
      { title: 'FAIL', right: true },
      { title: 'ERROR', right: true },
      { title: 'PASS', right: true },
      { title: 'FIX', shrinkTo: 12 },
    ],
    rows: found.items.map((rule) => [
      rule.name,
      rule.severity,
      ...[rule.fail, rule.error, rule.pass].map(String),
      fixInWords(rule),
    ]),
  });
  noteMore(screen, found.more);
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

async function findings(wanted: string, options: ApiOptions & { checklist?: string; all?: boolean }): Promise<void> {
  const { client, screen } = await openApi(options);
  const found = await measuredRules(client, await findEndpoint(client, wanted), options.checklist);
  const items = found.flatMap(({ assessment, rules }) =>
    rules
      .filter(({ result }) => options.all === true || isFinding(result))
      .map((rule) => ({ checklist: assessment.checklist, ...rule })),
  );
  const answer = { assessments: found.map(({ assessment }) => assessment), items };
  if (screen.json) return screen.value(answer);
  for (const { assessment: one } of found) {
    const at = one.assessedAt === null ? 'not measured yet' : `measured ${screen.zone.named(one.assessedAt)}`;
    screen.line(
      plain(
        `${one.checklist} (${one.mode ?? 'not assigned any more'}): ${one.fail} fail, ${one.error} error, ${one.pass} pass; ${at}.`,
      ),
    );
    if (one.problem !== null) screen.line(plain(`  The newest try gave no answer: ${one.problem}`));
  }
  if (items.length === 0) return;
  screen.table({
    columns: [
      { title: 'RULE', shrinkTo: 20 },
      { title: 'SEVERITY' },
      { title: 'RESULT' },
      { title: `SINCE (${screen.zone.name})` },
      { title: 'FIX', shrinkTo: 12 },
      { title: 'MARKED AS WRONG', shrinkTo: 10 },
    ],
    rows: items.map((rule) => [
      rule.name,
      rule.severity,
      rule.result,
      screen.zone.show(rule.since),
      rule.conflict === null ? fixInWords(rule) : conflictInWords(rule.conflict),
      rule.falsePositive?.reason ?? '-',
    ]),
  });
}

interface Measured {
  readonly assessment: AssessmentEntry;
  readonly rules: readonly EndpointRuleEntry[];
}

/** Rules of each checklist an endpoint was measured by. @throws CliError when it never was by the one named */
async function measuredRules(
  client: ApiClient,
  endpointId: string,
  checklist: string | undefined,
): Promise<Measured[]> {
  const path = `/v1/endpoints/${endpointId}/assessments`;
  const { items } = await client.get<{ items: AssessmentEntry[] }>(path);
  const own = items.filter((one) => checklist === undefined || one.checklist === checklist);
  if (own.length === 0) {
    const what = checklist === undefined ? 'no baseline holds for this endpoint' : `it is not measured by ${checklist}`;
    throw new CliError(
      EXIT.notFound,
      what,
      items.map((one) => one.checklist),
    );
  }
  return Promise.all(
    own.map(async (assessment) => ({
      assessment,
      rules:
        assessment.assessedAt === null
          ? []
          : (await client.get<{ items: EndpointRuleEntry[] }>(`${path}/${encodeURIComponent(assessment.checklist)}`))
              .items,
    })),
  );
}

interface Finding {
  readonly endpointId: string;
  readonly checklist: string;
  readonly rule: EndpointRuleEntry;
}

/** The one rule meant, by id or short name. @throws CliError when none or several fit */
async function oneFinding(
  client: ApiClient,
  args: { readonly endpoint: string; readonly rule: string; readonly checklist: string | undefined },
): Promise<Finding> {
  const endpointId = await findEndpoint(client, args.endpoint);
  const found = (await measuredRules(client, endpointId, args.checklist)).flatMap(({ assessment, rules }) =>
    rules
      .filter(({ id, name }) => id === args.rule || name === args.rule)
      .map((rule) => ({ endpointId, checklist: assessment.checklist, rule })),
  );
  const [first, ...others] = found;
  if (first === undefined)
    throw new CliError(
      EXIT.notFound,
      `${args.endpoint} was measured by no rule ${args.rule}: ringmaster baseline findings ${args.endpoint} --all`,
    );
  if (others.length > 0)
    throw new CliError(
      EXIT.refused,
      'several checklists have this rule: give --checklist',
      found.map((one) => one.checklist),
    );
  return first;
}

const marksPath = ({ endpointId, checklist }: Finding): string =>
  `/v1/endpoints/${endpointId}/assessments/${encodeURIComponent(checklist)}/false-positives`;

const markOf = ({ endpointId, checklist, rule }: Finding, marked: boolean) => ({
  endpointId,
  checklist,
  rule: rule.id,
  marked,
});

async function mark(
  endpoint: string,
  rule: string,
  options: ApiOptions & { reason: string; checklist?: string },
): Promise<void> {
  const { client, screen } = await openApi(options);
  const found = await oneFinding(client, { endpoint, rule, checklist: options.checklist });
  await client.request('PUT', marksPath(found), { body: { rule: found.rule.id, reason: options.reason } });
  if (screen.json) return screen.value(markOf(found, true));
  screen.line(
    plain(
      `${found.rule.name} (${found.rule.result}) is marked as wrong on ${endpoint}: it counts nowhere, and nothing puts it right.`,
    ),
  );
}

async function unmark(endpoint: string, rule: string, options: ApiOptions & { checklist?: string }): Promise<void> {
  const { client, screen } = await openApi(options);
  const found = await oneFinding(client, { endpoint, rule, checklist: options.checklist });
  await client.request('DELETE', `${marksPath(found)}/${encodeURIComponent(found.rule.id)}`);
  if (screen.json) return screen.value(markOf(found, false));
  screen.line(plain(`${found.rule.name} counts again on ${endpoint}.`));
}

async function marked(checklist: string, options: ApiOptions & { limit?: string }): Promise<void> {
  const { client, screen } = await openApi(options);
  const path = `/v1/compliance/${encodeURIComponent(checklist)}/false-positives`;
  const found = await firstOf(client.pages<FalsePositiveEntry>(path), options.limit);
  if (screen.json) return screen.value(found);
  screen.table({
    columns: [
      { title: 'ENDPOINT', shrinkTo: 10 },
      { title: 'RULE', shrinkTo: 15 },
      { title: `MARKED (${screen.zone.name})` },
      { title: 'REASON', shrinkTo: 10 },
    ],
    rows: found.items.map((one) => [one.endpoint, one.rule, screen.zone.show(one.at), one.reason]),
  });
  noteMore(screen, found.more);
}
