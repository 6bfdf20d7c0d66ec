import type { Command } from 'commander';
import { CliError, EXIT } from '../exit-codes.js';
import { plain } from '../output/plain.js';
import type { Screen } from '../output/screen.js';
import { type ApiOptions, apiCommand, openApi } from './api-command.js';
import { firstOf, LIMIT_OPTION, noteMore } from './limit.js';

interface Approval {
  readonly id: string;
  readonly changeName: string;
  readonly ring: number;
  readonly ringName: string | null;
  readonly state: string;
  readonly highRisk: boolean;
  readonly planDigest: string;
  readonly expiresAt: string;
  readonly quorum: number | null;
  readonly approvals: number;
  readonly myDecision: string | null;
}

interface DecideOptions extends ApiOptions {
  readonly digest?: string;
  readonly codeFile?: string;
  readonly comment?: string;
}

export function registerApprove(program: Command): void {
  const approve = program
    .command('approve')
    .description('See what waits for your approval, and decide it with your one-time code');
  apiCommand(approve.command('list', { isDefault: true }))
    .description('Open requests you were asked to decide')
    .option('--all', 'all you may see, in every state')
    .option(...LIMIT_OPTION)
    .action(list);
  apiCommand(approve.command('show <request>')).description('One request with its evidence').action(show);
  for (const [name, decision] of [
    ['accept', 'approve'],
    ['reject', 'reject'],
  ] as const) {
    apiCommand(approve.command(`${name} <request>`))
      .description(
        `Decide: ${decision}. An API token alone decides nothing: RINGMASTER_CODE or --code-file has your one-time code`,
      )
      .requiredOption('--digest <digest>', 'of the plan you have seen (approve show names it)')
      .option('--code-file <file>', 'file with the one-time code, - for standard input')
      .option('--comment <text>', 'kept with the decision')
      .action((id: string, options: DecideOptions) => decide(decision, id, options));
  }
}

async function list(options: ApiOptions & { all?: boolean; limit?: string }): Promise<void> {
  const { client, screen } = await openApi(options);
  const query = options.all === true ? {} : { mine: true, state: 'open' };
  const found = await firstOf(client.pages<Approval>('/v1/approvals', query), options.limit);
  if (screen.json) return screen.value({ items: found.items, more: found.more });
  screen.table({
    columns: [
      { title: 'ID' },
      { title: 'CHANGE', shrinkTo: 10 },
      { title: 'RING', shrinkTo: 8 },
      { title: 'STATE' },
      { title: 'APPROVED', right: true },
      { title: 'EXPIRES' },
      { title: 'YOURS' },
    ],
    rows: found.items.map((one) => [
      one.id,
      one.changeName,
      `${one.ring} ${one.ringName ?? ''}`,
      one.highRisk ? `${one.state}, high risk` : one.state,
      `${one.approvals} of ${one.quorum ?? '?'}`,
      screen.zone.show(one.expiresAt),
      one.myDecision ?? '-',
    ]),
  });
  screen.line(`${found.items.length}${found.more ? '+' : ''} requests. Times are ${screen.zone.name}.`);
  noteMore(screen, found.more);
}

async function show(id: string, options: ApiOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  const request = await client.get<Approval & { evidence: object }>(`/v1/approvals/${encodeURIComponent(id)}`);
  if (screen.json) return screen.value(request);
  describe(screen, request);
}

function describe(screen: Screen, request: Approval & { evidence: object }): void {
  for (const [title, text] of [
    ['change', request.changeName],
    ['ring', `${request.ring} ${request.ringName ?? ''}`],
    ['state', request.state + (request.highRisk ? ', high risk' : '')],
    ['expires', screen.zone.named(request.expiresAt)],
    ['digest', request.planDigest],
  ] as const) {
    screen.line(`${title.padEnd(10)} ${plain(text)}`);
  }
  screen.line();
  for (const line of linesOf(request.evidence, '')) screen.line(plain(line));
}

/** Evidence as indented lines; whatever the server adds to it is shown too. */
function linesOf(value: unknown, indent: string): string[] {
  if (typeof value !== 'object' || value === null) return [`${indent}${String(value)}`];
  return Object.entries(value).flatMap(([key, item]) => {
    const title = Array.isArray(value) ? '-' : `${key}:`;
    if (typeof item !== 'object' || item === null) return [`${indent}${title} ${String(item)}`];
    return [`${indent}${title}`, ...linesOf(item, `${indent}  `)];
  });
}

async function decide(decision: 'approve' | 'reject', id: string, options: DecideOptions): Promise<void> {
  const { client, screen } = await openApi(options);
  const code = await readCode(options.codeFile);
  const reply = await client.post<{ id: string; state: string; message: string }>(
    `/v1/approvals/${encodeURIComponent(id)}/decisions`,
    { decision, planDigest: options.digest, code, comment: options.comment ?? '' },
  );
  if (screen.json) screen.value(reply);
  else screen.line(plain(reply.message));
}

/** A code on the command line could be read by everybody on the machine. */
async function readCode(file: string | undefined): Promise<string> {
  if (file === undefined) {
    const code = process.env.RINGMASTER_CODE ?? '';
    if (code.trim() !== '') return code.trim();
    throw new CliError(EXIT.usage, 'a decision needs your one-time code: RINGMASTER_CODE, or --code-file FILE');
  }
  const { readFileSync } = await import('node:fs');
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8').trim();
  } catch (error) {
    throw new CliError(EXIT.usage, `--code-file: can't read ${file}: ${(error as NodeJS.ErrnoException).code}`);
  }
}
