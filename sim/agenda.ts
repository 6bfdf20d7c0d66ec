/** What is due when, for tens of thousands of endpoints with one timer: a heap of times, and no ticking while nothing is due. */

export interface Agenda<T> {
  /** Puts `item` at `at` (epoch ms). An item may be in more than once; the caller knows which time still counts. */
  add(at: number, item: T): void;
  /** Entries, those that no longer count among them. */
  readonly size: number;
  stop(): void;
}

interface Entry<T> {
  readonly at: number;
  readonly item: T;
}

const LONGEST_TIMER_MS = 60_000;

/** @param deps.due called once per entry, in the order of their times. */
export function createAgenda<T>(deps: {
  readonly now: () => number;
  readonly due: (item: T, at: number) => void;
}): Agenda<T> {
  const heap: Entry<T>[] = [];
  let timer: NodeJS.Timeout | null = null;
  let timerAt = Number.POSITIVE_INFINITY;
  let stopped = false;

  const arm = () => {
    const first = heap[0];
    if (stopped || first === undefined || (timer !== null && timerAt <= first.at)) return;
    if (timer !== null) clearTimeout(timer);
    timerAt = first.at;
    timer = setTimeout(fire, Math.min(LONGEST_TIMER_MS, Math.max(0, first.at - deps.now())));
  };
  const fire = () => {
    timer = null;
    timerAt = Number.POSITIVE_INFINITY;
    for (let first = heap[0]; !stopped && first !== undefined && first.at <= deps.now(); first = heap[0]) {
      pop(heap);
      deps.due(first.item, first.at);
    }
    arm();
  };
  return {
    add(at, item) {
      push(heap, { at, item });
      arm();
    },
    get size() {
      return heap.length;
    },
    stop() {
      stopped = true;
      if (timer !== null) clearTimeout(timer);
    },
  };
}

function push<T>(heap: Entry<T>[], entry: Entry<T>): void {
  let hole = heap.length;
  heap.push(entry);
  while (hole > 0) {
    const parent = (hole - 1) >> 1;
    const above = heap[parent] as Entry<T>;
    if (above.at <= entry.at) break;
    heap[hole] = above;
    hole = parent;
  }
  heap[hole] = entry;
}

function pop<T>(heap: Entry<T>[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let hole = 0;
  for (;;) {
    const left = 2 * hole + 1;
    if (left >= heap.length) break;
    const right = left + 1;
    const child = right < heap.length && (heap[right] as Entry<T>).at < (heap[left] as Entry<T>).at ? right : left;
    const below = heap[child] as Entry<T>;
    if (below.at >= last.at) break;
    heap[hole] = below;
    hole = child;
  }
  heap[hole] = last;
}
