import { defineSignal, setHandler } from '@temporalio/workflow';
import { STRAGGLERS } from '../domain/change/spec.js';
import type { RingInput, RingResult, RingWord } from './messages.js';
import { RING_WORD_SIGNAL } from './messages.js';
import { RingRun } from './ring-run.js';

export const ringWord = defineSignal<[RingWord]>(RING_WORD_SIGNAL);

/** One ring, from opening to passed or undone. It records decisions; endpoints are rows. */
export async function ring(input: RingInput): Promise<RingResult> {
  const run = new RingRun(input);
  setHandler(ringWord, (word) => run.hear(word));

  await run.open();
  for (;;) {
    const end = await run.drain('change');
    if (end === 'abort') return run.abort();
    if (end === 'rollback') return run.rollBack();
    await run.handOverStragglers();
    if (input.ordinal === STRAGGLERS) {
      if (await run.moreMayCome()) continue;
      return run.pass();
    }
    if ((await run.soak()) === 'again') continue;
    const verdict = await run.judge();
    if (verdict === 'promote') return run.pass();
    if (verdict === 'abort') return run.abort();
    if (verdict === 'rollback') return run.rollBack();
  }
}
