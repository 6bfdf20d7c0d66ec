import { describe, expect, test } from '@jest/globals';
import { operationId } from './operation-id.js';
import type { Method } from './route.js';

describe('operationId', () => {
  test.each<[Method, string, string]>([
    ['get', '/v1/endpoints', 'listEndpoints'],
    ['get', '/v1/endpoints/:id', 'getEndpoint'],
    ['get', '/v1/endpoints/:id/orders', 'listEndpointOrders'],
    ['get', '/v1/endpoints/:id/why', 'getEndpointWhy'],
    ['get', '/v1/self', 'getSelf'],
    ['post', '/v1/accounts', 'createAccount'],
    ['post', '/v1/accounts/:id/tokens', 'createAccountToken'],
    ['delete', '/v1/accounts/:id/tokens/:tokenId', 'deleteAccountToken'],
    ['post', '/v1/endpoints/:id/re-enrol', 'reEnrolEndpoint'],
    ['post', '/v1/changes/plan', 'planChanges'],
    ['post', '/v1/stop-all', 'stopAll'],
    ['put', '/v1/accounts/:id/password', 'putAccountPassword'],
    ['put', '/v1/policy-sets/:name', 'putPolicySet'],
    ['patch', '/v1/endpoints/:id', 'updateEndpoint'],
    ['get', '/v1/repositories/:name', 'getRepository'],
  ])('%s %s: %s', (method, path, id) => {
    expect(operationId({ method, path })).toBe(id);
  });
});
