/** Temporal made ready for our workers: the namespace, where it is missing, and our search attributes in it. */
import { Connection } from '@temporalio/client';
import { reasonOf, UpError } from '../up/errors.js';
import { ensureSearchAttributes } from '../up/temporal.js';

/** Histories of closed workflows stay this long; the outbox stays the authority after that (design §8). */
const RETENTION_SECONDS = 30 * 86_400;
const PATIENCE_MS = 180_000;
const PAUSE_MS = 1_000;
/** gRPC's code for "there already". */
const ALREADY_EXISTS = 6;

/** Waits for the server to come up. @throws UpError with the last reason when it does not within three minutes. */
export async function prepareNamespace(args: {
  readonly address: string;
  readonly namespace: string;
  readonly say: (line: string) => void;
}): Promise<void> {
  const until = performance.now() + PATIENCE_MS;
  for (let said = false; ; ) {
    // A namespace made a moment ago is unknown to parts of the server for some seconds.
    const reason = (await registerNamespace(args)) ?? (await ensureSearchAttributes(args.address, args.namespace));
    if (reason === undefined) return;
    if (performance.now() > until)
      throw new UpError(`Temporal at ${args.address} can't be prepared: ${reason}`, [
        'TEMPORAL_ADDRESS says where it is.',
      ]);
    if (!said) args.say(`waiting for Temporal: ${reason}`);
    said = true;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/** @returns why it did not work (yet); undefined when the namespace is there */
async function registerNamespace(args: {
  readonly address: string;
  readonly namespace: string;
}): Promise<string | undefined> {
  let connection: Connection | undefined;
  try {
    connection = await Connection.connect({ address: args.address, connectTimeout: '3 seconds' });
    const { workflowService } = connection;
    await connection.withDeadline(Date.now() + 10_000, () =>
      workflowService.registerNamespace({
        namespace: args.namespace,
        description: 'Ringmaster',
        workflowExecutionRetentionPeriod: { seconds: RETENTION_SECONDS as never },
      }),
    );
    return undefined;
  } catch (error) {
    return (error as { code?: unknown }).code === ALREADY_EXISTS ? undefined : reasonOf(error);
  } finally {
    await connection?.close().catch(() => {});
  }
}
