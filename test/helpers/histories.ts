/** Saved histories: each release's workflows must replay on today's code. `RINGMASTER_RECORD_HISTORIES=<folder>` records. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import proto from '@temporalio/proto';

const { History } = proto.temporal.api.history.v1;

/** Larger histories (made to continue as new) prove nothing more and would bloat the repository. */
const LARGEST_EVENTS = 400;

/** The history as saved by {@link recordHistories}. */
export function readHistory(text: string): proto.temporal.api.history.v1.History {
  return History.fromObject(JSON.parse(text));
}

/** Writes the history of a workflow and of every child it started, one file each, named for the test that made it. */
export async function recordHistories(args: {
  readonly client: Client;
  readonly workflowId: string;
  readonly folder: string;
  readonly name: string;
}): Promise<void> {
  mkdirSync(args.folder, { recursive: true });
  const pending = [args.workflowId];
  for (let n = 0; pending.length > 0; n += 1) {
    const workflowId = pending.shift() as string;
    const history = await args.client.workflow.getHandle(workflowId).fetchHistory();
    const events = history.events ?? [];
    for (const event of events) {
      const child = event.childWorkflowExecutionStartedEventAttributes?.workflowExecution?.workflowId;
      if (typeof child === 'string') pending.push(child);
    }
    if (events.length > LARGEST_EVENTS) continue;
    const type = events[0]?.workflowExecutionStartedEventAttributes?.workflowType?.name ?? 'unknown';
    const file = `${args.name.replace(/[^a-z0-9]+/gi, '-').slice(-60)}-${n}-${type}.json`;
    const plain = History.toObject(History.create(history), { longs: String, enums: String, bytes: String });
    writeFileSync(join(args.folder, file), `${JSON.stringify(plain)}\n`);
  }
}

/** Of every workflow that a server has, whoever started it, when recording is asked for. */
export async function recordServer(args: { readonly address: string; readonly name: string }): Promise<void> {
  const folder = process.env.RINGMASTER_RECORD_HISTORIES;
  if (folder === undefined) return;
  const connection = await Connection.connect({ address: args.address });
  try {
    const client = new Client({ connection });
    for await (const { workflowId, parentExecution } of client.workflow.list())
      if (parentExecution === undefined)
        await recordHistories({ client, workflowId, folder, name: `${args.name}-${workflowId.slice(-6)}` });
  } finally {
    await connection.close();
  }
}

/** Ids of the `patched()` versions a saved history has taken. */
export function patchesOf(history: proto.temporal.api.history.v1.History): string[] {
  return (history.events ?? []).flatMap((event) => {
    const marker = event.markerRecordedEventAttributes;
    if (marker?.markerName !== 'core_patch') return [];
    const [payload] = Object.values(marker.details ?? {}).flatMap(({ payloads }) => payloads ?? []);
    const { id } = JSON.parse(Buffer.from(payload?.data ?? new Uint8Array()).toString('utf8')) as { id: string };
    return [id];
  });
}
