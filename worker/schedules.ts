/**
 * Tells Temporal about schedules. The cadence ("second Tuesday + 3 days, 22:00 Europe/Berlin") is worked out here, where
 * zones are known, and handed over as the next instants; they are refreshed long before they run out.
 */
import type { Client, ScheduleOptions } from '@temporalio/client';
import { ScheduleAlreadyRunning, ScheduleNotFoundError, ScheduleOverlapPolicy } from '@temporalio/client';
import type { Pool } from 'pg';
import { nextScheduledStart, parseCadence } from '../domain/schedule/index.js';
import type { EpochMs } from '../domain/time.js';
import { scheduleId, TASK_QUEUE } from '../workflows/ids.js';

/** How many starts ahead Temporal knows. A monthly cadence is covered for three years, a daily one for over a month. */
const STARTS_AHEAD = 40;

const OVERLAP = {
  skip: ScheduleOverlapPolicy.SKIP,
  bufferOne: ScheduleOverlapPolicy.BUFFER_ONE,
  allowAll: ScheduleOverlapPolicy.ALLOW_ALL,
} as const;

interface ScheduleRow {
  readonly id: string;
  readonly name: string;
  readonly calendar: unknown;
  readonly overlap: keyof typeof OVERLAP;
  readonly version: number;
  readonly retired_at: Date | null;
}

/** The next starts of a cadence after `after`, oldest first. @throws Error naming why when it never starts again. */
export function startsAhead(calendar: unknown, after: EpochMs): readonly EpochMs[] {
  const parsed = parseCadence(calendar);
  if (!parsed.ok) throw new Error(parsed.problems.map((p) => `${p.path}: ${p.reason}`).join('; '));
  const starts: EpochMs[] = [];
  let last = after;
  while (starts.length < STARTS_AHEAD) {
    const next = nextScheduledStart({ cadence: parsed.value, after: last });
    if (!('at' in next)) {
      if (starts.length === 0) throw new Error(next.never);
      break;
    }
    starts.push(next.at);
    last = next.at;
  }
  return starts;
}

const MONTHS = [
  'JANUARY',
  'FEBRUARY',
  'MARCH',
  'APRIL',
  'MAY',
  'JUNE',
  'JULY',
  'AUGUST',
  'SEPTEMBER',
  'OCTOBER',
  'NOVEMBER',
  'DECEMBER',
] as const;

/** One instant as a calendar of Temporal's, in UTC. */
function calendarOf(at: EpochMs) {
  const date = new Date(at);
  return {
    year: date.getUTCFullYear(),
    month: MONTHS[date.getUTCMonth()] ?? 'JANUARY',
    dayOfMonth: date.getUTCDate(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
    second: date.getUTCSeconds(),
  };
}

/** Brings Temporal's schedules in line with the rows; `refresh` also renews those whose rows have not changed. */
export async function applySchedules(args: {
  readonly pool: Pool;
  readonly client: Client;
  readonly now: EpochMs;
  readonly refresh: boolean;
}): Promise<number> {
  const { rows } = await args.pool.query<ScheduleRow>(
    `SELECT id, name, calendar, overlap, version, retired_at FROM schedule
     WHERE CASE WHEN retired_at IS NULL THEN applied_version < version OR $1 ELSE applied_version >= 0 END`,
    [args.refresh],
  );
  for (const row of rows) {
    if (row.retired_at === null) await upsert(args.client, row, args.now);
    else await remove(args.client, row.id);
    await args.pool.query('UPDATE schedule SET applied_version = $2 WHERE id = $1 AND version = $3', [
      row.id,
      row.retired_at === null ? row.version : -1,
      row.version,
    ]);
  }
  return rows.length;
}

async function upsert(client: Client, row: ScheduleRow, now: EpochMs): Promise<void> {
  const options: ScheduleOptions = {
    scheduleId: scheduleId(row.id),
    spec: { calendars: startsAhead(row.calendar, now).map(calendarOf), timezone: 'UTC' },
    action: {
      type: 'startWorkflow',
      workflowType: 'scheduledCycle',
      workflowId: `${scheduleId(row.id)}/cycle`,
      taskQueue: TASK_QUEUE,
      args: [{ scheduleId: row.id }],
    },
    policies: { overlap: OVERLAP[row.overlap], catchupWindow: '1 day' },
  };
  try {
    await client.schedule.create(options);
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    const { scheduleId: _, ...rest } = options;
    await client.schedule.getHandle(options.scheduleId).update((previous) => ({ ...rest, state: previous.state }));
  }
}

async function remove(client: Client, id: string): Promise<void> {
  try {
    await client.schedule.getHandle(scheduleId(id)).delete();
  } catch (error) {
    if (!(error instanceof ScheduleNotFoundError)) throw error;
  }
}
