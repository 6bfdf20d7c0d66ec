import { Connection } from '@temporalio/client';
import { reasonOf } from './errors.js';
import type { ProcessSpec } from './managed-process.js';

type Kind = 'Keyword' | 'Text' | 'Int' | 'Double' | 'Bool' | 'Datetime' | 'KeywordList';

/** What workflows say about themselves to lists in Temporal's UI. Adding one here is enough; see `ensureSearchAttributes`. */
export const SEARCH_ATTRIBUTES: Readonly<Record<string, Kind>> = {
  RmChange: 'Keyword',
  RmKind: 'Keyword',
  RmStage: 'Keyword',
  RmWaitingFor: 'Keyword',
};

/** `IndexedValueType` of Temporal's API; its package can't be imported by name from an ES module. */
const VALUE_TYPES: Record<Kind, number> = {
  Text: 1,
  Keyword: 2,
  Int: 3,
  Double: 4,
  Bool: 5,
  Datetime: 6,
  KeywordList: 7,
};

export type DevServerOptions = Readonly<{
  binary: string;
  port: number;
  /** Undefined: without the UI. */
  uiPort: number | undefined;
  /** SQLite file; undefined: in memory. */
  databaseFile: string | undefined;
  logFile: string;
  cwd: string;
}>;

/** The development server as a process, listening on 127.0.0.1 only. */
export function temporalSpec(options: DevServerOptions): ProcessSpec {
  const storage = options.databaseFile ? ['--db-filename', options.databaseFile] : [];
  const ui = options.uiPort === undefined ? ['--headless'] : ['--ui-port', `${options.uiPort}`];
  return {
    name: 'temporal',
    argv: [
      options.binary,
      ...['server', 'start-dev', '--ip', '127.0.0.1', '--port', `${options.port}`, '--namespace', 'default'],
      ...['--log-format', 'json', '--log-level', 'warn'],
      ...ui,
      ...storage,
    ],
    // HOME set to our folder: the CLI would read, and might be changed by, the user's own configuration.
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin', HOME: options.cwd },
    cwd: options.cwd,
    logFile: options.logFile,
    // Histories tell who decided what: its files are for us alone.
    umask: 0o077,
    marker: options.databaseFile ?? 'start-dev',
    stop: [{ signal: 'SIGTERM', waitMs: 10_000 }],
  };
}

/**
 * Registers the search attributes that the namespace lacks. Not by the server's own flag, which an existing database
 * file makes it ignore.
 * @returns why it did not work (yet); undefined when all are there.
 */
export async function ensureSearchAttributes(address: string, namespace: string): Promise<string | undefined> {
  let connection: Connection | undefined;
  try {
    connection = await Connection.connect({ address, connectTimeout: '3 seconds' });
    const { operatorService } = connection;
    return await connection.withDeadline(Date.now() + 5_000, async () => {
      const { customAttributes } = await operatorService.listSearchAttributes({ namespace });
      const missing = Object.entries(SEARCH_ATTRIBUTES).filter(([name]) => !(name in (customAttributes ?? {})));
      if (missing.length > 0) {
        const searchAttributes = Object.fromEntries(missing.map(([name, kind]) => [name, VALUE_TYPES[kind]]));
        await operatorService.addSearchAttributes({ namespace, searchAttributes });
      }
      return undefined;
    });
  } catch (error) {
    return reasonOf(error);
  } finally {
    await connection?.close().catch(() => {});
  }
}
