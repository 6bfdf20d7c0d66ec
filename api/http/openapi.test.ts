import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { openApiDocument } from './openapi.js';
import { type Route, route } from './route.js';

interface Document {
  readonly paths: Readonly<
    Record<string, { readonly get: { readonly parameters: readonly { readonly in: string; readonly name: string }[] } }>
  >;
}

const routeAt = (path: string, params: z.ZodObject): Route =>
  route({
    method: 'get',
    path,
    summary: 'For the test',
    permission: 'change.read',
    params,
    responses: { 200: { description: 'Yes', schema: z.object({}) } },
    handler: async () => ({ status: 200, body: {} }),
  });

describe('paths in the document', () => {
  test.each([
    ['/v1/endpoints/:id', z.strictObject({ id: z.string() })],
    ['/v1/package-lists/:sha256', z.strictObject({ sha256: z.string() })],
    ['/v1/changes/:id/rings/:ring2', z.strictObject({ id: z.string(), ring2: z.string() })],
  ])('%s has each of its parameters, and no other', (path, params) => {
    const { paths } = openApiDocument([routeAt(path, params)], '1.0.0') as Document;
    const [[found, operations] = ['', undefined]] = Object.entries(paths);
    const named = [...found.matchAll(/\{([^}]*)\}/g)].map((match) => match[1]);
    expect(found.replaceAll(/\{([^}]*)\}/g, ':$1')).toBe(path);
    expect(operations?.get.parameters.filter((one) => one.in === 'path').map((one) => one.name)).toEqual(named);
  });
});
