import { randomUUID } from 'node:crypto';
import type { PoolClient } from 'pg';
import type { ChangeSpec } from '../../domain/change/spec.js';
import { type EpochMs, MINUTE } from '../../domain/time.js';
import { appendAudit } from '../audit/append.js';
import { enqueueStart } from '../outbox/enqueue.js';
import { currentTrace } from '../trace.js';

/** What a change waits for until its workflow says more: for long only while Temporal, or every worker, is away. */
const NOT_TAKEN_UP = 'Waits for a worker to take it up';

/**
 * The intent: change, outbox entry and audit in the caller's transaction. Rings and plan are the workflow's to write.
 * @returns the change's id
 */
export async function createChange(
  client: PoolClient,
  args: {
    /** Left out: a new one. Given by whoever must not ask twice. */
    id?: string;
    spec: ChangeSpec;
    requestedBy: string;
    now: EpochMs;
    /** The zero-day it serves. */
    zeroDayId?: string;
    workflowId: (changeId: string) => string;
  },
): Promise<string> {
  const { spec, requestedBy, now } = args;
  const id = args.id ?? randomUUID();
  await client.query(
    `INSERT INTO change (id, kind, name, spec, priority, requested_by, requested_at, deadline, trace, zero_day_id, waiting_for)
     VALUES ($1, $2, $3, $4, $5, $6, to_timestamp($7 / 1000.0), to_timestamp($8 / 1000.0), $9, $10, $11)`,
    [
      id,
      spec.kind,
      spec.name,
      JSON.stringify(spec),
      spec.priority,
      requestedBy,
      now,
      now + spec.deadlineMinutes * MINUTE,
      currentTrace(),
      args.zeroDayId ?? null,
      NOT_TAKEN_UP,
    ],
  );
  await enqueueStart(client, { id: randomUUID(), workflowId: args.workflowId(id), changeId: id });
  await appendAudit(client, [
    {
      actor: requestedBy,
      action: 'change.requested',
      subject: `change/${id}`,
      detail: { name: spec.name, kind: spec.kind, reason: spec.reason, priority: spec.priority },
    },
  ]);
  return id;
}
