/**
 * Does in one go what many ask for at the same time. Nobody waits for a timer: what comes first starts at once, and what comes
 * while enough is under way goes together as soon as there is room. So an idle server answers as fast as ever, and a busy one
 * shares its transactions (and their commits) among hundreds of polls.
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
 * @param args.key items with the same key never go together; the later one waits for the next round.
 * @param args.atOnce how many rounds may be under way.
 * @param args.most items in one round.
 */
export function createGatherer<T, R>(args: {
  readonly work: (items: readonly T[]) => Promise<readonly Outcome<R>[]>;
  readonly key: (item: T) => string;
  readonly atOnce: number;
  readonly most: number;
}): Gatherer<T, R> {
  let queue: Waiting<T, R>[] = [];
  let underWay = 0;
  let planned = false;

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
  const next = (): void => {
    planned = false;
    while (queue.length > 0 && underWay < args.atOnce) {
      const keys = new Set<string>();
      const round: Waiting<T, R>[] = [];
      queue = queue.filter((one) => {
        const key = args.key(one.item);
        if (round.length >= args.most || keys.has(key)) return true;
        keys.add(key);
        round.push(one);
        return false;
      });
      underWay += 1;
      void workOn(round).finally(() => {
        underWay -= 1;
        next();
      });
    }
  };
  return {
    run: (item) =>
      new Promise((resolve, reject) => {
        queue.push({ item, resolve, reject });
        // What the same turn of the event loop brings goes together.
        if (!planned && underWay < args.atOnce) {
          planned = true;
          setImmediate(next);
        }
      }),
  };
}
