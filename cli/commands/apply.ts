import type { Command } from 'commander';
import type { PlannedResource } from '../apply/plan.js';
import { CliError, EXIT } from '../exit-codes.js';
import { plain } from '../output/plain.js';
import type { Screen } from '../output/screen.js';
import { type ApiOptions, apiCommand, openApi } from './api-command.js';
import { confirmed } from './confirm.js';
import { repeated } from './repeated.js';

export function registerApply(program: Command): void {
  apiCommand(program.command('apply [file...]'))
    .description(
      'Put groups, policy sets, freeze calendars, quorum groups and schedules there as YAML says; shows the differences first',
    )
    .option('-f, --file <file>', 'YAML file, - for standard input; may be given again', repeated)
    .option('--dry-run', 'only show the differences: exit code 0 without, 1 with any')
    .option('--yes', 'don’t ask')
    .action(apply);
  apiCommand(program.command('export [kind...]'))
    .description('Write what `apply` reads: Group, FreezeCalendar, QuorumGroup, PolicySet, Schedule (default: all)')
    .action(exportAll);
}

async function apply(
  more: readonly string[],
  options: ApiOptions & { file?: readonly string[]; dryRun?: boolean; yes?: boolean },
): Promise<void> {
  const files = [...(options.file ?? []), ...more];
  if (files.length === 0) throw new CliError(EXIT.usage, 'give at least one file: -f FILE, - for standard input');
  const { client, screen } = await openApi(options);
  const [{ readResources }, { planResources }, { located }] = await Promise.all([
    import('../apply/documents.js'),
    import('../apply/plan.js'),
    import('./cycle/spec-file.js'),
  ]);
  const planned = await planResources(client, readResources(files));
  const changes = planned.filter(({ action }) => action !== 'keep');
  if (!screen.json) showDifferences(screen, planned);
  const dryRun = options.dryRun === true;
  if (changes.length > 0 && !dryRun) {
    await confirmed(screen, { question: `Apply ${changes.length === 1 ? 'this' : 'these'}?`, yes: options.yes });
    let done = 0;
    for (const { wanted, before } of changes) {
      try {
        await wanted.kind.put(client, { name: wanted.name, spec: wanted.spec, before });
        done += 1;
      } catch (error) {
        screen.note(
          `${done} of ${changes.length} were applied before ${wanted.kind.kind} ${plain(wanted.name)} was refused.`,
        );
        throw located(error, wanted.document, 'spec.');
      }
    }
    if (!screen.json) screen.line(`Applied ${done}.`);
  }
  if (screen.json) {
    const items = planned.map(({ wanted, action, fields }) => ({
      kind: wanted.kind.kind,
      name: wanted.name,
      action,
      fields,
    }));
    screen.value({ applied: dryRun ? 0 : changes.length, items });
  }
  if (dryRun && changes.length > 0) process.exitCode = EXIT.failed;
}

function showDifferences(screen: Screen, planned: readonly PlannedResource[]): void {
  for (const { wanted, action, fields } of planned) {
    if (action === 'keep') continue;
    screen.line(`${action} ${wanted.kind.kind} ${plain(wanted.name)}`);
    for (const { field, before, after } of fields) {
      if (before !== undefined) screen.line(plain(`  - ${field}: ${JSON.stringify(before)}`));
      if (after !== undefined) screen.line(plain(`  + ${field}: ${JSON.stringify(after)}`));
    }
  }
  const count = (action: string) => planned.filter((one) => one.action === action).length;
  screen.line(`${count('create')} to create, ${count('change')} to change, ${count('keep')} left as they are.`);
}

async function exportAll(kinds: readonly string[], options: ApiOptions): Promise<void> {
  const [{ RESOURCE_KINDS }, { stringify }] = await Promise.all([import('../apply/resource-kinds.js'), import('yaml')]);
  const known = RESOURCE_KINDS.map(({ kind }) => kind);
  const unknown = kinds.filter((kind) => !known.includes(kind));
  if (unknown.length > 0)
    throw new CliError(EXIT.usage, `no such kind: ${unknown.join(', ')}; known: ${known.join(', ')}`);
  const { client, screen } = await openApi(options);
  const items: { kind: string; name: string; spec: unknown }[] = [];
  for (const { kind, list } of RESOURCE_KINDS.filter((one) => kinds.length === 0 || kinds.includes(one.kind))) {
    const found = [...(await list(client))].sort((a, b) => (a.name < b.name ? -1 : 1));
    items.push(...found.map(({ name, spec }) => ({ kind, name, spec })));
  }
  if (screen.json) return screen.value({ items });
  process.stdout.write(items.map((item) => `---\n${stringify(item, { lineWidth: 0 })}`).join(''));
}
