import type { Command } from 'commander';
import { CliError, EXIT } from '../exit-codes.js';
import { plain } from '../output/plain.js';
import { type ApiOptions, apiCommand, openApi } from './api-command.js';
import { confirmed } from './confirm.js';
import { timeOf } from './endpoints.js';

interface ZeroDayOptions extends ApiOptions {
  readonly package?: readonly string[];
  readonly reason: string;
  readonly due?: string;
  readonly yes?: boolean;
}

/** Of the server's reply, what people are told. */
interface ZeroDayStarted {
  readonly id: string;
  /** Null: nothing can be done yet, and `note` says why. */
  readonly changeId: string | null;
  readonly exposed: number;
  readonly offered: number;
  readonly note: string;
}

const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

export function registerZeroDay(program: Command): void {
  apiCommand(program.command('zero-day [cve...]'))
    .description(
      'Ask for an expedited change that closes these CVEs or updates these packages, ahead of all routine work',
    )
    .option('--package <name>', 'package or source; may be given again', collect)
    .requiredOption('--reason <text>', 'why')
    .option('--due <time>', 'when it must be closed: ISO 8601 with offset, or a span from now such as 72h')
    .option('--yes', 'don’t ask')
    .action(zeroDay);
}

async function zeroDay(cves: readonly string[], options: ZeroDayOptions): Promise<void> {
  const packages = options.package ?? [];
  if (cves.length + packages.length === 0) throw new CliError(EXIT.usage, 'name at least one CVE, or --package');
  const { client, screen } = await openApi(options);
  const named = [...cves, ...packages].join(', ');
  await confirmed(screen, { question: `Start an expedited change for ${plain(named)}?`, yes: options.yes });
  const reply = await client.post<ZeroDayStarted>('/v1/zero-day', {
    ...(cves.length > 0 ? { cves } : {}),
    ...(packages.length > 0 ? { packages } : {}),
    reason: options.reason,
    ...(options.due === undefined ? {} : { dueAt: timeOf(options.due, Date.now()) }),
  });
  if (screen.json) return screen.value(reply);
  screen.line(
    plain(
      `Zero-day ${reply.id}: ${reply.exposed} exposed, ${reply.offered} of them are offered the fix. ${reply.note}`,
    ),
  );
  // Without a change nothing runs yet: that must not read like a start.
  if (reply.changeId === null) screen.line('No change was started.');
  else screen.line(`Started ${reply.changeId}. Follow it: ringmaster cycle watch ${reply.changeId}`);
}
