import type { Command } from 'commander';
import type { EndpointDetail, EndpointSummary, PatchStarted, Why } from '../client/types.js';
import { CliError, EXIT } from '../exit-codes.js';
import { plain } from '../output/plain.js';
import type { Screen } from '../output/screen.js';
import { type ApiOptions, apiCommand, openApi } from './api-command.js';
import { confirmed } from './confirm.js';
import { findEndpoint } from './find.js';
import { firstOf, LIMIT_OPTION, noteMore } from './limit.js';
import { repeated } from './repeated.js';

interface ListOptions extends ApiOptions {
  readonly name?: string;
  readonly state?: string;
  readonly label?: readonly string[];
  readonly limit?: string;
}

export function registerEndpoints(program: Command): void {
  const endpoints = program.command('endpoints').description('See endpoints, hold them, retire them');
  apiCommand(endpoints.command('list', { isDefault: true }))
    .description('Endpoints by name')
    .option('--name <part>', 'name contains')
    .option('--state <state>', 'active, quarantined or retired')
    .option('--label <key=value>', 'has the label; may be given again', repeated)
    .option(...LIMIT_OPTION)
    .action(list);
  apiCommand(endpoints.command('show <endpoint>'))
    .description('One endpoint, by name or id, with its updates')
    .action(show);
  apiCommand(endpoints.command('hold <endpoint>'))
    .description('Keep changes away from an endpoint for a time; or lift that')
    .option('--until <time>', 'ISO 8601 time with offset, or a span from now: 90m, 12h, 14d')
    .option('--reason <text>', 'why')
    .option('--lift', 'end the hold')
    .action(hold);
  apiCommand(endpoints.command('patch <endpoint>'))
    .description('Start a change over this one alone, still behind its policy, its hours and its approvals')
    .option('--package <name>', 'only this package or source; may be given again', repeated)
    .option('--cve <id>', 'only what fixes this; may be given again', repeated)
    .requiredOption('--reason <text>', 'why')
    .action(patch);
  apiCommand(endpoints.command('why <endpoint>'))
    .description('Why it is not patched yet: one sentence, and the chain behind it')
    .option('--package <name>', 'only of this package or source')
    .action(why);
  apiCommand(endpoints.command('retire <endpoint>'))
    .description('Take an endpoint out for good; what it still has open ends')
    .requiredOption('--reason <text>', 'why')
    .option('--yes', 'don’t ask')
    .action(retire);
  apiCommand(program.command('scan <endpoint...>'))
    .description('Ask endpoints for a fresh scan at their next poll')
    .action(scan);
}

async function list(options: ListOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  const { name, state, label } = options;
  const found = await firstOf(client.pages<EndpointSummary>('/v1/endpoints', { name, state, label }), options.limit);
  if (screen.json) return screen.value({ items: found.items, more: found.more });
  screen.table({
    columns: [
      { title: 'NAME', shrinkTo: 12 },
      { title: 'STATE', shrinkTo: 8 },
      { title: 'UPDATES', right: true },
      { title: 'LAST SEEN' },
      { title: 'LAST SCAN' },
      { title: 'LABELS', shrinkTo: 8 },
      { title: 'ID', shrinkTo: 8 },
    ],
    rows: found.items.map((one) => [
      one.simulated ? `${one.name} (simulated)` : one.name,
      stateOf(one),
      String(one.availableUpdates),
      screen.zone.show(one.lastSeen),
      screen.zone.show(one.lastScan),
      labelsOf(one),
      one.id,
    ]),
  });
  screen.line(`${found.items.length}${found.more ? '+' : ''} endpoints. Times are ${screen.zone.name}.`);
  noteMore(screen, found.more);
}

async function show(wanted: string, options: ApiOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  const endpoint = await client.get<EndpointDetail>(`/v1/endpoints/${await findEndpoint(client, wanted)}`);
  if (screen.json) screen.value(endpoint);
  else describe(screen, endpoint);
}

function describe(screen: Screen, endpoint: EndpointDetail): void {
  const { zone } = screen;
  const lines: [string, string][] = [
    ['name', endpoint.name],
    ['id', endpoint.id],
    ['state', stateOf(endpoint) + (endpoint.simulated ? ', simulated' : '')],
    ['zone', endpoint.zone],
    ['labels', labelsOf(endpoint) || '-'],
    ['last seen', zone.named(endpoint.lastSeen)],
    ['last scan', zone.named(endpoint.lastScan) + (endpoint.wantsScan ? ' (a new one is asked for)' : '')],
    ['packages', String(endpoint.packages.length)],
  ];
  if (endpoint.holdUntil !== null)
    lines.push(['hold', `until ${zone.named(endpoint.holdUntil)}: ${endpoint.holdReason ?? 'no reason given'}`]);
  for (const [title, text] of lines) screen.line(`${title.padEnd(10)} ${plain(text)}`);
  screen.line();
  if (endpoint.updates.length === 0) {
    screen.line('No update is available.');
    return;
  }
  screen.table({
    columns: [
      { title: 'UPDATE', shrinkTo: 12 },
      { title: 'INSTALLED', shrinkTo: 8 },
      { title: 'AVAILABLE', shrinkTo: 8 },
    ],
    rows: endpoint.updates.map((update) => [
      `${update.name}:${update.arch}`,
      update.installed ?? 'new',
      update.candidate,
    ]),
  });
}

async function hold(wanted: string, options: ApiOptions & { until?: string; reason?: string; lift?: boolean }) {
  const { client, screen } = await openApi(options);
  const lift = options.lift === true;
  if (lift === (options.until !== undefined || options.reason !== undefined))
    throw new CliError(EXIT.usage, 'give --until and --reason, or --lift');
  if (!lift && (options.until === undefined || options.reason === undefined))
    throw new CliError(EXIT.usage, 'a hold needs --until and --reason');
  const body = { hold: lift ? null : { until: timeOf(options.until ?? '', Date.now()), reason: options.reason } };
  const path = `/v1/endpoints/${await findEndpoint(client, wanted)}`;
  // The state just read is the one changed: somebody else's edit in between is not overwritten.
  const { etag } = await client.request<EndpointDetail>('GET', path);
  const { body: endpoint } = await client.request<EndpointDetail>('PATCH', path, {
    body,
    headers: etag === null ? {} : { 'if-match': etag },
  });
  if (screen.json) return screen.value(endpoint);
  screen.line(
    lift
      ? `${plain(endpoint.name)} is no longer on hold.`
      : `${plain(endpoint.name)} gets no change until ${screen.zone.named(endpoint.holdUntil)}.`,
  );
}

interface PatchOptions extends ApiOptions {
  readonly package?: readonly string[];
  readonly cve?: readonly string[];
  readonly reason: string;
}

async function patch(wanted: string, options: PatchOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  const id = await findEndpoint(client, wanted);
  const { package: packages = [], cve: cves = [], reason } = options;
  const reply = await client.post<PatchStarted>(`/v1/endpoints/${id}/patch`, { reason, packages, cves });
  if (screen.json) return screen.value(reply);
  const asked =
    reply.approvals === 0
      ? ''
      : ` It waits for ${reply.approvals === 1 ? 'an approval' : `${reply.approvals} approvals`} first.`;
  screen.line(plain(`Started ${reply.changeId} (${reply.name}).${asked}`));
  for (const reason of reply.waitsFor) screen.line(plain(`Besides: ${reason}.`));
  screen.line(`Follow it: ringmaster cycle watch ${reply.changeId}`);
}

async function why(wanted: string, options: ApiOptions & { readonly package?: string }): Promise<void> {
  const { client, screen } = await openApi(options);
  const path = `/v1/endpoints/${await findEndpoint(client, wanted)}/why`;
  const found = await client.get<Why>(path, { package: options.package });
  if (screen.json) return screen.value(found);
  screen.line(plain(found.sentence));
  for (const { text } of found.chain.slice(1)) screen.line(plain(`  and ${text}`));
}

async function retire(wanted: string, options: ApiOptions & { reason: string; yes?: boolean }) {
  const { client, screen } = await openApi(options);
  const id = await findEndpoint(client, wanted);
  await confirmed(screen, { question: `Retire ${plain(wanted)} for good?`, yes: options.yes });
  const endpoint = await client.post<EndpointDetail>(`/v1/endpoints/${id}/retire`, { reason: options.reason });
  if (screen.json) screen.value(endpoint);
  else screen.line(`${plain(endpoint.name)} is retired.`);
}

async function scan(wanted: readonly string[], options: ApiOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  const ids = [...new Set(await Promise.all(wanted.map((one) => findEndpoint(client, one))))];
  for (const id of ids) await client.post(`/v1/endpoints/${id}/scan`);
  if (screen.json) screen.value({ asked: ids });
  else screen.line(`Asked ${ids.length === 1 ? '1 endpoint' : `${ids.length} endpoints`} for a scan at the next poll.`);
}

const stateOf = (one: EndpointSummary): string =>
  one.holdUntil !== null && Date.parse(one.holdUntil) > Date.now()
    ? 'on hold'
    : one.stateReason === null
      ? one.scanOnly && one.state === 'active'
        ? 'active, scan-only'
        : one.state
      : `${one.state}: ${one.stateReason}`;

const labelsOf = (one: EndpointSummary): string =>
  Object.entries(one.labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(' ');

const SPAN_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A time as typed, as ISO 8601. @throws CliError */
export function timeOf(text: string, now: number): string {
  const span = /^(\d{1,6})([mhd])$/.exec(text);
  if (span !== null) return new Date(now + Number(span[1]) * (SPAN_MS[span[2] ?? ''] ?? 0)).toISOString();
  if (/^\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text))) return text;
  throw new CliError(EXIT.usage, `not a time: ${text} (2026-12-01T08:00:00+01:00, or 90m, 12h, 14d)`);
}
