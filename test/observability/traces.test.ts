/** One trace from whoever called the API, through relay and workflow, to each step of each order on its endpoint. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { lookAt } from '../helpers/stack/look.js';
import { BOOTSTRAP_TOKEN, changeOf, ringOf, type Stack, startStack } from '../helpers/stack.js';

interface Span {
  readonly service: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly failed: boolean;
  readonly attributes: Readonly<Record<string, unknown>>;
}

const TRACE = 'a1b2c3d4e5f60718293a4b5c6d7e8f90';
const UNSAMPLED = 'ffffffffffffffffffffffffffffffff';
const CALLER = '0123456789abcdef';

const spans: Span[] = [];
let collector: Server;
let stack: Stack;

beforeAll(async () => {
  collector = createServer((req, res) => {
    const parts: Buffer[] = [];
    req.on('data', (part: Buffer) => parts.push(part));
    req.on('end', () => {
      spans.push(...spansOf(JSON.parse(Buffer.concat(parts).toString('utf8'))));
      res.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
  const { port } = collector.address() as AddressInfo;
  stack = await startStack({
    packages: ['app', 'lib'],
    hosts: ['good-1', 'good-2', 'bad'].map((name) => ({ name, labels: { team: 'all' } })),
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      OTEL_BSP_SCHEDULE_DELAY: '500',
      RINGMASTER_LOG_LEVEL: 'debug',
    },
  });
}, 120_000);
afterAll(async () => {
  await stack?.end();
  await new Promise((resolve) => collector?.close(resolve));
}, 60_000);

const attributes = z.array(z.object({ key: z.string(), value: z.record(z.string(), z.unknown()) }));
/** OTLP/JSON, what we look at of the specification's ExportTraceServiceRequest. */
const exported = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes }),
      scopeSpans: z.array(
        z.object({
          spans: z.array(
            z.object({
              traceId: z.string(),
              spanId: z.string(),
              parentSpanId: z.string().default(''),
              name: z.string(),
              status: z.object({ code: z.number().optional() }).default({}),
              attributes,
            }),
          ),
        }),
      ),
    }),
  ),
});

function spansOf(request: unknown): Span[] {
  const values = (list: z.infer<typeof attributes>): Record<string, unknown> =>
    Object.fromEntries(list.map(({ key, value }) => [key, Object.values(value)[0]]));
  return exported.parse(request).resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap((scope) =>
      scope.spans.map(({ status, ...span }) => ({
        ...span,
        service: String(values(resource.attributes)['service.name']),
        failed: status.code === 2,
        attributes: values(span.attributes),
      })),
    ),
  );
}

async function ask(args: { packages: readonly string[]; traceparent: string }): Promise<string> {
  const rings = [ringOf({ errorBudget: { count: 5 }, successThresholdPercent: 0 })];
  const reply = await fetch(`${stack.apiUrl}/v1/changes`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${BOOTSTRAP_TOKEN}`,
      'content-type': 'application/json',
      traceparent: args.traceparent,
    },
    body: JSON.stringify(changeOf({ name: 'traced', labels: { team: 'all' }, packages: args.packages, rings })),
  });
  expect(reply.status).toBe(201);
  return ((await reply.json()) as { id: string }).id;
}

describe('traces', () => {
  let changeId: string;

  test('all that a call led to hangs under the caller’s own span', async () => {
    stack.host('bad').behave({ unhealthyAfter: true });
    // First one that its caller does not want traced.
    await lookAt(stack).closed(await ask({ packages: ['lib'], traceparent: `00-${UNSAMPLED}-${CALLER}-00` }), 90);
    changeId = await ask({ packages: ['app'], traceparent: `00-${TRACE}-${CALLER}-01` });
    await lookAt(stack).closed(changeId, 90);
    const ended = () => spans.filter(({ name, traceId }) => traceId === TRACE && name === 'order change');
    await stack.waitFor('the spans of all three orders', () => ended().length >= 3, 60);

    const mine = spans.filter(({ traceId }) => traceId === TRACE);
    const known = new Set([CALLER, ...mine.map(({ spanId }) => spanId)]);
    expect(mine.filter(({ parentSpanId }) => !known.has(parentSpanId)).map(({ name }) => name)).toEqual([]);
    expect(mine.find(({ name }) => name === 'POST /v1/changes')).toMatchObject({
      service: 'ringmaster-api',
      parentSpanId: CALLER,
      attributes: { 'http.response.status_code': 201 },
    });
    const names = new Set(mine.map(({ service, name }) => `${service}: ${name}`));
    for (const name of [
      'relay startChange',
      'activity discover',
      'activity obtainAndFreeze',
      'activity pump',
      'activity closeChange',
    ])
      expect(names).toContain(`ringmaster-worker: ${name}`);
    for (const name of ['order pending', 'order applying', 'order verifying', 'order change'])
      expect(names).toContain(`ringmaster-agent: ${name}`);
  }, 180_000);

  test('an order’s span tells endpoint, ring and outcome; one that failed is an error', () => {
    const orders = spans.filter(({ name, traceId }) => traceId === TRACE && name === 'order change');
    const told = orders.map(({ attributes, failed }) => [attributes['host.name'], attributes.outcome, failed]);
    expect(told.sort()).toEqual([
      ['bad', 'reverted', true],
      ['good-1', 'succeeded', false],
      ['good-2', 'succeeded', false],
    ]);
    for (const { attributes } of orders) expect(attributes).toMatchObject({ changeId, ring: 0 });
  });

  test('what its caller does not sample leaves no span', () => {
    expect(spans.filter(({ traceId }) => traceId === UNSAMPLED)).toEqual([]);
  });

  test('polls and probes make no spans, and no span holds a URL', () => {
    expect(spans.filter(({ name }) => /agent\/|healthz|metrics/.test(name))).toEqual([]);
    expect(spans.filter(({ attributes }) => 'url.full' in attributes || 'http.url' in attributes)).toEqual([]);
  });
});
