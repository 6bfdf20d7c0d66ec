/**
 * Does in one go what many ask for at the same time: what comes first starts at once, and what comes while a round is under
 * way goes together as soon as that has ended. So an idle server answers as fast as ever, and a busy one shares its
 * transactions (and their commits) among hundreds of polls. A round that takes long, because it waits for a lock, holds up
 * nobody: the next one starts beside it.
 */

export type Outcome<R> = { readonly ok: true; readonly value: R } | { readonly ok: false; readonly error: unknown };

export interface Gatherer<T, R> {
  /** @throws whatever the work came to for this item */
  readonly run: (item: T) => Promise<R>;
}

interface Waiting<T, R> {
  readonly item: T;
  readonly resolve: (value: R) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * @param args.work one outcome per item, in order. When it throws as a whole and there was more than one item, each is done
 *   again alone, so that one that can't be done spoils nobody else's: it must bear being repeated.
 * @param args.key items with the same key are never under way at the same time; the later one waits for the next round.
 * @param args.atOnce how many rounds may be under way.
 * @param args.patienceMs how long the last round must have been under way before another starts beside it.
 * @param args.most items in one round.
 */
export function createGatherer<T, R>(args: {
  readonly work: (items: readonly T[]) => Promise<readonly Outcome<R>[]>;
  readonly key: (item: T) => string;
  readonly atOnce: number;
  readonly patienceMs: number;
  readonly most: number;
}): Gatherer<T, R> {
  let queue: Waiting<T, R>[] = [];
  let underWay = 0;
  const busy = new Set<string>();
  let planned = false;
  /** Runs while the last round is given time to end before another starts beside it. */
  let patience: NodeJS.Timeout | null = null;

  const settle = (waiting: readonly Waiting<T, R>[], outcomes: readonly Outcome<R>[]): void => {
    for (const [i, one] of waiting.entries()) {
      const outcome = outcomes[i];
      if (outcome?.ok) one.resolve(outcome.value);
      else one.reject(outcome?.error ?? new Error('the work left this item out'));
    }
  };
  const workOn = async (waiting: readonly Waiting<T, R>[]): Promise<void> => {
    try {
      settle(waiting, await args.work(waiting.map(({ item }) => item)));
    } catch (error) {
      if (waiting.length === 1) settle(waiting, [{ ok: false, error }]);
      else for (const one of waiting) await workOn([one]);
    }
  };
  const take = (): Waiting<T, R>[] => {
    const round: Waiting<T, R>[] = [];
    queue = queue.filter((one) => {
      const key = args.key(one.item);
      if (round.length >= args.most || busy.has(key)) return true;
      busy.add(key);
      round.push(one);
      return false;
    });
    return round;
  };
  const stopWaiting = (): void => {
    if (patience !== null) clearTimeout(patience);
    patience = null;
  };
  const start = (): void => {
    planned = false;
    const round = underWay < args.atOnce ? take() : [];
    if (round.length === 0) return;
    underWay += 1;
    stopWaiting();
    patience = setTimeout(() => {
      patience = null;
      start();
    }, args.patienceMs);
    void workOn(round).finally(() => {
      underWay -= 1;
      for (const { item } of round) busy.delete(args.key(item));
      if (underWay === 0) stopWaiting();
      start();
    });
  };
  return {
    run: (item) =>
      new Promise((resolve, reject) => {
        queue.push({ item, resolve, reject });
        // What the same turn of the event loop brings goes together.
        if (!planned && patience === null) {
          planned = true;
          setImmediate(start);
        }
      }),
  };
}
