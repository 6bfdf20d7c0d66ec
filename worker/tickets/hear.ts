/** Asks trackers that don't tell by themselves what people did in tickets. */
import { TrackerAway } from '../../adapters/tickets/port.js';
import { inTransaction } from '../../db/pool.js';
import { knownEvents, noteMoved, refsOf, storeEvents } from '../../db/tickets/events.js';
import { claimHearing, noteHeard } from '../../db/tickets/systems.js';
import { pauseSystem, type ReadySystem, readySystems, systemIsBack, type TicketDeps } from './systems.js';
import { locateTickets } from './whereabouts.js';

/** Asks each system now. */
export async function hearTickets(deps: TicketDeps): Promise<void> {
  await Promise.all((await readySystems(deps)).map((system) => hearOne(deps, system)));
}

/** Asks each system whose turn it is: one worker at a time, as often as its settings say. */
export async function hearDueTickets(deps: TicketDeps): Promise<void> {
  await Promise.all(
    (await readySystems(deps)).map(async (system) => {
      const { hearEveryMs } = system.port;
      if (hearEveryMs === undefined) return;
      const now = deps.clock();
      const claim = { systemId: system.row.id, now, nextAt: now + hearEveryMs };
      if (await claimHearing(deps.pool, claim)) await hearOne(deps, system);
    }),
  );
}

async function hearOne(deps: TicketDeps, system: ReadySystem): Promise<void> {
  const { row, port } = system;
  if (port.hear === undefined) return;
  const systemId = row.id;
  try {
    const heard = await port.hear({
      since: row.heardUntil,
      now: deps.clock(),
      refsOf: (keys) => refsOf(deps.pool, { systemId, keys }),
      known: (externalIds) => knownEvents(deps.pool, { systemId, externalIds }),
    });
    const events = [...heard.events].sort((a, b) => a.at - b.at || Number(a.externalId) - Number(b.externalId));
    await inTransaction(deps.pool, async (client) => {
      await storeEvents(client, { systemId, events, now: deps.clock() });
      await noteMoved(client, { systemId, moved: heard.moved });
      await noteHeard(client, { systemId, until: heard.until });
    });
    // It answered: what it says of single tickets is another matter.
    await systemIsBack(deps, row);
    await locateTickets(deps, system);
  } catch (error) {
    if (error instanceof TrackerAway) await pauseSystem(deps, row, error);
    else deps.log.warn({ err: error, system: row.name }, 'a ticket system was not heard; will try again');
  }
}
