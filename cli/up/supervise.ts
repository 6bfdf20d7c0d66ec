import { UpError } from './errors.js';
import { endProcess, logTail, type ProcessSpec, type RunningProcess, startProcess } from './managed-process.js';
import { removePidFile } from './pid-file.js';

/** A process that is started again whenever it ends, until stopped. */
export type Supervised = Readonly<{
  name: string;
  logFile: string;
  /** The process running now; undefined between two of them. */
  current: () => RunningProcess | undefined;
  /** How often it ended by itself. */
  failures: () => number;
  /** Ends it for good, and removes its pid file. */
  stop: (hurry: AbortSignal) => Promise<void>;
}>;

export type SuperviseOptions = Readonly<{
  spec: ProcessSpec;
  pidsDir: string;
  /** A process taken over from an earlier supervisor, instead of a new one. */
  adopted?: RunningProcess | undefined;
  /** Told, in a sentence, when the process ends and when it is started again. */
  say: (line: string) => void;
}>;

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 15_000;
/** Who ran this long did not fail at starting: the delay begins anew. */
const SETTLED_MS = 60_000;

/** Starts (or takes over) a process and keeps it running. @throws UpError when the first start fails. */
export async function supervise(options: SuperviseOptions): Promise<Supervised> {
  const { spec, pidsDir, say } = options;
  const stopping = new AbortController();
  let failures = 0;
  let delayMs = FIRST_DELAY_MS;
  let current: RunningProcess | undefined = options.adopted ?? (await startProcess(spec, pidsDir));

  const keepRunning = async () => {
    while (!stopping.signal.aborted) {
      const startedAt = performance.now();
      const how = current ? await current.ended : 'did not start';
      current = undefined;
      if (stopping.signal.aborted) return;
      failures++;
      if (performance.now() - startedAt > SETTLED_MS) delayMs = FIRST_DELAY_MS;
      say(`${spec.name} ended (${how}); starting it again in ${delayMs / 1000} s. Log: ${spec.logFile}`);
      await sleep(delayMs, stopping.signal);
      if (stopping.signal.aborted) return;
      delayMs = Math.min(delayMs * 2, LONGEST_DELAY_MS);
      current = await startProcess(spec, pidsDir).catch((error: Error) => {
        say(error.message);
        return undefined;
      });
    }
  };
  const done = keepRunning();

  return {
    name: spec.name,
    logFile: spec.logFile,
    current: () => current,
    failures: () => failures,
    stop: async (hurry) => {
      stopping.abort();
      if (current) await endProcess(current.identity, spec.stop, hurry);
      await done;
      // A start may have been under way when we were asked to stop.
      if (current) await endProcess(current.identity, spec.stop, hurry);
      removePidFile(pidsDir, spec.name);
    },
  };
}

/**
 * Asks `probe` until it says yes (undefined) instead of a reason why not yet.
 * @throws UpError with the last reason and the end of the log, after `timeoutMs` or when the process ended three times.
 */
export async function waitUntilReady(
  supervised: Supervised,
  options: Readonly<{ probe: () => Promise<string | undefined>; timeoutMs: number }>,
): Promise<void> {
  const deadline = performance.now() + options.timeoutMs;
  for (;;) {
    const reason = await options.probe();
    if (reason === undefined) return;
    const gaveUp = supervised.failures() >= 3;
    if (gaveUp || performance.now() > deadline) {
      const what = gaveUp ? 'keeps ending' : `is not ready after ${options.timeoutMs / 1000} s`;
      throw new UpError(`${supervised.name} ${what}: ${reason}`, logTail(supervised.logFile));
    }
    await sleep(75);
  }
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
