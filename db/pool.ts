import { AsyncLocalStorage } from 'node:async_hooks';
import { createHash } from 'node:crypto';
import pg from 'pg';

/** What a query can run on: a pool (any connection) or one client inside a transaction. */
export type Queryable = Pick<pg.Pool, 'query'> | Pick<pg.PoolClient, 'query'>;

export type PoolOptions = Readonly<{
  /** `postgresql://role:password@host:port/database`. */
  url: string;
  /** Shown in `pg_stat_activity`, so that an operator sees whose connection waits. */
  applicationName?: string;
  /** Most connections at once. */
  max?: number;
  /** Longest any one statement may run, in milliseconds. 0 means no limit. */
  statementTimeoutMs?: number;
  /**
   * For the same statements again and again: each is parsed once per connection, and planned once where PostgreSQL finds that one
   * plan is as good as another. Default false.
   */
  prepare?: boolean;
  /**
   * For many short statements that pick their rows by key: prepared, and the first plan is kept. Planning anew costs more than
   * such a statement itself; and since that plan may be made while tables are small or empty, none may walk through a whole table
   * (or its index) where a look at an index per row will do. Not for statements that join two long lists.
   */
  byKey?: boolean;
  /** Told about a connection that broke while idle; the pool replaces it by itself. */
  onIdleError?: (error: Error) => void;
}>;

const INT8 = 20;

/**
 * `bigint` (counts, sequence numbers, epoch milliseconds) as a JavaScript number.
 * @throws RangeError beyond 2^53: a silently rounded sequence number would be worse than a failed query.
 */
function parseInt8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`bigint ${text} does not fit a JavaScript number`);
  return value;
}

/** pg's own parsers, except for `bigint`; kept per pool, because pg's registry is global to the process. */
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === INT8 && format !== 'binary' ? parseInt8 : pg.types.getTypeParser(oid, format)) as never,
};

const BY_KEY = [
  'plan_cache_mode=force_generic_plan',
  ...['seqscan', 'hashjoin', 'mergejoin'].map((way) => `enable_${way}=off`),
];

const names = new Map<string, string>();

function nameOf(text: string): string {
  const name = names.get(text) ?? `rm_${createHash('sha256').update(text).digest('hex').slice(0, 24)}`;
  names.set(text, name);
  return name;
}

/** Every text with parameters is a prepared statement, named by it; texts are ours, and few. A statement given as an object stays as it is. */
class PreparingClient extends pg.Client {
  override query(...args: unknown[]): never {
    const [first, values] = args;
    const statement =
      typeof first === 'string' && Array.isArray(values) ? { name: nameOf(first), text: first, values } : first;
    return (super.query as (...all: unknown[]) => never)(statement, ...args.slice(statement === first ? 1 : 2));
  }
}

/**
 * A connection pool with this project's conventions: sessions in UTC, `bigint` as number, `timestamptz` as `Date`,
 * no transaction left idle for more than a minute. The caller ends it.
 */
export function createPool(options: PoolOptions): pg.Pool {
  const pool = new pg.Pool({
    connectionString: options.url,
    application_name: options.applicationName ?? 'ringmaster',
    max: options.max ?? 10,
    connectionTimeoutMillis: 10_000,
    statement_timeout: options.statementTimeoutMs ?? 60_000,
    // A server that is gone without a word would otherwise be waited for without end.
    query_timeout: options.statementTimeoutMs === 0 ? 0 : (options.statementTimeoutMs ?? 60_000) + 15_000,
    keepAlive: true,
    idle_in_transaction_session_timeout: 60_000,
    options: ['TimeZone=UTC', ...(options.byKey === true ? BY_KEY : [])].map((setting) => `-c ${setting}`).join(' '),
    ...((options.prepare === true || options.byKey === true) && { Client: PreparingClient }),
    types,
  });
  // Without a listener, the loss of an idle connection (a restart of the server) would end the whole process.
  pool.on('error', options.onIdleError ?? (() => {}));
  return pool;
}

/** What a caller further up wants done inside every transaction of the work it starts; what it throws rolls that back. */
export interface TransactionHooks {
  /** Before the work's first statement. */
  readonly begun?: (client: pg.PoolClient) => Promise<void>;
  /** After the work's last one, before the commit. */
  readonly committing?: (client: pg.PoolClient) => Promise<void>;
}

const hooked = new AsyncLocalStorage<TransactionHooks>();

/** Runs `work`; every `inTransaction` on its way, however deep, obeys the hooks. */
export function withTransactionHooks<T>(hooks: TransactionHooks, work: () => Promise<T>): Promise<T> {
  return hooked.run(hooks, work);
}

/**
 * Runs `work` in one transaction: committed when it returns, rolled back when it throws.
 * @throws what `work` throws, or the database's error on commit.
 */
export async function inTransaction<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  // The pool listens to idle connections only: one lost between two statements would end the whole process.
  const lost = (error: Error) => {
    broken = error;
  };
  client.on('error', lost);
  try {
    const hooks = hooked.getStore();
    await client.query('begin');
    await hooks?.begun?.(client);
    const result = await work(client);
    await hooks?.committing?.(client);
    await client.query('commit');
    return result;
  } catch (error) {
    // A connection that can't even roll back must not return to the pool.
    await client.query('rollback').catch((rollbackError: Error) => {
      broken = rollbackError;
    });
    throw error;
  } finally {
    client.off('error', lost);
    client.release(broken);
  }
}
