/** Spans under the trace of the change they are about, and the fields that say which change that is. */
import { type Context, context, propagation, ROOT_CONTEXT, SpanStatusCode, trace } from '@opentelemetry/api';
import { parseWorkflowId } from '../workflows/ids.js';

/** The span that everything done for a stored trace hangs under. */
export function traceContext(traceparent: string | null): Context {
  return traceparent === null ? ROOT_CONTEXT : propagation.extract(ROOT_CONTEXT, { traceparent });
}

/** Runs `work` in a span of its own under a stored trace; a span that ends in an error says so. */
export async function inSpan<T>(
  args: { readonly name: string; readonly under: Context; readonly attributes: Record<string, string | number> },
  work: () => Promise<T>,
): Promise<T> {
  const span = trace.getTracer('ringmaster-worker').startSpan(args.name, { attributes: args.attributes }, args.under);
  try {
    return await context.with(trace.setSpan(args.under, span), work);
  } catch (error) {
    span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.message : String(error) });
    throw error;
  } finally {
    span.end();
  }
}

/** Of which change, ring or request a workflow is, as log fields. */
export function subjectFields(workflowId: string): Record<string, string | number> {
  const parts = parseWorkflowId(workflowId);
  if (parts === undefined) return { workflowId };
  return { changeId: parts.changeId, ...('ring' in parts ? { ring: parts.ring } : {}) };
}
