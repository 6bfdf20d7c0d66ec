/** What a fleet costs that has nothing to do, and what happens when all of it comes back at once. */
import { type Installation, type SimulatedFleet, until } from '../demo/installation.js';
import { round, usageOf, usedBetween } from './processes.js';

interface Args {
  readonly installation: Installation;
  readonly fleet: SimulatedFleet;
  readonly endpoints: number;
}

type Status = { stats: { awake: number; polls: number; failedRequests: number } };

export interface StormFigures {
  /** Until every endpoint had its wake-up channel and a poll answered again. */
  readonly seconds: number;
  readonly failedRequests: number;
  readonly awake: number;
}

export async function reconnectStorm({ installation, fleet, endpoints }: Args): Promise<StormFigures> {
  const before = (await fleet.ask<Status>({ do: 'status' })).stats;
  const brokenAt = new Date();
  const began = performance.now();
  await fleet.ask({ do: 'reconnect' });
  await until('everybody to be back', 300, async () => {
    const { stats } = await fleet.ask<Status>({ do: 'status' });
    return stats.awake >= endpoints && stats.polls - before.polls >= endpoints;
  });
  await until('everybody to be seen', 60, async () => {
    const { rows } = await installation.pool.query(
      'SELECT count(*)::int AS n FROM endpoint WHERE simulated AND last_seen >= $1',
      [brokenAt],
    );
    return rows[0].n >= endpoints;
  });
  const seconds = round((performance.now() - began) / 1_000);
  const { stats } = await fleet.ask<Status>({ do: 'status' });
  return { seconds, failedRequests: stats.failedRequests - before.failedRequests, awake: stats.awake };
}

/** @returns percent of one core over so many seconds, by process. */
export async function idleCost(
  { installation }: Pick<Args, 'installation'>,
  seconds: number,
): Promise<Readonly<Record<string, number>>> {
  const before = usageOf(installation.pids());
  const began = performance.now();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
  const passed = (performance.now() - began) / 1_000;
  const used = usedBetween(before, usageOf(installation.pids()));
  return Object.fromEntries(
    Object.entries(used).map(([name, { cpuSeconds }]) => [name, round((cpuSeconds / passed) * 100, 1)]),
  );
}
