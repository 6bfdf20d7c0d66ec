/** A cycle is a change of kind patch. Everything here only registers; what a command needs is loaded when it runs. */
import type { Command } from 'commander';
import { apiCommand } from './api-command.js';
import { LIMIT_OPTION } from './limit.js';

const CYCLE = 'cycle: id, first characters of it, or name';

export function registerCycle(program: Command): void {
  const cycle = program.command('cycle').description('Plan, start, watch and stop patch cycles');
  const api = (usage: string, description: string) => apiCommand(cycle.command(usage)).description(description);
  const verbs = () => import('./cycle/verbs.js');
  const look = () => import('./cycle/look.js');

  cycle
    .command('init')
    .description('Write a commented specification with five rings to standard output')
    .action(async () => void process.stdout.write((await import('./cycle/template.js')).CYCLE_TEMPLATE));
  api('plan <file>', 'Dry run of a specification (YAML or JSON, - for standard input): nothing is written').action(
    async (file, options) => (await import('./cycle/plan.js')).plan(file, options),
  );
  api('start <file>', 'Ask for the cycle that a specification describes')
    .option('--plan-first', 'show the plan, then ask')
    .option('--watch', 'go on to watch it')
    .option('--yes', 'don’t ask')
    .action(async (file, options) => (await import('./cycle/start.js')).start(file, options));
  api('watch <cycle>', 'Follow a cycle to its end; its outcome is the exit code. Ctrl-C stops only the watching')
    .option('--until <ring=n>', 'end when that ring has passed')
    .option('--timeout <span>', 'give up after 90s, 30m, 12h')
    .action(async (id, options) => (await import('./cycle/watch.js')).watch(id, options));
  api('list', 'Cycles, newest first')
    .option('--open', 'only those under way')
    .option('--closed', 'only those that ended')
    .option(...LIMIT_OPTION)
    .action(async (options) => (await look()).list(options));
  api('show <cycle>', 'One cycle: its rings, what they count, what it waits for').action(async (id, options) =>
    (await look()).show(id, options),
  );
  api('pause <cycle>', 'Stop releasing orders: none is released once this has answered')
    .option('--reason <text>', 'why')
    .action(async (id, options) => (await verbs()).tell('pause', id, options));
  api('resume <cycle>', 'Go on after a pause or a spent budget')
    .option('--reason <text>', 'why')
    .option('--ring <n>', 'this ring only')
    .action(async (id, options) => (await verbs()).tell('resume', id, options));
  api('abort <cycle>', 'Stop for good and take back what has not begun')
    .requiredOption('--reason <text>', 'why')
    .option('--yes', 'don’t ask')
    .action(async (id, options) => (await verbs()).tell('abort', id, options));
  api('rollback <cycle>', 'Put endpoints back to what they had before')
    .requiredOption('--reason <text>', 'why')
    .option('--ring <n>', 'this ring only')
    .option('--ignore-windows', 'don’t wait for hours of operation')
    .option('--yes', 'don’t ask')
    .action(async (id, options) => (await verbs()).tell('rollback', id, options));
  api('retry-failed <cycle>', 'Try failed endpoints once more')
    .option('--reason <text>', 'why')
    .option('--ring <n>', 'this ring only')
    .action(async (id, options) => (await verbs()).tell('retry-failed', id, options));
  api('skip <cycle> <endpoint>', 'Leave one endpoint out')
    .requiredOption('--reason <text>', 'why')
    .action(async (id, endpoint, options) => (await verbs()).tell('skip', id, { ...options, endpoint }));
  api('replan <cycle>', 'Make its plan again, between rings; one that asks for more is approved anew')
    .option('--reason <text>', 'why')
    .action(async (id, options) => (await verbs()).tell('replan', id, options));
  api('stop-all', 'Pause every open change: nothing is released once this has answered')
    .requiredOption('--reason <text>', 'why')
    .option('--yes', 'don’t ask')
    .action(async (options) => (await verbs()).stopAll(options));
  cycle.addHelpText('after', `\n${CYCLE}. Exit codes and JSON shapes: docs/cli.md.`);
}
