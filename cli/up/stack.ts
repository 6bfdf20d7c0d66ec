import { UpError } from './errors.js';
import { adoptProcess, type ProcessSpec, stopLeftover } from './managed-process.js';
import { type Supervised, supervise, waitUntilReady } from './supervise.js';

/** The processes of one `up`; stopped in the reverse order of their start, servers last. */
export type Stack = Readonly<{
  /** Starts a process and waits until it is ready. Refuses once `stop` was called. */
  start: (options: StartOptions) => Promise<Supervised>;
  /** Ends everything. A second call cuts the waits of the first one short. */
  stop: () => Promise<void>;
  isStopping: () => boolean;
}>;

export type StartOptions = Readonly<{
  spec: ProcessSpec;
  probe: () => Promise<string | undefined>;
  timeoutMs: number;
  /**
   * Others need it: taken over from an earlier supervisor if it is the same and answers (else ended and started anew),
   * and stopped after all that is not a server, together with the other servers.
   */
  server?: boolean;
  /** Runs between the end of what was left and the start of a new process. */
  beforeStart?: () => Promise<void>;
}>;

export function createStack(pidsDir: string, say: (line: string) => void): Stack {
  const programs: Supervised[] = [];
  const servers: Supervised[] = [];
  const hurry = new AbortController();
  let stopping: Promise<void> | undefined;
  const refuseWhenStopping = () => {
    if (stopping) throw new UpError('stopping');
  };

  const stopAll = async () => {
    const stop = (supervised: Supervised) => {
      say(`stopping ${supervised.name} …`);
      return supervised.stop(hurry.signal);
    };
    for (const program of programs.toReversed()) await stop(program);
    await Promise.all(servers.map(stop));
  };

  return {
    start: async ({ spec, probe, timeoutMs, server, beforeStart }) => {
      refuseWhenStopping();
      let adopted = server ? adoptProcess(spec, pidsDir) : undefined;
      if (adopted && (await answersSoon(probe)) !== undefined) adopted = undefined;
      if (!adopted) {
        if (await stopLeftover(spec.name, spec.stop, pidsDir)) say(`ended ${spec.name} of an earlier start`);
        await beforeStart?.();
      }
      refuseWhenStopping();
      const supervised = await supervise({ spec, pidsDir, adopted, say });
      const list = server ? servers : programs;
      list.push(supervised);
      if (stopping) await supervised.stop(hurry.signal);
      try {
        await waitUntilReady(supervised, { probe, timeoutMs });
      } catch (error) {
        // Whoever tries again must not find a second one running beside it.
        await supervised.stop(hurry.signal);
        list.splice(list.indexOf(supervised), 1);
        throw error;
      }
      return supervised;
    },
    stop: () => {
      if (stopping) hurry.abort();
      stopping ??= stopAll();
      return stopping;
    },
    isStopping: () => stopping !== undefined,
  };
}

/** What survived its supervisor usually answers at once; a few seconds allow for one that was just starting. */
async function answersSoon(probe: () => Promise<string | undefined>): Promise<string | undefined> {
  let reason: string | undefined;
  for (let i = 0; i < 20; i++) {
    reason = await probe();
    if (reason === undefined) return undefined;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  return reason;
}
