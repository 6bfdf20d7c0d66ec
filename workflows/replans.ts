import { ActivityFailure, ApplicationFailure } from '@temporalio/workflow';
import { Stopped } from './stopped.js';

/**
 * Plans made anew while a change is under way: one after the other, each on what the one before has left. No ring starts
 * while one is being made ({@link underWay}), and what was approved before one that asks for more approves nothing after it.
 */
export class Replans {
  /** Asked for and not yet ended. */
  private asked = 0;
  private turn: Promise<unknown> = Promise.resolve();
  /** False in histories from before new plans took turns, which go on as they began. */
  tookTurns = false;
  /** How many new plans have been made. */
  made = 0;
  /** How many of them asked for more than the one before. */
  widenings = 0;

  get underWay(): boolean {
    return this.asked > 0;
  }

  note(plan: { readonly widened: boolean }): void {
    this.made += 1;
    if (plan.widened) this.widenings += 1;
  }

  async asOnce(makePlan: () => Promise<string>): Promise<string> {
    this.asked += 1;
    return makePlan().finally(() => {
      this.asked -= 1;
    });
  }

  /**
   * Makes a plan when those asked for earlier are there.
   * @throws ApplicationFailure with the reason when there is no new plan; the one in force stays.
   */
  async inTurn(makePlan: () => Promise<string>): Promise<string> {
    this.asked += 1;
    this.tookTurns = true;
    const mine = this.turn.then(makePlan).finally(() => {
      this.asked -= 1;
    });
    this.turn = mine.catch(() => undefined);
    try {
      return await mine;
    } catch (error) {
      // Any other error in a handler would keep the workflow from going on at all.
      if (error instanceof Stopped) throw ApplicationFailure.nonRetryable('the change is being stopped');
      if (error instanceof ActivityFailure)
        throw ApplicationFailure.nonRetryable(error.cause?.message ?? error.message);
      throw error;
    }
  }
}
