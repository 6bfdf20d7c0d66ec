import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { identify, isRunning, signalProcess, waitForExit } from '../../cli/up/process-identity.js';
import { repositoryRoot } from './repository.js';

export type LifelineTask = Readonly<{
  argv: readonly string[];
  env: Readonly<Record<string, string>>;
  cwd: string;
  account?: Readonly<{ uid: number; gid: number }> | undefined;
  /** How the server is asked to end. */
  signal: NodeJS.Signals;
  /** How long it may take to end before it is killed. */
  killAfterMs?: number;
  log: string;
  /** The server ends when this process does; default: ours. */
  watchPid?: number | undefined;
  /** A folder to remove after the end. */
  remove?: string | undefined;
}>;

export type Lifeline = Readonly<{
  /** The keeper's process id; SIGTERM to it ends the server. */
  keeperPid: number;
  /** The server's own process id. */
  serverPid: number;
  /** Ends the server, waits for it, and removes its folder. */
  stop: () => Promise<void>;
}>;

/** Starts a server that can't outlive the process that needs it, not even when that is killed with SIGKILL. */
export async function startOnLifeline(task: LifelineTask): Promise<Lifeline> {
  const { account, watchPid = process.pid, ...rest } = task;
  const json = JSON.stringify({ watchPid, killAfterMs: 5_000, ...rest, ...account });
  const keeper = spawn(process.execPath, [join(repositoryRoot, 'test/helpers/keep-server.mjs'), json], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
    // Flags of the test runner are not meant for the keeper.
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  const serverPid = await new Promise<number>((resolve, reject) => {
    keeper.stdout.once('data', (line: Buffer) => resolve(Number(String(line))));
    keeper.once('error', reject);
    keeper.once('exit', () => reject(new Error(`could not start ${task.argv[0]}; see ${task.log}`)));
  });
  keeper.stdout.destroy();
  keeper.unref();
  const keeperPid = keeper.pid as number;
  const identity = identify(keeperPid);
  return {
    keeperPid,
    serverPid,
    stop: async () => {
      if (!identity || !isRunning(identity)) return;
      signalProcess(identity, 'SIGTERM');
      await waitForExit(identity, (task.killAfterMs ?? 5_000) + 5_000);
    },
  };
}
