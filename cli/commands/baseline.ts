import type { Command } from 'commander';
import { fixInWords } from '../../domain/baseline/fix-words.js';
import { CliError, EXIT } from '../exit-codes.js';
import { plain } from '../output/plain.js';
import { type ApiOptions, apiCommand, openApi } from './api-command.js';
import { registerRuleExceptions } from './baseline/exceptions.js';
import { registerFindings } from './baseline/findings.js';
import { registerGoldStandards } from './baseline/gold-standards.js';
import { findEndpoint } from './find.js';
import { firstOf, LIMIT_OPTION, noteMore } from './limit.js';

interface Version {
  readonly baseline: string;
  readonly number: number;
  readonly benchmarkVersion: string;
  readonly title: string;
  readonly rules: number;
  readonly profiles: readonly { readonly id: string; readonly title: string }[];
  readonly sha256: string;
  readonly importedAt: string;
  readonly stored: boolean;
}

interface Rule {
  readonly id: string;
  readonly name: string;
  readonly title: string;
  readonly severity: string;
  readonly noFixReason: string | null;
  readonly packageFix: { readonly action: 'install' | 'remove'; readonly name: string } | null;
}

interface ItemDiff {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly { readonly id: string; readonly fields: readonly string[] }[];
}

interface Fleet {
  readonly checklist: string;
  readonly endpoints: number;
  readonly compliant: number;
  readonly unanswered: number;
  readonly fixesProblem: string | null;
  readonly results: { readonly pass: number; readonly fail: number; readonly error: number };
}

export function registerBaseline(program: Command): void {
  const baseline = program.command('baseline').description('Security baselines: what endpoints are measured by');
  apiCommand(baseline.command('import <file>'))
    .description('Import a SCAP data stream (….ds.xml) as the newest version of a baseline')
    .requiredOption('--name <name>', 'the baseline: lower-case letters, digits, dashes')
    .action(importFile);
  apiCommand(baseline.command('list [name]')).description('Versions with their profiles, newest first').action(list);
  apiCommand(baseline.command('rules <name>'))
    .description('Rules of a version, with why one gets no fix')
    .option('--version <number>', 'default: the newest')
    .option('--profile <id>', 'only those of this profile')
    .option('--severity <severity>', 'unknown, info, low, medium or high')
    .option(...LIMIT_OPTION)
    .action(rules);
  apiCommand(baseline.command('diff <name> <from> <to>')).description('What changed between two versions').action(diff);
  apiCommand(baseline.command('tailor <name> <file>'))
    .description('Tailor a profile as a YAML or JSON file says (profile, select, values); shows the rules it has then')
    .option('--version <number>', 'default: the newest')
    .action(tailor);
  apiCommand(baseline.command('status')).description('How the fleet stands, by checklist').action(status);
  apiCommand(baseline.command('assess <endpoint>')).description('Measure an endpoint now').action(assess);
  registerFindings(baseline);
  registerGoldStandards(baseline);
  registerRuleExceptions(baseline);
}

async function importFile(file: string, options: ApiOptions & { name: string }): Promise<void> {
  const { client, screen } = await openApi(options);
  const { readFile } = await import('node:fs/promises');
  const value = await readFile(file, 'utf8').catch((error: Error) => {
    throw new CliError(EXIT.usage, `${file}: ${error.message}`);
  });
  const { status: code, body } = await client.request<Version>('POST', '/v1/baselines', {
    query: { name: options.name },
    text: { type: 'application/xml', value },
  });
  if (screen.json) return screen.value(body);
  const what = code === 200 ? 'was imported before as' : 'is now';
  screen.line(plain(`${file} ${what} ${body.baseline} version ${body.number}: ${body.title}, ${body.rules} rules.`));
}

async function list(name: string | undefined, options: ApiOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  const path = name === undefined ? '/v1/baselines' : `/v1/baselines/${encodeURIComponent(name)}`;
  const { items } = await client.get<{ items: Version[] }>(path);
  if (screen.json) return screen.value({ items });
  screen.table({
    columns: [
      { title: 'BASELINE' },
      { title: 'VERSION', right: true },
      { title: 'RULES', right: true },
      { title: 'BENCHMARK', shrinkTo: 10 },
      { title: 'IMPORTED' },
    ],
    rows: items.map((one) => [
      one.baseline,
      String(one.number),
      String(one.rules),
      `${one.title} ${one.benchmarkVersion}`,
      screen.zone.show(one.importedAt),
    ]),
  });
  if (name === undefined) return;
  for (const { id, title } of items[0]?.profiles ?? []) screen.line(plain(`profile ${id}: ${title}`));
}

async function rules(
  name: string,
  options: ApiOptions & { version?: string; profile?: string; severity?: string; limit?: string },
): Promise<void> {
  const { client, screen } = await openApi(options);
  const number = await versionNumber(client, name, options.version);
  const path = `/v1/baselines/${encodeURIComponent(name)}/versions/${number}/rules`;
  const query = { profile: options.profile, severity: options.severity };
  const found = await firstOf(client.pages<Rule>(path, query), options.limit);
  if (screen.json) return screen.value({ items: found.items, more: found.more });
  screen.table({
    columns: [
      { title: 'RULE', shrinkTo: 20 },
      { title: 'SEVERITY' },
      { title: 'TITLE', shrinkTo: 20 },
      { title: 'FIX', shrinkTo: 10 },
    ],
    rows: found.items.map((one) => [one.name, one.severity, one.title, fixInWords(one)]),
  });
  noteMore(screen, found.more);
}

async function diff(name: string, from: string, to: string, options: ApiOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  const found = await client.get<
    Record<'rules' | 'profiles' | 'values', ItemDiff> & { readonly checksCompared: boolean }
  >(`/v1/baselines/${encodeURIComponent(name)}/diff`, { from, to });
  if (screen.json) return screen.value(found);
  let count = 0;
  for (const what of ['rules', 'profiles', 'values'] as const) {
    const items = found[what];
    const lines = [
      ...items.added.map((id) => `+ ${what} ${id}`),
      ...items.removed.map((id) => `- ${what} ${id}`),
      ...items.changed.map(({ id, fields }) => `~ ${what} ${id}: ${fields.join(', ')}`),
    ];
    count += lines.length;
    for (const line of lines) screen.line(plain(line));
  }
  screen.line(count === 0 ? 'No differences.' : `${count} differences.`);
  if (!found.checksCompared)
    screen.note('What rules test (their OVAL) is not compared: an earlier release imported one of these versions.');
}

async function tailor(name: string, file: string, options: ApiOptions & { version?: string }): Promise<void> {
  const { client, screen } = await openApi(options);
  const [{ readFileSync }, { parse }] = await Promise.all([import('node:fs'), import('yaml')]);
  let body: unknown;
  try {
    body = parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new CliError(EXIT.usage, `${file}: ${(error as Error).message}`);
  }
  const number = await versionNumber(client, name, options.version);
  const path = `/v1/baselines/${encodeURIComponent(name)}/versions/${number}/checklists`;
  const made = await client.post<{ name: string; rules: readonly Rule[] }>(path, body);
  if (screen.json) return screen.value(made);
  screen.table({
    columns: [{ title: 'RULE', shrinkTo: 20 }, { title: 'SEVERITY' }, { title: 'TITLE', shrinkTo: 20 }],
    rows: made.rules.map((one) => [one.name, one.severity, one.title]),
  });
  screen.line(plain(`${made.rules.length} rules in checklist ${made.name}.`));
}

async function status(options: ApiOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  const { items } = await client.get<{ items: Fleet[] }>('/v1/compliance');
  if (screen.json) return screen.value({ items });
  screen.table({
    columns: [
      { title: 'CHECKLIST', shrinkTo: 20 },
      { title: 'ENDPOINTS', right: true },
      { title: 'COMPLIANT', right: true },
      { title: 'NO ANSWER', right: true },
      { title: 'PASS', right: true },
      { title: 'FAIL', right: true },
      { title: 'ERROR', right: true },
    ],
    rows: items.map(({ checklist, endpoints, compliant, unanswered, results }) => [
      checklist,
      ...[endpoints, compliant, unanswered, results.pass, results.fail, results.error].map(String),
    ]),
  });
  for (const { checklist, fixesProblem } of items)
    if (fixesProblem !== null)
      screen.note(plain(`Fixes of ${checklist} are as an earlier release read them: ${fixesProblem}`));
}

async function assess(endpoint: string, options: ApiOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  const reply = await client.post<{ checklists: number }>(
    `/v1/endpoints/${await findEndpoint(client, endpoint)}/assess`,
  );
  if (screen.json) return screen.value(reply);
  screen.line(`Asked for ${reply.checklists === 1 ? 'one checklist' : `${reply.checklists} checklists`}.`);
}

async function versionNumber(
  client: Awaited<ReturnType<typeof openApi>>['client'],
  name: string,
  given: string | undefined,
): Promise<number> {
  if (given !== undefined) return Number(given);
  const { items } = await client.get<{ items: Version[] }>(`/v1/baselines/${encodeURIComponent(name)}`);
  return items[0]?.number ?? 1;
}
