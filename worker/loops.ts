/** Background duties of a worker: each runs again after a pause or when poked, survives its own failures, and stops. */
import type { EpochMs } from '../domain/time.js';
import { SECOND } from '../domain/time.js';

export interface Duty {
  readonly name: string;
  /** Pause between runs when there was nothing to do. */
  readonly everyMs: number;
  /** Returns whether there may be more to do right away. */
  run(): Promise<boolean>;
}

export interface DutyState {
  readonly name: string;
  readonly lastRunAt: EpochMs | null;
  readonly lastError: string | null;
}

export interface RunningDuties {
  poke(name: string): void;
  states(): readonly DutyState[];
  stop(): Promise<void>;
}

const LONGEST_PAUSE = 30 * SECOND;

export function startDuties(args: {
  readonly duties: readonly Duty[];
  readonly clock: () => EpochMs;
  readonly log: { warn(fields: object, message: string): void };
}): RunningDuties {
  let stopping = false;
  const wakers = new Map<string, () => void>();
  const states = new Map<string, DutyState>();
  const pokes = new Set<string>();

  const pause = (name: string, ms: number) =>
    new Promise<void>((resolve) => {
      if (stopping || pokes.delete(name)) return resolve();
      const timer = setTimeout(resolve, ms);
      wakers.set(name, () => {
        clearTimeout(timer);
        pokes.delete(name);
        resolve();
      });
    });

  const keepRunning = async (duty: Duty) => {
    // A duty may ask for the states of all: whoever starts us must have our answer before the first one runs.
    await null;
    let failures = 0;
    while (!stopping) {
      let more = false;
      try {
        more = await duty.run();
        failures = 0;
        states.set(duty.name, { name: duty.name, lastRunAt: args.clock(), lastError: null });
      } catch (error) {
        failures += 1;
        const message = error instanceof Error ? error.message : String(error);
        if (failures === 1) args.log.warn({ err: error, duty: duty.name }, 'duty failed; will try again');
        states.set(duty.name, {
          name: duty.name,
          lastRunAt: states.get(duty.name)?.lastRunAt ?? null,
          lastError: message,
        });
      }
      if (more) continue;
      await pause(
        duty.name,
        failures === 0 ? duty.everyMs : Math.min(LONGEST_PAUSE, SECOND * 2 ** Math.min(failures, 5)),
      );
    }
  };
  const running = args.duties.map(keepRunning);

  return {
    poke(name) {
      pokes.add(name);
      wakers.get(name)?.();
    },
    states: () => [...states.values()],
    async stop() {
      stopping = true;
      for (const wake of wakers.values()) wake();
      await Promise.all(running);
    },
  };
}
