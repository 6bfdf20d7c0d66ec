import { Client, Connection } from '@temporalio/client';
import type { NativeConnection } from '@temporalio/worker';

/** What the worker and its relay need of Temporal, once it is there. */
export interface TemporalLink {
  readonly native: NativeConnection;
  readonly client: Client;
  close(): Promise<void>;
}

export async function connectTemporal(args: {
  readonly address: string;
  readonly namespace: string;
  readonly connectNative: (options: { address: string }) => Promise<NativeConnection>;
}): Promise<TemporalLink> {
  const connection = await Connection.connect({ address: args.address, connectTimeout: '5s' });
  const native = await args.connectNative({ address: args.address });
  return {
    native,
    client: new Client({ connection, namespace: args.namespace }),
    async close() {
      await native.close();
      await connection.close();
    },
  };
}
