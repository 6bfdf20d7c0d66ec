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
  const reply = await client.post<{ id?: string; changeId?: string }>('/v1/zero-day', {
    ...(cves.length > 0 ? { cves } : {}),
    ...(packages.length > 0 ? { packages } : {}),
    reason: options.reason,
    ...(options.due === undefined ? {} : { dueAt: timeOf(options.due, Date.now()) }),
  });
  if (screen.json) return screen.value(reply);
  const id = reply.changeId ?? reply.id ?? '';
  screen.line(`Started ${id} for ${plain(named)}.`);
  screen.line(`Follow it: ringmaster cycle watch ${id}`);
}
