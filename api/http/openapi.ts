/** OpenAPI 3.1 from the same declarations the router uses. */
import { OpenAPIRegistry, OpenApiGeneratorV31 } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import {
  COMPONENTS,
  ETAG_HEADER,
  type Fault,
  faultRef,
  IDEMPOTENCY_KEY,
  IF_MATCH,
  IF_NONE_MATCH,
  LOCATION_HEADER,
  REPLAYED_HEADER,
  REPLY_HEADERS,
  TAGS,
} from './openapi-parts.js';
import { operationId } from './operation-id.js';
import type { Route } from './route.js';

interface Operation {
  parameters?: object[];
  responses: Record<string, { headers?: object; $ref?: string }>;
}

/** The document served at /v1/openapi.json. */
export function openApiDocument(routes: readonly Route[], version: string): object {
  const tags = [...new Set(routes.map(tagOf))].sort();
  const base = new OpenApiGeneratorV31(registryOf(routes).definitions).generateDocument({
    openapi: '3.1.0',
    info: {
      title: 'Ringmaster',
      version,
      description:
        'Patch cycles from “a patch exists” to “proven installed, or undone”. Authentication, scopes, errors, idempotency, ETags, paging and limits: docs/api.md.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/', description: 'This installation' }],
    tags: tags.map((name) => ({ name, description: TAGS[name] ?? name })),
  });
  const editable = new Set(
    routes.filter(({ method, current }) => method === 'get' && current !== undefined).map(({ path }) => path),
  );
  for (const route of routes) {
    const operation = base.paths?.[pathOf(route)]?.[route.method] as Operation | undefined;
    if (operation !== undefined) complete(operation, { route, editable: editable.has(route.path) });
  }
  const { components } = base;
  return {
    ...base,
    components: { ...components, ...COMPONENTS, schemas: { ...components?.schemas, ...COMPONENTS.schemas } },
  };
}

function registryOf(routes: readonly Route[]): OpenAPIRegistry {
  const registry = new OpenAPIRegistry();
  const ids = new Set<string>();
  for (const route of routes) {
    const id = operationId(route);
    if (ids.has(id)) throw new Error(`${route.method} ${route.path}: another operation is called ${id}`);
    ids.add(id);
    registry.registerPath({
      method: route.method,
      path: pathOf(route),
      operationId: id,
      summary: route.summary,
      tags: [tagOf(route)],
      security: [{ bearer: [] }, { session: [] }],
      'x-permission': route.permission,
      request: {
        ...(route.params === undefined ? {} : { params: route.params as z.ZodObject }),
        ...(route.query === undefined ? {} : { query: route.query as z.ZodObject }),
        ...(route.body === undefined
          ? {}
          : { body: { required: !route.body.isOptional(), content: { [route.bodyType]: { schema: route.body } } } }),
        ...(route.upload === undefined
          ? {}
          : { body: { required: true, content: { [route.upload]: { schema: z.string() } } } }),
      },
      responses: replies(route),
    });
  }
  return registry;
}

const pathOf = (route: Route): string => route.path.replaceAll(/:([A-Za-z]\w*)/g, '{$1}');
const tagOf = (route: Route): string => route.path.split('/')[2] ?? 'v1';

/** What the router adds to every route: headers it reads and sends, problems it may answer with. */
function complete(operation: Operation, args: { readonly route: Route; readonly editable: boolean }): void {
  const { route, editable } = args;
  const reads = route.method === 'get';
  const edits = editable && !reads && route.method !== 'post';
  const streams = Object.values(route.responses).some(({ contentType }) => contentType === 'text/event-stream');
  const tagged = reads && !streams;
  const parameters = [
    ...(operation.parameters ?? []),
    ...(reads ? [] : [IDEMPOTENCY_KEY]),
    ...(edits ? [IF_MATCH] : []),
    ...(tagged || edits ? [IF_NONE_MATCH] : []),
  ];
  if (parameters.length > 0) operation.parameters = parameters;
  for (const [status, response] of Object.entries(operation.responses)) {
    response.headers = {
      ...REPLY_HEADERS,
      ...((tagged && status === '200') || (edits && status !== '204') ? ETAG_HEADER : {}),
      ...(reads ? {} : REPLAYED_HEADER),
      ...(status === '201' ? LOCATION_HEADER : {}),
    };
  }
  if (tagged) operation.responses['304'] = { description: 'You have it already', headers: ETAG_HEADER } as never;
  for (const status of faultsOf(route, edits)) {
    operation.responses[status] = faultRef(status) as { $ref: string };
  }
}

function faultsOf(route: Route, edits: boolean): Fault[] {
  const unsafe = route.method !== 'get';
  return [
    400,
    401,
    403,
    ...(route.params === undefined ? [] : ([404] as const)),
    ...(unsafe ? ([409, 413, 415, 422] as const) : []),
    ...(edits ? ([412] as const) : []),
    429,
    503,
  ];
}

type Responses = Record<number, { description: string; content?: Record<string, { schema: z.ZodType }> }>;

/** Declared problems are told by the shared ones: only what is no problem has a schema of its own. */
function replies(route: Route): Responses {
  return Object.fromEntries(
    Object.entries(route.responses).map(([status, { description, schema, contentType = 'application/json' }]) => [
      status,
      schema === undefined ? { description } : { description, content: { [contentType]: { schema } } },
    ]),
  );
}
