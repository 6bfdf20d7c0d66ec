import { judgePackageChanges } from '../../db/loop/package-changes.js';
import { countClosedLoops } from '../../db/read/closed-loop.js';
import { SECOND } from '../../domain/time.js';
import { lookedFor } from '../look.js';
import type { Duty } from '../loops.js';
import { deliverTickets } from './deliver.js';
import { handleTicketEvents } from './handle.js';
import { hearDueTickets } from './hear.js';
import type { TicketDeps } from './systems.js';
import { tendWork, type WorkDeps } from './work.js';

/** Poked by `rm_tickets`; a lost notification costs seconds. */
export const TICKET_DUTIES = ['tickets', 'ticket-events'] as const;

const PACKAGE_CHANGES = 5_000;
const CLOSED_CHANGES = 5;

/** What a worker does for tickets. Any number of workers may: rows say who has what. */
export function ticketDuties(deps: TicketDeps & WorkDeps): readonly Duty[] {
  return [
    { ...lookedFor('tickets'), run: () => deliverTickets(deps) },
    { ...lookedFor('ticket-events'), run: () => handleTicketEvents(deps) },
    { name: 'work', everyMs: 5 * SECOND, run: () => tendWork(deps) },
    {
      ...lookedFor('tickets-heard'),
      run: async () => {
        await hearDueTickets(deps);
        return false;
      },
    },
    {
      name: 'closed-loop',
      everyMs: 10 * SECOND,
      run: async () => {
        const judged = await judgePackageChanges(deps.pool, PACKAGE_CHANGES);
        const counted = await countClosedLoops(deps.pool, { limit: CLOSED_CHANGES, now: deps.clock() });
        return judged === PACKAGE_CHANGES || counted === CLOSED_CHANGES;
      },
    },
  ];
}
