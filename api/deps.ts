/** What resources are given by the composition root. */
import type { Pool, PoolClient } from 'pg';
import type { EpochMs } from '../domain/time.js';

export interface StopArgs {
  readonly changeId: string;
  readonly verb: 'pause' | 'abort';
  readonly by: string;
  readonly reason: string;
  readonly now: EpochMs;
}

/** Orders that hold a permit when a stop commits may still start, until the time told. */
export interface Stopped {
  readonly outstanding: number;
  readonly mayStillStartUntil: EpochMs | null;
}

/** db/orders/stop.ts: halts changes and every ring of them under their row locks, with the audit entry, in the caller's transaction. */
export interface StopPort {
  readonly haltChange: (client: PoolClient, args: StopArgs) => Promise<Stopped>;
  readonly haltAll: (
    client: PoolClient,
    args: { readonly by: string; readonly reason: string; readonly now: EpochMs },
  ) => Promise<{ readonly changeIds: readonly string[] } & Stopped>;
}

/** db/orders/withdraw.ts: retires an endpoint and ends every order it still has, with the audit entry. */
export type RetireEndpoint = (
  client: PoolClient,
  args: { readonly endpointId: string; readonly by: string; readonly reason: string; readonly now: EpochMs },
) => Promise<void>;

export interface ApiDeps {
  readonly pool: Pool;
  /** Connections for what must not wait behind anything routine: stops and zero-days. */
  readonly reserved: Pool;
  readonly clock: () => EpochMs;
  readonly stops: StopPort;
  readonly retireEndpoint: RetireEndpoint;
  /** What is wrong with the parameters of a change of that kind; null for a kind nobody knows. */
  readonly parseParameters: (
    kind: string,
    parameters: unknown,
  ) => readonly { readonly path: string; readonly reason: string }[] | null;
}
