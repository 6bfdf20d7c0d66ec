import type { ChangeOutcome } from '../domain/change/stage.js';

/** The runbook ends early: by a person's word, a ring's budget or the deadline. Not an error of the workflow. */
export class Stopped extends Error {
  constructor(
    readonly outcome: ChangeOutcome,
    readonly reason: string,
  ) {
    super(reason);
  }
}
