import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import { startScheduledChange } from '../../activities/schedule.js';
import type { StageDeps } from '../../activities/stage-deps.js';
import * as stagesDb from '../../db/stages.js';
import { applySchedules, startsAhead } from '../../worker/schedules.js';
import { changeWorkflowId, scheduleId, TASK_QUEUE } from '../../workflows/ids.js';
import { recordServer } from '../helpers/histories.js';
import { createDatabase, type TestDatabase } from '../helpers/postgres.js';
import { changeSpec, ringSpec } from '../helpers/scripted-activities.js';
import { startDevServer, type TestTemporal } from '../helpers/temporal.js';
import { bundleFromSources } from '../helpers/workflow-rig.js';

jest.setTimeout(120_000);

const patchTuesday = { rrule: 'FREQ=MONTHLY;BYDAY=2TU', plusDays: 3, at: '22:00', zone: 'Europe/Berlin' };

describe('startsAhead', () => {
  it('second Tuesday + 3 days, 22:00 in Berlin, across the change of clocks', () => {
    const starts = startsAhead(patchTuesday, Date.UTC(2026, 8, 1));
    expect(starts.slice(0, 3).map((at) => new Date(at).toISOString())).toEqual([
      '2026-09-11T20:00:00.000Z',
      '2026-10-16T20:00:00.000Z',
      '2026-11-13T21:00:00.000Z',
    ]);
    expect(starts).toHaveLength(40);
  });

  it('refuses what can never start, with the reason', () => {
    expect(() => startsAhead({ ...patchTuesday, rrule: 'FREQ=MONTHLY;BYDAY=9TU' }, 0)).toThrow(/rrule/);
  });
});

describe('a schedule of patch cycles', () => {
  let db: TestDatabase;
  let temporal: TestTemporal;
  let client: Client;
  beforeAll(async () => {
    [db, temporal] = await Promise.all([createDatabase(), startDevServer()]);
    client = new Client({ connection: await Connection.connect({ address: temporal.address }) });
  });
  afterAll(async () => {
    await client?.connection.close();
    await temporal?.stop();
    await db?.drop();
  });

  it('is told to Temporal, starts a change once per occurrence, and goes when it is retired', async () => {
    const id = randomUUID();
    await db.pool.query(
      `INSERT INTO schedule (id, name, spec, calendar, overlap, created_by) VALUES ($1, 'monthly', $2, $3, 'skip', 'ada')`,
      [id, JSON.stringify(changeSpec([ringSpec()])), JSON.stringify(patchTuesday)],
    );
    const apply = () => applySchedules({ pool: db.pool, client, now: Date.now(), refresh: false });
    expect(await apply()).toBe(1);
    expect(await apply()).toBe(0);
    const handle = client.schedule.getHandle(scheduleId(id));
    const { info } = await handle.describe();
    expect(info.nextActionTimes[0]?.getTime()).toBe(startsAhead(patchTuesday, Date.now())[0]);

    const deps = { pool: db.pool, db: stagesDb, clock: () => Date.now(), changeWorkflowId } as unknown as StageDeps;
    const native = await NativeConnection.connect({ address: temporal.address });
    const worker = await Worker.create({
      connection: native,
      taskQueue: TASK_QUEUE,
      workflowBundle: await bundleFromSources(),
      activities: { startScheduledChange: (args: never) => startScheduledChange(deps, args) },
    });
    await worker.runUntil(async () => {
      await handle.trigger();
      const started = async () =>
        (await db.pool.query(`SELECT name, requested_by FROM change WHERE requested_by = $1`, [`schedule/${id}`])).rows;
      while ((await started()).length === 0) await new Promise((resolve) => setTimeout(resolve, 100));
      // The change before is still open: the schedule's overlap rule skips this one. (Starts of one second share an id.)
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      await handle.trigger();
      const skipped = async () =>
        (await db.pool.query(`SELECT 1 FROM audit_entry WHERE action = 'schedule.skipped'`)).rowCount === 1;
      while (!(await skipped())) await new Promise((resolve) => setTimeout(resolve, 100));
      expect(await started()).toHaveLength(1);
    });
    await native.close();
    await recordServer({ address: temporal.address, name: 'schedules' });
    const { rows: outbox } = await db.pool.query(`SELECT topic FROM outbox`);
    expect(outbox).toEqual([{ topic: 'startChange' }]);

    await db.pool.query('UPDATE schedule SET retired_at = now(), version = version + 1 WHERE id = $1', [id]);
    expect(await apply()).toBe(1);
    await expect(handle.describe()).rejects.toThrow(/not found/i);
    expect(await apply()).toBe(0);
  });
});
