import type { Person } from '../auth/person.js';
import type { ApiDeps } from '../deps.js';
import { type Route, route } from '../http/route.js';
import { selfReply } from './schema.js';

const seen = (person: Person): object => ({
  actor: person.actor,
  accountId: person.accountId,
  name: person.name,
  email: person.email,
  roles: person.roles,
  permissions: [...person.permissions],
  via: person.via,
  token: person.token,
});

export function selfRoutes(_deps: ApiDeps): Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/self',
      summary: 'Who you are, and what you may do this way',
      permission: 'self.read',
      responses: { 200: { description: 'You', schema: selfReply } },
      handler: async ({ person }) => ({ status: 200, body: seen(person) }),
    }),
  ];
}
