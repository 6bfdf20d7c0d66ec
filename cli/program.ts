import { Command } from 'commander';
import { registerApply } from './commands/apply.js';
import { registerApprove } from './commands/approve.js';
import { registerAudit } from './commands/audit.js';
import { registerBackup } from './commands/backup.js';
import { registerBaseline } from './commands/baseline.js';
import { registerCompletion } from './commands/completion.js';
import { registerCycle } from './commands/cycle.js';
import { registerEndpoints } from './commands/endpoints.js';
import { registerIncidents } from './commands/incidents.js';
import { registerKeys } from './commands/keys.js';
import { registerMigrate } from './commands/migrate.js';
import { registerTickets } from './commands/tickets.js';
import { registerUp } from './commands/up.js';
import { registerZeroDay } from './commands/zero-day.js';

/** The whole command tree; what commands need is loaded only when one of them runs. */
export function createProgram(): Command {
  const program = new Command('ringmaster')
    .description('From "a patch exists" to "proven installed, or undone"')
    .showHelpAfterError('(--help tells more)');
  registerUp(program);
  registerEndpoints(program);
  registerCycle(program);
  registerZeroDay(program);
  registerBaseline(program);
  registerApprove(program);
  registerApply(program);
  registerTickets(program);
  registerIncidents(program);
  registerAudit(program);
  registerBackup(program);
  registerKeys(program);
  registerMigrate(program);
  registerCompletion(program);
  return program;
}
