/**
 * OpenTelemetry, on where `OTEL_EXPORTER_OTLP_ENDPOINT` (or its traces variant) names a collector. Everything else is the
 * standard's own environment: `OTEL_TRACES_SAMPLER`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_EXPORTER_OTLP_HEADERS` …
 */
import { isSpanContextValid, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, NodeTracerProvider, type SpanExporter } from '@opentelemetry/sdk-trace-node';
import { ATTR_SERVICE_NAME, ATTR_SERVICE_VERSION } from '@opentelemetry/semantic-conventions';

export interface Tracing {
  /** For spans whose ids are not left to chance (see worker/order-traces.ts). */
  readonly exporter: SpanExporter;
  /** Sends what is left. */
  readonly shutdown: () => Promise<void>;
}

/** Registers the process's tracer, context and propagation. Null, and nothing is traced, where no collector is named. */
export function startTracing(args: {
  readonly service: string;
  readonly version: string;
  readonly env: NodeJS.ProcessEnv;
}): Tracing | null {
  const { env } = args;
  const named = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? env.OTEL_EXPORTER_OTLP_ENDPOINT;
  if (named === undefined || named === '' || env.OTEL_SDK_DISABLED === 'true') return null;
  const exporter = new OTLPTraceExporter();
  const provider = new NodeTracerProvider({
    resource: defaultResource()
      .merge(resourceFromAttributes({ [ATTR_SERVICE_NAME]: args.service, [ATTR_SERVICE_VERSION]: args.version }))
      .merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [new BatchSpanProcessor(exporter)],
  });
  provider.register();
  return { exporter, shutdown: () => provider.shutdown() };
}

/** For log lines: which trace they belong to; empty while nothing is traced. */
export function traceFields(): { trace_id?: string; span_id?: string } {
  const context = trace.getActiveSpan()?.spanContext();
  if (context === undefined || !isSpanContextValid(context)) return {};
  return { trace_id: context.traceId, span_id: context.spanId };
}
