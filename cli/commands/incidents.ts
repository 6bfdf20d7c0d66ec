import type { Command } from 'commander';
import type { IncidentEntry } from '../client/types.js';
import { plain } from '../output/plain.js';
import type { Screen } from '../output/screen.js';
import { type ApiOptions, apiCommand, openApi } from './api-command.js';
import { confirmed } from './confirm.js';
import { firstOf, LIMIT_OPTION, noteMore } from './limit.js';

type ListOptions = ApiOptions & { readonly all?: boolean; readonly limit?: string };
type ExpediteOptions = ApiOptions & { readonly reason: string; readonly yes?: boolean };

export function registerIncidents(program: Command): void {
  const incidents = program
    .command('incidents')
    .description(
      'See what endpoints noticed that a notice rule made an alert, a ticket or an incident of, and answer it',
    );
  apiCommand(incidents.command('list', { isDefault: true }))
    .description('Incidents, newest first')
    .option('--all', 'with those that are closed')
    .option(...LIMIT_OPTION)
    .action(list);
  apiCommand(incidents.command('show <incident>')).description('One incident').action(show);
  apiCommand(incidents.command('acknowledge <incident>'))
    .description('Say that you look after it: it is not escalated any more')
    .action((id: string, options: ApiOptions) => answer(id, 'acknowledge', options));
  apiCommand(incidents.command('close <incident>'))
    .description('Close it: it may stay as it is, or it is dealt with')
    .action((id: string, options: ApiOptions) => answer(id, 'close', options));
  apiCommand(incidents.command('expedite <incident>'))
    .description('Ask for a remediation of its rule at once, with the expedite policy’s rings and approvals')
    .requiredOption('--reason <text>', 'why')
    .option('--yes', 'don’t ask')
    .action(expedite);
}

const pathOf = (id: string): string => `/v1/incidents/${encodeURIComponent(id)}`;

async function list(options: ListOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  const query = options.all === true ? {} : { open: 'true' };
  const found = await firstOf(client.pages<IncidentEntry>('/v1/incidents', query), options.limit);
  if (screen.json) return screen.value({ items: found.items, more: found.more });
  screen.table({
    columns: [
      { title: 'SEVERITY' },
      { title: 'WHAT', shrinkTo: 20 },
      { title: 'STATE' },
      { title: 'TIMES', right: true },
      { title: 'SINCE' },
      { title: 'ID' },
    ],
    rows: found.items.map((one) => [
      one.severity,
      one.summary,
      stateOf(one),
      String(one.times),
      screen.zone.show(one.openedAt),
      one.id,
    ]),
  });
  screen.line(`${found.items.length}${found.more ? '+' : ''} incidents. Times are ${screen.zone.name}.`);
  noteMore(screen, found.more);
}

async function show(id: string, options: ApiOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  told(screen, await client.get<IncidentEntry>(pathOf(id)));
}

async function answer(id: string, what: 'acknowledge' | 'close', options: ApiOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  told(screen, await client.post<IncidentEntry>(`${pathOf(id)}/${what}`, {}));
}

async function expedite(id: string, options: ExpediteOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  await confirmed(screen, { question: `Start an expedited remediation for ${plain(id)}?`, yes: options.yes });
  const incident = await client.post<IncidentEntry>(`${pathOf(id)}/expedite`, { reason: options.reason });
  told(screen, incident);
  if (!screen.json) screen.line(`Started ${incident.changeId}. Follow it: ringmaster cycle watch ${incident.changeId}`);
}

const stateOf = (one: IncidentEntry): string =>
  one.closedAt !== null
    ? 'closed'
    : one.acknowledgedAt !== null
      ? 'acknowledged'
      : one.escalatedAt !== null
        ? 'escalated'
        : 'open';

function told(screen: Screen, one: IncidentEntry): void {
  if (screen.json) {
    screen.value(one);
    return;
  }
  const { zone } = screen;
  const lines: [string, string][] = [
    ['what', one.summary],
    ['id', one.id],
    ['severity', one.severity],
    ['by', `${one.respond} by notice rule ${one.rule}`],
    ['state', stateOf(one)],
    ['since', `${zone.named(one.openedAt)}${one.times > 1 ? `, ${one.times} times` : ''}`],
    ...(one.acknowledgedAt === null
      ? []
      : [['seen', `${zone.named(one.acknowledgedAt)} by ${one.acknowledgedBy}`] as [string, string]]),
    ...(one.changeId === null
      ? []
      : [['change', `${one.changeId}${one.changeUnderWay ? '' : ' (over)'}`] as [string, string]]),
  ];
  for (const [title, text] of lines) screen.line(`${title.padEnd(8)} ${plain(text)}`);
}
