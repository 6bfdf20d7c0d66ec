/** Trace context kept in rows: what was begun in one process is taken up in another, perhaps weeks later. */
import { context, propagation } from '@opentelemetry/api';

/** `traceparent` (W3C Trace Context, version 00) of what is going on here; null while nothing is traced. */
export function currentTrace(): string | null {
  const carrier: Record<string, string> = {};
  propagation.inject(context.active(), carrier);
  return carrier.traceparent ?? null;
}
