import { ApplicationFailure, defineQuery, defineSignal, defineUpdate, setHandler } from '@temporalio/workflow';
import type { ChangeRun } from './change-run.js';
import type { ChangeProgress, Command, CommandReply, RingWaits } from './messages.js';
import { COMMAND_UPDATE, PROGRESS_QUERY, RING_WAITS_SIGNAL } from './messages.js';
import { bulk, quick } from './proxies.js';
import { Stopped } from './stopped.js';

export const command = defineUpdate<CommandReply, [Command]>(COMMAND_UPDATE);
export const progress = defineQuery<ChangeProgress>(PROGRESS_QUERY);
export const ringWaits = defineSignal<[RingWaits]>(RING_WAITS_SIGNAL);

/** The verbs of a change. Whoever stops has committed the stop as a row before the word arrives here. */
export class ChangeCommands {
  constructor(private readonly change: ChangeRun) {}

  listen(): void {
    setHandler(command, async (words) => ({ done: await this.carryOut(words) }), {
      validator: (words) => this.check(words),
    });
    setHandler(progress, () => this.change.progress());
    setHandler(ringWaits, (message) => this.change.hearRing(message));
  }

  private check(words: Command): void {
    const refuse = (reason: string) => ApplicationFailure.nonRetryable(reason);
    const { change } = this;
    if (change.progress().stage === 'closed') throw refuse('the change is closed');
    if (change.closing) throw refuse('the change is being closed');
    if (words.verb === 'replan') {
      if (change.progress().rings.length === 0) throw refuse('there is no plan yet');
      if (change.rings.anyRunning()) throw refuse('a plan can be made again only between rings');
      if (!change.anyRingLeft()) throw refuse('every ring has had its turn: a new plan would be carried out by nobody');
    }
    if (words.verb === 'skip' && words.endpointId === undefined) throw refuse('skip names an endpoint');
    if (words.verb === 'retryFailed' && words.ring === undefined) throw refuse('retryFailed names a ring');
    if (change.isStopping() && words.verb !== 'abort') throw refuse('the change is being stopped');
  }

  private async carryOut(words: Command): Promise<string> {
    const { change } = this;
    const { changeId } = change.input;
    const reason = words.reason ?? `${words.verb} by ${words.by}`;
    switch (words.verb) {
      case 'pause':
        change.paused = true;
        await change.show();
        return 'paused: nothing more is let out';
      case 'resume':
        await change.resume(words);
        return 'resumed';
      case 'abort':
        await change.halt(new Stopped('aborted', reason));
        return 'aborting: what has begun finishes';
      case 'rollback': {
        const order = { by: words.by, reason, ignoreWindows: words.ignoreWindows === true };
        if (words.ring === undefined) {
          await change.rollBackAll(order);
          return 'rolling back every ring, the last one first';
        }
        return change.rings.rollBackOne({ ordinal: words.ring, order });
      }
      case 'retryFailed': {
        const ring = words.ring ?? 0;
        const { orders } = await bulk.retryFailed({ changeId, ring, by: words.by });
        if (orders > 0) await change.rings.goOnWith({ ordinal: ring, approvedDigest: change.currentPlan().digest });
        return `${orders} orders again`;
      }
      case 'skip': {
        const done = await quick.skipEndpoint({ changeId, endpointId: words.endpointId ?? '', by: words.by, reason });
        await change.rings.sayAll({ word: 'poke' });
        return done.skipped ? 'skipped' : `not skipped: ${done.reason ?? 'it has begun'}`;
      }
      case 'replan':
        return change.replan(words);
    }
  }
}
