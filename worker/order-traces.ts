/**
 * Traces of orders, from the log of their events: how long each waited, staged, applied, verified, on which endpoint. They hang
 * under the trace of the API call that asked for the change. Read afterwards and in batches, so that a release or a report
 * costs nothing more; ids are functions of the order, so that a batch sent twice is the same spans again.
 */
import { createHash } from 'node:crypto';
import { type Attributes, type SpanContext, SpanKind, SpanStatusCode, TraceFlags } from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace-node';
import { ATTR_SERVICE_NAME } from '@opentelemetry/semantic-conventions';
import type { Pool } from 'pg';
import { type OrderStep, readOrderSteps, readTraceCursor, writeTraceCursor } from '../db/metrics/order-steps.js';
import { SECOND } from '../domain/time.js';
import type { Duty } from './loops.js';

const BATCH = 2_000;
const EXPORT_SUCCESS = 0;
const SAMPLED = /^00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f][13579bdf]$/;

export function orderTracesDuty(deps: { readonly pool: Pool; readonly exporter: SpanExporter }): Duty {
  return {
    name: 'orderTraces',
    everyMs: 5 * SECOND,
    run: async () => {
      const after = await readTraceCursor(deps.pool);
      const { steps, upTo } = await readOrderSteps(deps.pool, { after, limit: BATCH });
      const spans = steps.flatMap(spansOf);
      if (spans.length > 0) await send(deps.exporter, spans);
      if (upTo > after) await writeTraceCursor(deps.pool, upTo);
      return upTo - after >= BATCH;
    },
  };
}

/** The step's span, and with its last step the order's own; none for a trace nobody sampled. */
export function spansOf(step: OrderStep): ReadableSpan[] {
  const match = SAMPLED.exec(step.trace);
  if (match === null) return [];
  const [, traceId = '', callerSpan = ''] = match;
  const context = (spanId: string): SpanContext => ({ traceId, spanId, traceFlags: TraceFlags.SAMPLED });
  const order = context(spanIdOf(step.orderId));
  const failed = ['failed', 'revertFailed', 'reverted', 'stalled'].includes(step.to);
  const attributes: Attributes = {
    changeId: step.changeId,
    orderId: step.orderId,
    endpointId: step.endpointId,
    'host.name': step.endpointName,
    ring: step.ring,
    kind: step.kind,
  };
  const made = [
    span({
      name: `order ${step.state}`,
      self: context(spanIdOf(`${step.orderId}/${step.eventId}`)),
      parent: order,
      from: step.from,
      to: step.at,
      attributes: { ...attributes, event: step.event, to: step.to },
      failed,
      message: step.reason,
    }),
  ];
  if (step.final) {
    const whole = {
      name: `order ${step.kind}`,
      self: order,
      parent: context(callerSpan),
      from: step.began,
      to: step.at,
    };
    made.push(span({ ...whole, attributes: { ...attributes, outcome: step.to }, failed, message: step.reason }));
  }
  return made;
}

function spanIdOf(key: string): string {
  return createHash('sha256').update(key).digest('hex').slice(0, 16);
}

/** What agents did is theirs, although the server tells it. */
const RESOURCE = resourceFromAttributes({ [ATTR_SERVICE_NAME]: 'ringmaster-agent' });

function span(args: {
  readonly name: string;
  readonly self: SpanContext;
  readonly parent: SpanContext;
  readonly from: Date;
  readonly to: Date;
  readonly attributes: Attributes;
  readonly failed: boolean;
  readonly message: string | null;
}): ReadableSpan {
  const [from, to] = [args.from.getTime(), args.to.getTime()];
  return {
    name: args.name,
    kind: SpanKind.INTERNAL,
    spanContext: () => args.self,
    parentSpanContext: args.parent,
    startTime: hrTime(from),
    endTime: hrTime(to),
    duration: hrTime(Math.max(0, to - from)),
    ended: true,
    status: args.failed
      ? { code: SpanStatusCode.ERROR, ...(args.message === null ? {} : { message: args.message }) }
      : { code: SpanStatusCode.UNSET },
    attributes: args.attributes,
    links: [],
    events: [],
    resource: RESOURCE,
    instrumentationScope: { name: 'ringmaster-orders' },
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}

function hrTime(ms: number): [number, number] {
  return [Math.floor(ms / 1_000), (ms % 1_000) * 1_000_000];
}

function send(exporter: SpanExporter, spans: ReadableSpan[]): Promise<void> {
  return new Promise((resolve, reject) => {
    exporter.export(spans, ({ code, error }) => {
      if (code === EXPORT_SUCCESS) resolve();
      else reject(error ?? new Error('the collector did not take the spans'));
    });
  });
}
