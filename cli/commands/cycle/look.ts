/** Seeing cycles without following them. */
import type { ChangeDetail, ChangeSummary } from '../../client/types.js';
import { CliError, EXIT } from '../../exit-codes.js';
import { plain } from '../../output/plain.js';
import type { Screen } from '../../output/screen.js';
import { type ApiOptions, openApi } from '../api-command.js';
import { findChange } from '../find.js';
import { firstOf, noteMore } from '../limit.js';

/** The kind of change that is called a cycle. */
export const CYCLE_KIND = 'patch';

export async function list(options: ApiOptions & { open?: boolean; closed?: boolean; limit?: string }): Promise<void> {
  if (options.open === true && options.closed === true)
    throw new CliError(EXIT.usage, 'give --open or --closed, not both');
  const { client, screen } = await openApi(options);
  const open = options.open === true ? true : options.closed === true ? false : undefined;
  const pages = client.pages<ChangeSummary>('/v1/changes', { open });
  const found = await firstOf(pages, options.limit, (change) => change.kind === CYCLE_KIND);
  if (screen.json) return screen.value({ items: found.items, more: found.more });
  screen.table({
    columns: [
      { title: 'ID' },
      { title: 'NAME', shrinkTo: 12 },
      { title: 'REQUESTED' },
      { title: 'STATE', shrinkTo: 9 },
      { title: 'WAITS FOR', shrinkTo: 9 },
    ],
    rows: found.items.map((change) => [
      change.id.slice(0, 8),
      change.name,
      screen.zone.show(change.requestedAt),
      stateOf(change),
      change.waitingFor ?? '-',
    ]),
  });
  screen.line(`${found.items.length}${found.more ? '+' : ''} cycles. Times are ${screen.zone.name}.`);
  noteMore(screen, found.more);
}

export async function show(wanted: string, options: ApiOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  const change = await client.get<ChangeDetail>(`/v1/changes/${await findChange(client, wanted)}`);
  if (screen.json) screen.value(change);
  else describe(screen, change);
}

export function describe(screen: Screen, change: ChangeDetail): void {
  const { zone } = screen;
  const lines: [string, string][] = [
    ['name', change.name],
    ['id', change.id],
    ['state', stateOf(change)],
    ['asked by', `${change.requestedBy}, ${zone.named(change.requestedAt)}`],
    ['deadline', zone.named(change.deadline)],
    ['waits for', change.waitingFor ?? '-'],
  ];
  if (change.closedAt !== null) lines.push(['closed', zone.named(change.closedAt)]);
  for (const [title, text] of lines) screen.line(`${title.padEnd(10)} ${plain(text)}`);
  if (change.rings.length === 0) return;
  screen.line();
  screen.table({
    columns: [
      { title: 'RING', shrinkTo: 10 },
      { title: 'STATE', shrinkTo: 9 },
      ...['PLANNED', 'PENDING', 'IN FLIGHT', 'DONE', 'FAILED', 'NONE'].map((title) => ({ title, right: true })),
      { title: 'WHY HALTED', shrinkTo: 10 },
    ],
    rows: change.rings.map((ring) => {
      const counts = ring.counts.change;
      const numbers = [ring.endpoints, counts.pending, counts.inFlight, counts.succeeded, counts.failed, counts.none];
      return [
        ring.ordinal === STRAGGLERS ? ring.name : `${ring.ordinal} ${ring.name}`,
        ring.halted ? `${ring.state}, halted` : ring.state,
        ...numbers.map(String),
        ring.haltReason ?? '-',
      ];
    }),
  });
}

const STRAGGLERS = 1000;

export const stateOf = (change: ChangeSummary): string =>
  change.outcome ?? (change.halted ? `${change.stage}, halted by ${change.haltedBy ?? 'the workflow'}` : change.stage);
