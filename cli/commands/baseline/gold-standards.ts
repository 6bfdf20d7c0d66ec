/** Endpoints as they were at one moment, and how far others are from that. */
import type { Command } from 'commander';
import { linesOfSet } from '../../../domain/baseline/drift.js';
import type { DriftEntry, EndpointDrift, GoldEntry } from '../../client/baseline-types.js';
import { plain } from '../../output/plain.js';
import { type ApiOptions, apiCommand, openApi } from '../api-command.js';
import { findEndpoint } from '../find.js';
import { firstOf, LIMIT_OPTION, noteMore } from '../limit.js';

const pathOf = (name: string): string => `/v1/gold-standards/${encodeURIComponent(name)}`;

export function registerGoldStandards(baseline: Command): void {
  apiCommand(baseline.command('gold-standards'))
    .description('Endpoints as they were captured, for others to be compared with')
    .option(...LIMIT_OPTION)
    .action(list);
  apiCommand(baseline.command('capture <name> <endpoint>'))
    .description('Capture an endpoint as it is now as a gold standard, in place of an earlier one of this name')
    .action(capture);
  apiCommand(baseline.command('drift <name> [endpoint]'))
    .description('Who is how far from a gold standard, the farthest first; or what differs on one endpoint')
    .option(...LIMIT_OPTION)
    .action(drift);
  apiCommand(baseline.command('forget <name>')).description('Forget a gold standard').action(forget);
}

async function list(options: ApiOptions & { limit?: string }): Promise<void> {
  const { client, screen } = await openApi(options);
  const found = await firstOf(client.pages<GoldEntry>('/v1/gold-standards'), options.limit);
  if (screen.json) return screen.value(found);
  screen.table({
    columns: [
      { title: 'NAME' },
      { title: 'ENDPOINT', shrinkTo: 10 },
      { title: `CAPTURED (${screen.zone.name})` },
      { title: 'CHECKLISTS', right: true },
      { title: 'PACKAGES', right: true },
      { title: 'SERVICES', right: true },
    ],
    rows: found.items.map((one) => [
      one.name,
      one.endpoint,
      screen.zone.show(one.capturedAt),
      ...[one.checklists, one.packages, one.services].map(String),
    ]),
  });
  if (found.items.length === 0) screen.note('None yet: ringmaster baseline capture NAME ENDPOINT.');
  noteMore(screen, found.more);
}

async function capture(name: string, endpoint: string, options: ApiOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  const body = { endpointId: await findEndpoint(client, endpoint) };
  const { body: made } = await client.request<GoldEntry>('PUT', pathOf(name), { body });
  if (screen.json) return screen.value(made);
  screen.line(
    plain(
      `${made.endpoint} is captured as ${made.name}: ${made.checklists} checklists, ${made.packages} packages, ${made.services} services and listeners.`,
    ),
  );
}

async function drift(
  name: string,
  endpoint: string | undefined,
  options: ApiOptions & { limit?: string },
): Promise<void> {
  const { client, screen } = await openApi(options);
  if (endpoint !== undefined) {
    const id = await findEndpoint(client, endpoint);
    const found = await client.get<EndpointDrift>(`${pathOf(name)}/endpoints/${id}/drift`);
    if (screen.json) return screen.value(found);
    const rows = linesOf(found);
    screen.table({
      columns: [
        { title: 'WHAT' },
        { title: 'NAME', shrinkTo: 20 },
        { title: 'GOLD', shrinkTo: 8 },
        { title: 'NOW', shrinkTo: 8 },
      ],
      rows,
    });
    if (rows.length === 0) screen.note('Nothing differs.');
    return;
  }
  const found = await firstOf(client.pages<DriftEntry>(`${pathOf(name)}/drift`), options.limit);
  if (screen.json) return screen.value(found);
  screen.table({
    columns: [
      { title: 'ENDPOINT', shrinkTo: 10 },
      { title: 'RULES THAT DIFFER', right: true },
    ],
    rows: found.items.map((one) => [one.endpoint, String(one.rules)]),
  });
  if (found.items.length === 0) screen.note('No other endpoint is measured by its checklists.');
  noteMore(screen, found.more);
}

const linesOf = ({ rules, packages, services }: EndpointDrift): string[][] => [
  ...rules.map((one) => ['rule', one.rule, one.gold ?? '-', one.now ?? '-']),
  ...linesOfSet(packages).map(({ name, gold, now }) => ['package', name, gold ?? '-', now]),
  ...linesOfSet(services).map(({ name, gold, now }) => ['service', name, gold ?? '-', now]),
];

async function forget(name: string, options: ApiOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  await client.request('DELETE', pathOf(name));
  if (screen.json) return screen.value({ name, forgotten: true });
  screen.line(plain(`${name} is forgotten.`));
}
