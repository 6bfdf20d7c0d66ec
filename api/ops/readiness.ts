import type { Pool } from 'pg';
import { z } from 'zod';
import { readSetting } from '../../db/setting.js';
import { diskTrouble, stateOfDisk, type WatchedDisk } from '../../domain/server-disk.js';
import { type EpochMs, SECOND } from '../../domain/time.js';

/** What the worker writes to the setting `workerHeartbeat` every few seconds; the web tier has no door to Temporal. */
export const workerHeartbeat = z.object({
  at: z.number(),
  temporal: z.object({ reachable: z.boolean(), detail: z.string().nullish() }),
  /** Absent from a worker of before this was told. */
  duties: z
    .array(z.object({ name: z.string(), lastRunAt: z.number().nullable(), lastError: z.string().nullable() }))
    .optional(),
  disks: z
    .array(
      z.object({
        name: z.string(),
        path: z.string(),
        freeBytes: z.number().nullable(),
        totalBytes: z.number().nullable(),
      }),
    )
    .optional(),
  diskReserveBytes: z.number().optional(),
});
export const HEARTBEAT_KEY = 'workerHeartbeat';

const STALE_MS = 30 * SECOND;

export interface Part {
  readonly name: 'postgresql' | 'worker' | 'temporal' | 'disk';
  /** `low`: a disk of the server is about to be full. */
  readonly state: 'up' | 'away' | 'low' | 'unknown';
  readonly detail: string | null;
}

/**
 * What is there and what is away. The web tier is ready when PostgreSQL answers: it takes intents and reports without a
 * worker or Temporal, which catch up later. They are told all the same, so that nobody wonders why nothing moves.
 */
export async function readiness(deps: { pool: Pool; now: EpochMs }): Promise<{ ready: boolean; parts: Part[] }> {
  let heartbeat: unknown;
  try {
    heartbeat = await readSetting(deps.pool, HEARTBEAT_KEY);
  } catch {
    return {
      ready: false,
      parts: [
        { name: 'postgresql', state: 'away', detail: 'does not answer' },
        { name: 'worker', state: 'unknown', detail: 'its heartbeat is in PostgreSQL' },
        { name: 'temporal', state: 'unknown', detail: 'the worker tells through PostgreSQL' },
      ],
    };
  }
  return {
    ready: true,
    parts: [{ name: 'postgresql', state: 'up', detail: null }, ...workerParts(heartbeat, deps.now)],
  };
}

/** What a heartbeat says about the worker and, through it, about Temporal. */
export function workerParts(heartbeat: unknown, now: EpochMs): Part[] {
  const parsed = workerHeartbeat.safeParse(heartbeat);
  return parsed.success
    ? partsOf(parsed.data, now)
    : [{ name: 'worker', state: 'away', detail: 'has never been heard of' }, NOBODY_TELLS];
}

const NOBODY_TELLS: Part = { name: 'temporal', state: 'unknown', detail: 'no worker tells' };

function partsOf(heartbeat: z.output<typeof workerHeartbeat>, now: EpochMs): Part[] {
  const { at, temporal, disks = [], diskReserveBytes = 0 } = heartbeat;
  const silent = Math.round((now - at) / SECOND);
  if (now - at > STALE_MS) return [{ name: 'worker', state: 'away', detail: `silent for ${silent} s` }, NOBODY_TELLS];
  return [
    { name: 'worker', state: 'up', detail: null },
    { name: 'temporal', state: temporal.reachable ? 'up' : 'away', detail: temporal.detail ?? null },
    ...(disks.length === 0 ? [] : [diskPart(disks, diskReserveBytes)]),
  ];
}

function diskPart(disks: readonly WatchedDisk[], reserveBytes: number): Part {
  const troubles = disks.flatMap((disk) => diskTrouble(disk, reserveBytes) ?? []);
  if (troubles.length === 0) return { name: 'disk', state: 'up', detail: null };
  const runsLow = disks.some((disk) => ['low', 'full'].includes(stateOfDisk(disk, reserveBytes)));
  return { name: 'disk', state: runsLow ? 'low' : 'unknown', detail: troubles.join('; ') };
}

/** What people who look at a page should know of the installation itself, in sentences. */
export function troublesOf(heartbeat: unknown, now: EpochMs): string[] {
  // Where no worker was ever heard of, somebody is still setting it up.
  const parsed = workerHeartbeat.safeParse(heartbeat);
  if (!parsed.success) return [];
  return partsOf(parsed.data, now).flatMap(({ name, state, detail }) => {
    if (name === 'worker' && state === 'away')
      return [`No worker answers (${detail}): what you decide is kept, and carried out once one is back.`];
    if (name === 'temporal' && state === 'away')
      return [
        'Temporal does not answer: what endpoints are at goes on, what you decide is kept, and carried out once it is back.',
      ];
    if (name !== 'disk' || state === 'up') return [];
    return [
      state === 'low' ? `The server runs out of space: ${detail}.` : `How full the server is, is not known: ${detail}.`,
    ];
  });
}
