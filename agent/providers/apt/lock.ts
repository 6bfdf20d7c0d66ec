/**
 * dpkg's lock. Whether another package manager has it is asked before a start is announced, and a run that finds it taken all the same
 * gives up at once and has touched nothing: had it waited, dpkg might begin long after the permit to start has ended.
 */
import { endOf, runsOf } from '../../system/detached-run.js';
import type { Run } from '../../system/run.js';
import type { Transaction } from '../provider.js';
import { aptCheck } from './commands.js';

/** apt's words of either of dpkg's locks, and dpkg's own, which does not wait. */
const TAKEN =
  /^(?:E: Unable to (?:acquire the dpkg frontend lock|lock the administration directory) .*is another process using it|dpkg: error: dpkg (?:frontend|database) lock was locked by another process)/m;
const HOLDER = /(?:It is held by|locked by another) (process (?:\d+ \([^)\n]{1,64}\)|with pid \d+))/;
/** dpkg's first words: from there on something may have been touched. */
const AT_WORK =
  /^(?:\(Reading database|Preparing to unpack|Unpacking|Setting up|Removing|Purging|Processing triggers)/m;

/** Who kept apt, or dpkg, from beginning, for people; null: nobody did. */
export function lockedOut(output: string): string | null {
  if (!TAKEN.test(output) || AT_WORK.test(output)) return null;
  const holder = HOLDER.exec(output)?.[1];
  return `another package manager has dpkg's lock${holder === undefined ? '' : `: ${holder}`}`;
}

/** Takes and releases the lock as apt would; why that is not possible now, or null. The transaction's folders are there. */
export async function lockTakenBy(run: Run, tx: Transaction): Promise<string | null> {
  const checked = await run(aptCheck(tx), { timeoutMs: 60_000 });
  return checked.code === 0 ? null : lockedOut(checked.stderr);
}

/** Whether a run of this name may have touched anything: one that is under way or was cut short may. */
export function hasTouched(txDir: string, name: string): boolean {
  return runsOf(txDir, name).some((run) => {
    const output = endOf(run);
    return output === null || lockedOut(output) === null;
  });
}
