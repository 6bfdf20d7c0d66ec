import type { Command } from 'commander';
import type { ExposedEndpoint, ZeroDayDetail, ZeroDayStarted, ZeroDaySummary } from '../client/zero-day-types.js';
import { CliError, EXIT } from '../exit-codes.js';
import { plain } from '../output/plain.js';
import type { Screen } from '../output/screen.js';
import { type ApiOptions, apiCommand, openApi } from './api-command.js';
import { confirmed } from './confirm.js';
import { timeOf } from './endpoints.js';
import { findZeroDay } from './find.js';
import { firstOf, LIMIT_OPTION, noteMore } from './limit.js';
import { repeated } from './repeated.js';

interface StartOptions extends ApiOptions {
  readonly package?: readonly string[];
  readonly minVersion?: readonly string[];
  readonly reason: string;
  readonly due?: string;
  readonly scope?: string;
  readonly override?: readonly string[];
  readonly yes?: boolean;
}

type AgainOptions = Pick<StartOptions, 'reason' | 'override' | 'yes'> & ApiOptions;
type ListOptions = ApiOptions & { readonly open?: boolean; readonly limit?: string };

const OVERRIDE = [
  '--override <what>',
  'hours or freezes; may be given again. Needs the expedite policy’s leave, and an approval of its own',
  repeated,
] as const;

export function registerZeroDay(program: Command): void {
  const zeroDay = program.command('zero-day').description('Close what is exploited now, ahead of all routine work');
  apiCommand(zeroDay.command('start [cve...]', { isDefault: true }))
    .description('Ask for an expedited change that closes these CVEs or updates these packages')
    .option('--package <name>', 'package or source; may be given again', repeated)
    .option('--min-version <version>', 'older is vulnerable: PACKAGE=VERSION, or VERSION where one is named', repeated)
    .requiredOption('--reason <text>', 'why')
    .option('--due <time>', 'when it must be closed: ISO 8601 with offset, or a span from now such as 72h')
    .option('--scope <selector>', 'only endpoints this selector text fits (docs/selectors.md)')
    .option(...OVERRIDE)
    .option('--yes', 'don’t ask')
    .action(start);
  apiCommand(zeroDay.command('again <zero-day>'))
    .description('Start it again: for what became exposed since, or what an ended change left behind')
    .requiredOption('--reason <text>', 'why')
    .option(...OVERRIDE)
    .option('--yes', 'don’t ask')
    .action(again);
  apiCommand(zeroDay.command('list'))
    .description('Zero-days, newest first, with how far each has come')
    .option('--open', 'only while somebody is exposed')
    .option(...LIMIT_OPTION)
    .action(list);
  apiCommand(zeroDay.command('show <zero-day>'))
    .description('One zero-day: its countdown, what stays exposed and why, and what to do next')
    .option(...LIMIT_OPTION)
    .action(show);
}

async function start(cves: readonly string[], options: StartOptions): Promise<void> {
  const packages = packagesOf(options);
  if (cves.length + packages.length === 0) throw new CliError(EXIT.usage, 'name at least one CVE, or --package');
  const override = overrideOf(options.override);
  const { client, screen } = await openApi(options);
  const named = [...cves, ...(options.package ?? [])].join(', ');
  await confirmed(screen, { question: `Start an expedited change for ${plain(named)}?`, yes: options.yes });
  const reply = await client.post<ZeroDayStarted>('/v1/zero-day', {
    ...(cves.length > 0 ? { cves } : {}),
    ...(packages.length > 0 ? { packages } : {}),
    reason: options.reason,
    ...(options.due === undefined ? {} : { dueAt: timeOf(options.due, Date.now()) }),
    ...(options.scope === undefined ? {} : { scope: { where: options.scope } }),
    ...override,
  });
  told(screen, reply);
}

async function again(wanted: string, options: AgainOptions): Promise<void> {
  const override = overrideOf(options.override);
  const { client, screen } = await openApi(options);
  const id = await findZeroDay(client, wanted);
  await confirmed(screen, { question: `Start another expedited change for ${plain(wanted)}?`, yes: options.yes });
  told(screen, await client.post<ZeroDayStarted>(`/v1/zero-day/${id}/start`, { reason: options.reason, ...override }));
}

function told(screen: Screen, reply: ZeroDayStarted): void {
  if (screen.json) {
    screen.value(reply);
    return;
  }
  screen.line(
    plain(
      `Zero-day ${reply.id}: ${reply.exposed} exposed, ${reply.offered} of them are offered the fix. ${reply.note}`,
    ),
  );
  // Without a change nothing runs yet: that must not read like a start.
  if (reply.changeId === null) screen.line('No change was started.');
  else screen.line(`Started ${reply.changeId}. Follow it: ringmaster cycle watch ${reply.changeId}`);
}

/** Names, with the version below which they are vulnerable where one was given. @throws CliError */
function packagesOf(options: Pick<StartOptions, 'package' | 'minVersion'>): (string | object)[] {
  const names = options.package ?? [];
  const versions = new Map<string, string>();
  for (const text of options.minVersion ?? []) {
    const [name, version] = text.includes('=')
      ? [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)]
      : [names[0], text];
    if (name === undefined || !names.includes(name) || version === '' || (!text.includes('=') && names.length !== 1))
      throw new CliError(EXIT.usage, `--min-version ${text}: give PACKAGE=VERSION for a package named with --package`);
    versions.set(name, version as string);
  }
  return names.map((name) => (versions.has(name) ? { name, minVersion: versions.get(name) } : name));
}

function overrideOf(wanted: readonly string[] = []): { override?: Record<string, true> } {
  const unknown = wanted.find((what) => what !== 'hours' && what !== 'freezes');
  if (unknown !== undefined) throw new CliError(EXIT.usage, `--override ${unknown}: give hours or freezes`);
  return wanted.length === 0 ? {} : { override: Object.fromEntries(wanted.map((what) => [what, true])) };
}

async function list(options: ListOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  const query = options.open ? { open: 'true' } : {};
  const found = await firstOf(client.pages<ZeroDaySummary>('/v1/zero-day', query), options.limit);
  if (screen.json) return screen.value({ items: found.items, more: found.more });
  screen.table({
    columns: [
      { title: 'NAME', shrinkTo: 12 },
      { title: 'EXPOSED', right: true },
      { title: 'FIXED', right: true },
      { title: 'DUE' },
      { title: 'LEFT', right: true },
      { title: 'ID', shrinkTo: 8 },
    ],
    rows: found.items.map((one) => [
      one.name,
      String(one.counts.exposed),
      String(one.counts.fixed),
      screen.zone.show(one.dueAt),
      leftOf(one),
      one.id,
    ]),
  });
  screen.line(`${found.items.length}${found.more ? '+' : ''} zero-days. Times are ${screen.zone.name}.`);
  noteMore(screen, found.more);
}

async function show(wanted: string, options: ApiOptions & { readonly limit?: string }): Promise<void> {
  const { client, screen } = await openApi(options);
  const path = `/v1/zero-day/${await findZeroDay(client, wanted)}`;
  const zeroDay = await client.get<ZeroDayDetail>(path);
  const found = await firstOf(client.pages<ExposedEndpoint>(`${path}/exposure`), options.limit);
  if (screen.json) return screen.value({ ...zeroDay, exposure: { items: found.items, more: found.more } });
  const { counts, zone } = { ...zeroDay, zone: screen.zone };
  const lines: [string, string][] = [
    ['name', zeroDay.name],
    ['id', zeroDay.id],
    ['reason', zeroDay.reason],
    ['due', `${zone.named(zeroDay.dueAt)} (${leftOf(zeroDay)})`],
    ['exposed', String(counts.exposed)],
    [
      'fixed',
      counts.meanSecondsToPatch === null
        ? '0'
        : `${counts.fixed}, after ${spanOf(counts.meanSecondsToPatch)} on average`,
    ],
    ...zeroDay.changes.map((one): [string, string] => [
      'change',
      `${one.id} ${one.outcome ?? one.stage}${one.waitingFor === null ? '' : `: ${one.waitingFor}`}`,
    ]),
    ...zeroDay.standing.nextSteps.map((step): [string, string] => ['next', `${step.text} (${step.endpoints})`]),
  ];
  for (const [title, text] of lines) screen.line(`${title.padEnd(8)} ${plain(text)}`);
  screen.line();
  if (found.items.length === 0) return screen.line('Nobody is exposed.');
  screen.table({
    columns: [{ title: 'EXPOSED', shrinkTo: 12 }, { title: 'STATE' }, { title: 'WHY', shrinkTo: 20 }],
    rows: found.items.map((one) => [one.name, one.state, one.reason]),
  });
  noteMore(screen, found.more);
}

/** What is left until the due date, for people. */
function leftOf(one: ZeroDaySummary): string {
  if (one.secondsLeft === null) return one.overdue ? 'over, late' : 'over';
  return one.secondsLeft < 0 ? `${spanOf(-one.secondsLeft)} late` : spanOf(one.secondsLeft);
}

/** The two largest parts: "2 d 3 h". */
function spanOf(seconds: number): string {
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
  ] as const;
  const from = parts.findIndex(([n]) => n > 0);
  return from < 0
    ? `${seconds} s`
    : parts
        .slice(from, from + 2)
        .map(([n, unit]) => `${n} ${unit}`)
        .join(' ');
}
