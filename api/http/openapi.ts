/** OpenAPI 3.1 from the same declarations the router uses. */
import { OpenAPIRegistry, OpenApiGeneratorV31 } from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import type { Route } from './route.js';

const problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  detail: z.string().optional(),
  instance: z.string(),
  errors: z.array(z.object({ field: z.string(), in: z.string(), reason: z.string() })).optional(),
});

const FAULTS: Readonly<Record<number, string>> = {
  400: 'The request is not valid; `errors` names every field',
  401: 'Not signed in',
  403: 'Not allowed',
  503: 'Temporarily not available; see Retry-After',
};

/** The document served at /v1/openapi.json. */
export function openApiDocument(routes: readonly Route[], version: string): object {
  const registry = new OpenAPIRegistry();
  const bearer = registry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer' });
  for (const route of routes) {
    registry.registerPath({
      method: route.method,
      path: route.path.replaceAll(/:([A-Za-z]+)/g, '{$1}'),
      summary: route.summary,
      tags: [route.path.split('/')[2] ?? 'v1'],
      security: [{ [bearer.name]: [] }],
      'x-permission': route.permission,
      request: {
        ...(route.params === undefined ? {} : { params: route.params as z.ZodObject }),
        ...(route.query === undefined ? {} : { query: route.query as z.ZodObject }),
        ...(route.body === undefined ? {} : { body: { content: { [route.bodyType]: { schema: route.body } } } }),
        ...(route.upload === undefined ? {} : { body: { content: { [route.upload]: { schema: z.string() } } } }),
      },
      responses: { ...faults(), ...replies(route) },
    });
  }
  return new OpenApiGeneratorV31(registry.definitions).generateDocument({
    openapi: '3.1.0',
    info: {
      title: 'Ringmaster',
      version,
      description: 'Patch cycles from “a patch exists” to “proven installed, or undone”.',
    },
  });
}

type Responses = Record<number, { description: string; content?: Record<string, { schema: z.ZodType }> }>;

function faults(): Responses {
  return Object.fromEntries(
    Object.entries(FAULTS).map(([status, description]) => [
      status,
      { description, content: { 'application/problem+json': { schema: problem } } },
    ]),
  );
}

function replies(route: Route): Responses {
  return Object.fromEntries(
    Object.entries(route.responses).map(([status, { description, schema, contentType = 'application/json' }]) => [
      status,
      schema === undefined ? { description } : { description, content: { [contentType]: { schema } } },
    ]),
  );
}
