import { condition } from '@temporalio/workflow';
import type { EpochMs } from '../domain/time.js';
import { HOUR } from '../domain/time.js';
import { until, workflowNow } from './clock.js';
import type { Wait } from './messages.js';
import { bulk, watched } from './proxies.js';

/** Staging is worth waiting a day for, not longer: an order stages by itself when it has to. */
const PATIENCE = 24 * HOUR;

/** Pumps the stage orders of all rings, each in its endpoints' staging hours, for a day at most: also while it pumps. */
export async function stageLanes(args: {
  readonly changeId: string;
  readonly ordinals: readonly number[];
  readonly deadline: EpochMs;
  readonly tell: (text: string, wait: Wait) => Promise<void>;
}): Promise<void> {
  const giveUp = Math.min(workflowNow() + PATIENCE, args.deadline);
  await Promise.all(args.ordinals.map((ring) => stageLane({ ...args, ring, giveUp })));
}

async function stageLane(args: {
  readonly changeId: string;
  readonly ring: number;
  readonly giveUp: EpochMs;
  readonly tell: (text: string, wait: Wait) => Promise<void>;
}): Promise<void> {
  const { changeId, ring } = args;
  for (;;) {
    const windows = await bulk.resolveWindows({ changeId, ring, target: 'stage', ignoreWindows: false });
    const result = await watched.pump({ changeId, ring, target: 'stage', until: args.giveUp });
    if (result.kind === 'drained' || result.kind === 'deadline') return;
    if (result.kind === 'halted' || result.nextOpen === null || result.nextOpen >= args.giveUp) return;
    await args.tell(`Ring ${ring} waits for staging hours: ${windows.sentence}`, 'stagingHours');
    await condition(() => false, Math.max(1_000, until(result.nextOpen)), {
      summary: `Ring ${ring} waits for staging hours`,
    });
  }
}
