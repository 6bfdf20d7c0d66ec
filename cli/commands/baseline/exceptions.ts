/** Exceptions of rules: who granted which, for whom and until when. */
import type { Command } from 'commander';
import { selectorInWords } from '../../../domain/fleet/selector-words.js';
import type { ExceptionEntry } from '../../client/baseline-types.js';
import { CliError, EXIT } from '../../exit-codes.js';
import { plain } from '../../output/plain.js';
import { type ApiOptions, apiCommand, openApi } from '../api-command.js';
import { timeOf } from '../endpoints.js';
import { findEndpoint } from '../find.js';
import { firstOf, LIMIT_OPTION, noteMore } from '../limit.js';
import { repeated } from '../repeated.js';

export function registerRuleExceptions(baseline: Command): void {
  apiCommand(baseline.command('exceptions'))
    .description('Exceptions of rules in force, newest first')
    .option('--all', 'those that have ended as well')
    .option('--rule <rule>', 'only of exactly this rule or pattern')
    .option(...LIMIT_OPTION)
    .action(list);
  apiCommand(baseline.command('except <rule>'))
    .description(
      'Keep a rule from being put right on some endpoints for a while; who asks approves it (* stands for any characters)',
    )
    .option('--group <name>', 'endpoints of this group; may be given again', repeated)
    .option('--endpoint <endpoint>', 'this endpoint, by name or id; may be given again', repeated)
    .option('--everywhere', 'all endpoints')
    .requiredOption('--until <time>', 'ISO 8601 time with offset, or a span from now: 12h, 30d')
    .requiredOption('--owner <account>', 'id of the account that answers for it; not your own')
    .requiredOption('--reason <text>', 'why')
    .action(except);
  apiCommand(baseline.command('revoke <exception>'))
    .description('End an exception (its id); it stays on record')
    .action(revoke);
}

async function list(options: ApiOptions & { all?: boolean; rule?: string; limit?: string }): Promise<void> {
  const { client, screen } = await openApi(options);
  const query = { of: 'rule', rule: options.rule, state: options.all === true ? undefined : 'inForce' };
  const found = await firstOf(client.pages<ExceptionEntry>('/v1/exceptions', query), options.limit);
  if (screen.json) return screen.value(found);
  screen.table({
    columns: [
      { title: 'ID' },
      { title: 'RULE', shrinkTo: 15 },
      { title: 'FOR', shrinkTo: 10 },
      { title: `UNTIL (${screen.zone.name})` },
      { title: 'STATE' },
      { title: 'OWNER', shrinkTo: 10 },
      { title: 'REASON', shrinkTo: 10 },
    ],
    rows: found.items.map((one) => [
      one.id,
      one.rule ?? '',
      selectorInWords(one.selector),
      screen.zone.show(one.expiresAt),
      one.state,
      one.ownerName,
      one.reason,
    ]),
  });
  noteMore(screen, found.more);
}

interface ExceptOptions extends ApiOptions {
  readonly group?: readonly string[];
  readonly endpoint?: readonly string[];
  readonly everywhere?: boolean;
  readonly until: string;
  readonly owner: string;
  readonly reason: string;
}

async function except(rule: string, options: ExceptOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  const { group: groups, endpoint: endpoints, everywhere } = options;
  if (
    everywhere === true
      ? groups !== undefined || endpoints !== undefined
      : groups === undefined && endpoints === undefined
  )
    throw new CliError(EXIT.usage, 'say for whom: --group, --endpoint (both: who meets both), or --everywhere');
  const selector = {
    ...(everywhere === true ? { all: true } : {}),
    ...(groups === undefined ? {} : { groups }),
    ...(endpoints === undefined ? {} : { ids: await Promise.all(endpoints.map((one) => findEndpoint(client, one))) }),
  };
  const { owner, reason } = options;
  const expiresAt = timeOf(options.until, Date.now());
  const made = await client.post<ExceptionEntry>('/v1/exceptions', { selector, rule, owner, reason, expiresAt });
  if (screen.json) return screen.value(made);
  screen.line(
    plain(
      `${rule} is excepted for ${selectorInWords(made.selector)} until ${screen.zone.named(made.expiresAt)}: ${made.id}.`,
    ),
  );
}

async function revoke(id: string, options: ApiOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  await client.request('DELETE', `/v1/exceptions/${encodeURIComponent(id)}`);
  const one = await client.get<ExceptionEntry>(`/v1/exceptions/${encodeURIComponent(id)}`);
  if (screen.json) return screen.value(one);
  screen.line(plain(`The exception of ${one.rule ?? one.package ?? one.cve ?? ''} is revoked.`));
}
