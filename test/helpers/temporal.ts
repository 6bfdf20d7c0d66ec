import { mkdtempSync, readFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { ensureSearchAttributes, temporalSpec } from '../../cli/up/temporal.js';
import { findTemporal } from '../../cli/up/temporal-binary.js';
import { startOnLifeline } from './lifeline.js';
import { freePorts } from './ports.js';

/** Where downloaded servers are kept, as `ringmaster up` does: a second clone downloads nothing. */
export const testCacheDir = () =>
  process.env.RINGMASTER_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'ringmaster');

const find = (kind: 'dev-server' | 'time-skipping') =>
  findTemporal({ kind, cacheDir: testCacheDir(), say: (line) => console.error(line) });

export type TestTemporal = Readonly<{
  /** host:port of the frontend. */
  address: string;
  namespace: 'default';
  /** Process id of the server, for tests that kill it. */
  serverPid: number;
  stop: () => Promise<void>;
}>;

/**
 * A real Temporal dev server on 127.0.0.1, with our search attributes; ends with this process.
 * @param options.searchAttributes `none` for a namespace that nobody has prepared.
 * @param options.dynamicConfig `key=value` pairs, for limits that a test wants to reach soon.
 * @param options.databaseFile keeps histories across servers (a test that kills Temporal starts a second one on the
 * same file and port); default: in memory.
 */
export async function startDevServer(
  options: Readonly<{
    databaseFile?: string;
    port?: number;
    searchAttributes?: 'none';
    dynamicConfig?: readonly string[];
  }> = {},
): Promise<TestTemporal> {
  const directory = mkdtempSync(join(tmpdir(), 'ringmaster-temporal-'));
  const port = options.port ?? ((await freePorts(1))[0] as number);
  const spec = temporalSpec({
    binary: await find('dev-server'),
    port,
    uiPort: undefined,
    databaseFile: options.databaseFile,
    logFile: join(directory, 'temporal.log'),
    cwd: directory,
  });
  const { serverPid, stop } = await startOnLifeline({
    argv: [...spec.argv, ...(options.dynamicConfig ?? []).flatMap((pair) => ['--dynamic-config-value', pair])],
    env: spec.env,
    cwd: spec.cwd,
    signal: 'SIGTERM',
    log: spec.logFile,
    remove: directory,
  });
  const address = `127.0.0.1:${port}`;
  for (let i = 0; ; i++) {
    const reason = await (options.searchAttributes === 'none'
      ? reachable(address)
      : ensureSearchAttributes(address, 'default'));
    if (reason === undefined) return { address, namespace: 'default', serverPid, stop };
    if (i === 100)
      throw new Error(`Temporal for tests does not start: ${reason}\n${readFileSync(spec.logFile, 'utf8')}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** @returns why the server does not know its namespace yet; undefined when it does */
async function reachable(address: string): Promise<string | undefined> {
  try {
    const connection = await Connection.connect({ address, connectTimeout: '3 seconds' });
    await connection.workflowService.describeNamespace({ namespace: 'default' }).finally(() => connection.close());
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** A server on which sleeping workflows wake at once. Tear it down with `env.teardown()`. */
export async function startTimeSkipping(): Promise<TestWorkflowEnvironment> {
  return TestWorkflowEnvironment.createTimeSkipping({
    server: { executable: { type: 'existing-path', path: await find('time-skipping') } },
  });
}
