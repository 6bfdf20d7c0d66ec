import type { Command } from 'commander';
import type { TicketEntry, TicketSystemEntry, WorkEntry } from '../client/types.js';
import { type ApiOptions, apiCommand, openApi } from './api-command.js';
import { firstOf, LIMIT_OPTION, noteMore } from './limit.js';

export function registerTickets(program: Command): void {
  const tickets = program.command('tickets').description('See tickets, what people must do, and the ticket systems');
  apiCommand(tickets.command('list', { isDefault: true }))
    .description('Tickets, newest first')
    .option('--change <id>', 'of this change, and of work that came out of it')
    .option('--attention', 'only those that are not as they were set: closed, opened again or moved by hand')
    .option(...LIMIT_OPTION)
    .action(list);
  apiCommand(tickets.command('work'))
    .description('What people must do: failed endpoints, stragglers past due, critical drift')
    .option('--all', 'with what is done')
    .option(...LIMIT_OPTION)
    .action(work);
  apiCommand(tickets.command('systems'))
    .description('Ticket systems: whether each works, and what waits to be told there')
    .action(systems);
}

interface ListOptions extends ApiOptions {
  readonly change?: string;
  readonly attention?: boolean;
  readonly all?: boolean;
  readonly limit?: string;
}

async function list(options: ListOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  const query = { change: options.change, attention: options.attention === true ? 'true' : undefined };
  const found = await firstOf(client.pages<TicketEntry>('/v1/tickets', query), options.limit);
  if (screen.json) return screen.value({ items: found.items, more: found.more });
  screen.table({
    columns: [
      { title: 'TICKET' },
      { title: 'STATE' },
      { title: 'ABOUT', shrinkTo: 16 },
      { title: 'OPENED' },
      { title: 'TO TELL', right: true },
      { title: 'ADDRESS', shrinkTo: 10 },
    ],
    rows: found.items.map((one) => [
      `${one.system} ${one.ref ?? '-'}`,
      one.attention === null ? one.state : `${one.state} (${one.attention} by ${one.attentionBy ?? 'somebody'})`,
      one.endpoint === null ? (one.about ?? '') : `${one.endpoint}: ${one.about ?? ''}`,
      screen.zone.show(one.openedAt),
      String(one.waiting),
      one.url ?? '',
    ]),
  });
  screen.line(`${found.items.length}${found.more ? '+' : ''} tickets. Times are ${screen.zone.name}.`);
  noteMore(screen, found.more);
}

async function work(options: ListOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  const all = options.all === true;
  const found = await firstOf(
    client.pages<WorkEntry>('/v1/work', {}),
    options.limit,
    (one) => all || one.state !== 'closed',
  );
  if (screen.json) return screen.value({ items: found.items, more: found.more });
  screen.table({
    columns: [
      { title: 'ENDPOINT', shrinkTo: 10 },
      { title: 'WHAT' },
      { title: 'STATE' },
      { title: 'SINCE' },
      { title: 'WHY', shrinkTo: 16 },
      { title: 'TICKETS', shrinkTo: 8 },
    ],
    rows: found.items.map((one) => [
      one.endpoint,
      one.kind,
      one.state === 'claimed' ? `said to be done by ${one.claimedBy ?? 'somebody'}` : one.state,
      screen.zone.show(one.openedAt),
      one.closedReason ?? one.reason,
      one.tickets.map((t) => `${t.system} ${t.ref ?? '-'}`).join(', '),
    ]),
  });
  screen.line(`${found.items.length}${found.more ? '+' : ''} things to do. Times are ${screen.zone.name}.`);
  noteMore(screen, found.more);
}

async function systems(options: ApiOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  const found = await firstOf(client.pages<TicketSystemEntry>('/v1/ticket-systems', {}), '0');
  if (screen.json) return screen.value({ items: found.items, more: found.more });
  screen.table({
    columns: [
      { title: 'NAME' },
      { title: 'PROVIDER' },
      { title: 'STATE', shrinkTo: 20 },
      { title: 'TO TELL', right: true },
    ],
    rows: found.items.map((one) => [one.name, one.provider, stateOf(one), String(one.waiting)]),
  });
}

function stateOf(system: TicketSystemEntry): string {
  if (!system.active) return 'off';
  if (system.failingSince !== null) return `away since ${system.failingSince}: ${system.lastError ?? ''}`;
  if (system.works === null) return 'not looked at yet';
  return system.works ? 'works' : `not set up rightly: ${system.problem ?? ''}`;
}
