/**
 * Carries the outbox to Temporal. The row is the intent and stays the authority: ids are functions of it, "already
 * there" counts as done, and a lost acknowledgement only means doing the same thing again.
 */
import type { Client } from '@temporalio/client';
import {
  isGrpcServiceError,
  ServiceError,
  WorkflowExecutionAlreadyStartedError,
  WorkflowIdConflictPolicy,
  WorkflowIdReusePolicy,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client';
import { defineSearchAttributeKey, type SearchAttributePair } from '@temporalio/common';
import type { Pool } from 'pg';
import { type ChangeSpec, EXPEDITED_PRIORITY, isExpedited } from '../domain/change/spec.js';
import type { EpochMs } from '../domain/time.js';
import { EXPEDITED_TASK_QUEUE, TASK_QUEUE } from '../workflows/ids.js';
import type { ChangeInput, CommandReply, DecisionReply } from '../workflows/messages.js';
import { COMMAND_UPDATE, DECIDE_UPDATE } from '../workflows/messages.js';
import { inSpan, subjectFields, traceContext } from './spans.js';

interface OutboxRow {
  readonly id: string;
  readonly topic: 'startChange' | 'command' | 'decision' | 'replan';
  readonly workflow_id: string;
  readonly payload: Readonly<Record<string, unknown>>;
  readonly attempts: number;
  readonly trace: string | null;
}

type Delivery =
  | { readonly kind: 'done'; readonly result: unknown }
  /** The workflow looked at it and said no, or is over: final. */
  | { readonly kind: 'refused'; readonly reason: string };

export interface RelayDeps {
  readonly pool: Pool;
  readonly client: Client;
  readonly clock: () => EpochMs;
  readonly log: { warn(fields: object, message: string): void };
}

/** Workflow types by change kind; anything else is a remediation-like kind of the same runbook. */
const workflowTypeOf = (kind: string): string => (kind === 'patch' ? 'patchCycle' : 'remediation');

/** Temporal's own keys, 1 to 5: the smaller is served first, 3 is what work has that names none. */
const FIRST = { priorityKey: 1 };

/** The priority of the change a row speaks of; every workflow id begins `change/<uuid>`. */
const PRIORITY = `coalesce((SELECT c.priority FROM change c WHERE c.id = substring(o.workflow_id FROM 8 FOR 36)::uuid), 0)`;

/** SQL: something is due. @param now milliseconds */
export const outboxDue = (now: string): string =>
  `EXISTS (SELECT FROM outbox WHERE done_at IS NULL AND next_attempt_at <= to_timestamp(${now} / 1000.0))`;

/**
 * Delivers what is due, up to `limit` rows, of the highest priority first. Returns how many rows were taken up.
 * @param options.expeditedOnly leave what is routine to others: for a relay that must never wait behind it.
 */
export async function relayOutbox(
  deps: RelayDeps,
  limit = 50,
  options: { readonly expeditedOnly?: boolean } = {},
): Promise<number> {
  const lease = deps.clock() + 60_000;
  const { rows } = await deps.pool.query<OutboxRow>(
    `UPDATE outbox SET attempts = attempts + 1, next_attempt_at = to_timestamp($2 / 1000.0)
     WHERE id IN (SELECT o.id FROM outbox o WHERE o.done_at IS NULL AND o.next_attempt_at <= to_timestamp($1 / 1000.0)
                     AND (NOT $4 OR ${PRIORITY} >= ${EXPEDITED_PRIORITY}) AND o.id <> ALL ($5::uuid[])
                  ORDER BY ${PRIORITY} DESC, o.created_at LIMIT $3 FOR UPDATE OF o SKIP LOCKED)
     RETURNING id, topic, workflow_id, payload, attempts, trace`,
    [deps.clock(), lease, limit, options.expeditedOnly ?? false, [...underWay]],
  );
  await Promise.race([Promise.all(rows.map((row) => carry(deps, row))), patience()]);
  return rows.length;
}

/**
 * How long what is due next waits for workflows that have been told something and have not answered: a new plan takes as long
 * as its content does to fetch. What is not answered by then goes on under its lease, and is written down when it is.
 */
const PATIENCE_MS = 1_000;

/** Entries that this process has told and that were not answered yet: to tell them again would only wait twice. */
const underWay = new Set<string>();

const patience = () => new Promise<void>((resolve) => setTimeout(resolve, PATIENCE_MS).unref());

async function carry(deps: RelayDeps, row: OutboxRow): Promise<void> {
  underWay.add(row.id);
  try {
    const delivery = await inSpan(
      { name: `relay ${row.topic}`, under: traceContext(row.trace), attributes: subjectFields(row.workflow_id) },
      () => deliver(deps, row),
    );
    if (delivery.kind === 'refused' && row.topic === 'decision') await refuseDecision(deps, row, delivery.reason);
    if (delivery.kind === 'refused' && row.topic === 'replan') await recordRefusedReplan(deps, row, delivery.reason);
    await deps.pool.query('UPDATE outbox SET done_at = to_timestamp($2 / 1000.0), result = $3 WHERE id = $1', [
      row.id,
      deps.clock(),
      JSON.stringify(delivery),
    ]);
  } catch (error) {
    const pause = Math.min(60_000, 500 * 2 ** Math.min(row.attempts, 8));
    deps.log.warn(
      { err: error, outbox: row.id, topic: row.topic, ...subjectFields(row.workflow_id) },
      'outbox entry not delivered; will try again',
    );
    await deps.pool
      .query('UPDATE outbox SET next_attempt_at = to_timestamp($2 / 1000.0), last_error = $3 WHERE id = $1', [
        row.id,
        deps.clock() + pause,
        error instanceof Error ? error.message : String(error),
      ])
      .catch(() => undefined); // the lease ends by itself
  } finally {
    underWay.delete(row.id);
  }
}

async function deliver(deps: RelayDeps, row: OutboxRow): Promise<Delivery> {
  if (row.topic === 'startChange') return startChange(deps, row);
  const handle = deps.client.workflow.getHandle(row.workflow_id);
  const name = row.topic === 'decision' ? DECIDE_UPDATE : COMMAND_UPDATE;
  try {
    const result = await handle.executeUpdate<CommandReply | DecisionReply, [unknown]>(name, {
      updateId: row.id,
      args: [row.payload],
    });
    return { kind: 'done', result };
  } catch (error) {
    if (error instanceof WorkflowUpdateFailedError)
      return { kind: 'refused', reason: error.cause?.message ?? error.message };
    if (error instanceof WorkflowNotFoundError) return notRunning(deps, row);
    if (error instanceof WorkflowUpdateRPCTimeoutOrCancelledError) throw new Error('the workflow has not answered yet');
    throw error;
  }
}

/** A workflow that is over refuses; one whose start is still in the outbox is only late. */
async function notRunning(deps: RelayDeps, row: OutboxRow): Promise<Delivery> {
  const { rows } = await deps.pool.query(
    `SELECT 1 FROM outbox WHERE topic = 'startChange' AND done_at IS NULL AND workflow_id = split_part($1, '/ring/', 1)`,
    [row.workflow_id],
  );
  if (rows.length > 0) throw new Error('the workflow has not been started yet');
  return { kind: 'refused', reason: 'the workflow is over' };
}

async function startChange(deps: RelayDeps, row: OutboxRow): Promise<Delivery> {
  const { rows } = await deps.pool.query<{
    id: string;
    kind: string;
    name: string;
    spec: ChangeSpec;
    priority: number;
    deadline: Date;
    closed_at: Date | null;
  }>('SELECT id, kind, name, spec, priority, deadline, closed_at FROM change WHERE id = $1', [row.payload.changeId]);
  const change = rows[0];
  if (change === undefined) return { kind: 'refused', reason: 'no such change' };
  // Past Temporal's retention the id would be free again; the row knows that the change is over.
  if (change.closed_at !== null) return { kind: 'done', result: 'closed before' };
  const expedited = isExpedited(change.priority);
  const input: ChangeInput = {
    changeId: change.id,
    spec: change.spec,
    deadline: change.deadline.getTime(),
    ...(expedited && { expedited }),
  };
  const start = (shown: boolean) =>
    deps.client.workflow.start(workflowTypeOf(change.kind), {
      workflowId: row.workflow_id,
      // Rings, approvals and activities of the change inherit both.
      taskQueue: expedited ? EXPEDITED_TASK_QUEUE : TASK_QUEUE,
      ...(expedited && { priority: FIRST }),
      workflowIdReusePolicy: WorkflowIdReusePolicy.REJECT_DUPLICATE,
      workflowIdConflictPolicy: WorkflowIdConflictPolicy.USE_EXISTING,
      staticSummary: change.name,
      ...(shown && { typedSearchAttributes: startAttributes(change) }),
      args: [input],
    });
  try {
    await start(true).catch((error: unknown) => {
      if (!isInvalidArgument(error)) throw error;
      // Lists will lack it, the work goes on. Anything else that is wrong with the start is wrong with this one, too.
      deps.log.warn(
        { err: error, changeId: change.id },
        'Temporal does not know our search attributes; started without them',
      );
      return start(false);
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
  return { kind: 'done', result: 'started' };
}

/** All at once: a server that takes these knows every one of them, which the workflow then counts on (workflows/lists.ts). */
const startAttributes = (change: { readonly id: string; readonly kind: string }): SearchAttributePair[] =>
  Object.entries({ RmChange: change.id, RmKind: change.kind, RmStage: 'requested', RmWaitingFor: 'worker' }).map(
    ([name, value]) => ({ key: defineSearchAttributeKey(name, 'KEYWORD'), value }),
  );

/** gRPC's code for a request that names something the server does not know. */
const INVALID_ARGUMENT = 3;

const isInvalidArgument = (error: unknown): boolean =>
  error instanceof ServiceError && isGrpcServiceError(error.cause) && error.cause.code === INVALID_ARGUMENT;

/** Whoever asked was answered before the workflow had its say; the log tells what became of it, once. */
async function recordRefusedReplan(deps: RelayDeps, row: OutboxRow, reason: string): Promise<void> {
  await deps.pool.query(
    `WITH refused AS (
       UPDATE outbox SET done_at = to_timestamp($4 / 1000.0) WHERE id = $2 AND done_at IS NULL RETURNING id)
     INSERT INTO audit_entry (actor, action, subject, detail)
     SELECT 'workflow', 'change.replanRefused', split_part($1, '/ring/', 1), jsonb_build_object('commandId', id, 'reason', $3::text) FROM refused`,
    [row.workflow_id, row.id, reason, deps.clock()],
  );
}

/** What the workflow would not even look at is refused here, and on record as such. */
async function refuseDecision(deps: RelayDeps, row: OutboxRow, reason: string): Promise<void> {
  await deps.pool.query(
    `WITH refused AS (
       UPDATE approval_decision SET state = 'refused', refused_reason = $2, code = NULL, judged_at = to_timestamp($3 / 1000.0)
       WHERE id = $1 AND state = 'submitted' RETURNING id, request_id, account_id, decision, plan_digest, proof)
     INSERT INTO audit_entry (actor, action, subject, detail)
     SELECT account_id::text, 'approval.decisionRefused', 'approval/' || request_id, jsonb_build_object('decision', decision,
            'planDigest', plan_digest, 'proof', proof, 'reason', $2::text, 'decisionId', id) FROM refused`,
    [row.payload.decisionId, reason, deps.clock()],
  );
}
