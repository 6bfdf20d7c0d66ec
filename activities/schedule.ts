import { createHash } from 'node:crypto';
import type { StageDeps } from './stage-deps.js';
import { again, hopeless } from './stage-deps.js';

/**
 * Writes down that a schedule's occurrence wants a change: once, however often it is called. While the change before is
 * still open the schedule's overlap rule decides: `skip` answers with that one, `bufferOne` waits (is tried again) until
 * it closes, `allowAll` goes on.
 */
export async function startScheduledChange(
  deps: StageDeps,
  args: { readonly scheduleId: string; readonly occurrence: string },
): Promise<{ changeId: string }> {
  const { db, pool } = deps;
  const { scheduleId, occurrence } = args;
  const id = occurrenceId(scheduleId, occurrence);
  const requestedBy = `schedule/${scheduleId}`;
  return db.inTransaction(pool, async (client) => {
    const schedule = await db.lockSchedule(client, scheduleId);
    if (schedule === null) throw hopeless('scheduleUnknown', `there is no schedule ${scheduleId}`);
    if ((await db.loadChange(client, { changeId: id })) !== null) return { changeId: id };
    if (schedule.retired) throw hopeless('scheduleRetired', `schedule ${schedule.name} is retired`);
    const open = schedule.overlap === 'allowAll' ? null : await db.findOpenChangeOf(client, requestedBy);
    if (open !== null && schedule.overlap === 'skip') {
      await db.appendAudit(client, [
        { actor: 'worker', action: 'schedule.skipped', subject: requestedBy, detail: { occurrence, open } },
      ]);
      return { changeId: open };
    }
    if (open !== null) throw again('waitsForPrevious', `change ${open} of schedule ${schedule.name} is still open`);
    await db.createChange(client, {
      id,
      spec: schedule.spec,
      requestedBy,
      now: deps.clock(),
      workflowId: deps.changeWorkflowId,
    });
    return { changeId: id };
  });
}

/** The same id for the same occurrence: a custom UUID (version 8, RFC 9562) made of a digest. */
export function occurrenceId(scheduleId: string, occurrence: string): string {
  const bytes = createHash('sha256').update(`${scheduleId}\n${occurrence}`).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
