/**
 * What runs in this worker, for whoever looks at traces and logs. Traces are joined by the change, not by headers through
 * workflow code: an interceptor in there would make the replay of workflows that run for weeks depend on it (docs/adr/0005).
 */
import type { Context as ActivityContext } from '@temporalio/activity';
import type { ActivityInboundCallsInterceptor, ActivityInterceptorsFactory } from '@temporalio/worker';
import type { Pool } from 'pg';
import { inSpan, subjectFields, traceContext } from './spans.js';

export interface ObserverLog {
  debug(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

const REMEMBERED = 1_000;

/** Reads a change's trace once; a change never gets another one. */
export function createTraceLookup(pool: Pool): (changeId: string) => Promise<string | null> {
  const known = new Map<string, string | null>();
  return async (changeId) => {
    const held = known.get(changeId);
    if (held !== undefined) return held;
    const { rows } = await pool.query<{ trace: string | null }>('SELECT trace FROM change WHERE id = $1', [changeId]);
    const found = rows[0]?.trace ?? null;
    if (known.size >= REMEMBERED) known.delete(known.keys().next().value as string);
    known.set(changeId, found);
    return found;
  };
}

/**
 * A log line per activity (louder when it fails) with the change's id and, where traces are on, a span under the change's trace.
 * @param args.traceOf null: traces are off
 */
export function observeActivities(args: {
  readonly log: ObserverLog;
  readonly traceOf: ((changeId: string) => Promise<string | null>) | null;
}): ActivityInterceptorsFactory {
  return (activity) => ({ inbound: new Observer(activity, args) });
}

class Observer implements ActivityInboundCallsInterceptor {
  constructor(
    private readonly activity: ActivityContext,
    private readonly args: Parameters<typeof observeActivities>[0],
  ) {}

  async execute(
    input: Parameters<NonNullable<ActivityInboundCallsInterceptor['execute']>>[0],
    next: Parameters<NonNullable<ActivityInboundCallsInterceptor['execute']>>[1],
  ): Promise<unknown> {
    const { activityType, attempt, workflowExecution } = this.activity.info;
    const fields = { activity: activityType, attempt, ...subjectFields(workflowExecution?.workflowId ?? '') };
    const began = performance.now();
    const run = async (): Promise<unknown> => {
      try {
        const result = await next(input);
        this.args.log.debug({ ...fields, ms: Math.round(performance.now() - began) }, 'activity done');
        return result;
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        this.args.log.warn({ ...fields, ms: Math.round(performance.now() - began), reason }, 'activity failed');
        throw error;
      }
    };
    const { traceOf } = this.args;
    if (traceOf === null) return run();
    const changeId = 'changeId' in fields ? String(fields.changeId) : null;
    // A database that is away must not keep the activity from being tried: it waits for it in its own way.
    const traceparent = changeId === null ? null : await traceOf(changeId).catch(() => null);
    return inSpan({ name: `activity ${activityType}`, under: traceContext(traceparent), attributes: fields }, run);
  }
}
