/**
 * One look a second at whether there is anything to do, instead of one by each duty: nearly always there is not, and what a worker
 * without work costs is its questions.
 */
import type { Pool } from 'pg';
import { UNSEALED } from '../db/audit/seal.js';
import { noticesWait } from '../db/baseline/notices.js';
import { FILE_PENDING } from '../db/baseline/pending-content.js';
import { scansWait } from '../db/baseline/scan-orders.js';
import { GATES_OPEN } from '../db/orders/index.js';
import { EVENT_WAITS } from '../db/tickets/events.js';
import { ANY_SYSTEM } from '../db/tickets/systems.js';
import { type EpochMs, SECOND } from '../domain/time.js';
import type { Duty, RunningDuties } from './loops.js';
import { outboxDue } from './relay.js';

/** By duty: SQL that is true when it has something to do. `$1` is now, in milliseconds. */
const CONDITIONS = {
  outbox: outboxDue('$1'),
  'outbox-expedited': outboxDue('$1'),
  audit: UNSEALED,
  hooks: GATES_OPEN,
  notices: noticesWait('$1'),
  scans: scansWait('$1'),
  'baseline-content': FILE_PENDING,
  tickets: ANY_SYSTEM,
  'tickets-heard': ANY_SYSTEM,
  'ticket-events': EVENT_WAITS,
} as const satisfies Readonly<Record<string, string>>;

/** Should the look miss something, it is done that much later. */
const LOOKED_FOR_MS = 30 * SECOND;

/** Name and pause of a duty that runs when a look finds something for it, or when poked. */
export const lookedFor = (name: keyof typeof CONDITIONS): Pick<Duty, 'name' | 'everyMs'> => ({
  name,
  everyMs: LOOKED_FOR_MS,
});

const CASES = Object.entries(CONDITIONS).map(([name, waits]) => `('${name}', ${waits})`);
const LOOK = {
  name: 'rm_look',
  text: `SELECT ARRAY(SELECT name FROM (VALUES ${CASES.join(', ')}) AS v (name, waits) WHERE waits) AS names`,
};

/** @returns the duties that have something to do */
export async function lookForWork(pool: Pool, now: EpochMs): Promise<readonly string[]> {
  const { rows } = await pool.query<{ names: string[] }>({ ...LOOK, values: [now] });
  return rows[0]?.names ?? [];
}

/** Pokes duties that have something to do; one that fails keeps its own pauses. */
export function lookDuty(deps: {
  readonly pool: Pool;
  readonly clock: () => EpochMs;
  readonly duties: () => Pick<RunningDuties, 'poke' | 'states'>;
}): Duty {
  return {
    name: 'look',
    everyMs: SECOND,
    run: async () => {
      const { poke, states } = deps.duties();
      const failing = new Set(states().flatMap(({ name, lastError }) => (lastError === null ? [] : [name])));
      for (const name of await lookForWork(deps.pool, deps.clock())) if (!failing.has(name)) poke(name);
      return false;
    },
  };
}
