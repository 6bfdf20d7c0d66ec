/** What `apply` and `export` know: how each kind of document is read, found on the server, and put there. */
import type { z } from 'zod';
import { groupPut, quorumPut } from '../../api/groups/schema.js';
import { policyPut } from '../../api/policy-sets/schema.js';
import { schedulePut } from '../../api/schedules/schema.js';
import type { ApiClient } from '../client/http-client.js';
import { calendarSpec } from './calendar-spec.js';

/** One thing as the server has it now. */
export interface Existing {
  readonly name: string;
  readonly spec: unknown;
  readonly id: string;
}

export interface ResourceKind {
  readonly kind: string;
  /** The server's own schema of a document's `spec`. */
  readonly schema: z.ZodType;
  list(client: ApiClient): Promise<Existing[]>;
  put(client: ApiClient, args: { name: string; spec: unknown; before: Existing | null }): Promise<void>;
}

const path = (collection: string, name: string): string => `/v1/${collection}/${encodeURIComponent(name)}`;

interface Items<T> {
  readonly items: readonly T[];
}

async function putJson(client: ApiClient, where: string, body: unknown): Promise<void> {
  await client.request('PUT', where, { body });
}

/** In the order in which they refer to one another. */
export const RESOURCE_KINDS: readonly ResourceKind[] = [
  {
    kind: 'Group',
    schema: groupPut,
    list: async (client) => {
      const { items } = await client.get<Items<{ id: string; name: string; selector: unknown }>>('/v1/groups');
      return items.map(({ id, name, selector }) => ({ id, name, spec: { selector } }));
    },
    put: (client, { name, spec }) => putJson(client, path('groups', name), spec),
  },
  {
    kind: 'FreezeCalendar',
    schema: calendarSpec,
    list: async (client) => {
      const { items } = await client.get<Items<{ id: string; name: string }>>('/v1/freeze-calendars');
      return Promise.all(
        items.map(async ({ id, name }) => {
          const { icalendar } = await client.get<{ icalendar: string }>(path('freeze-calendars', name));
          return { id, name, spec: { icalendar } };
        }),
      );
    },
    put: async (client, { name, spec }) => {
      const { icalendar } = spec as z.infer<typeof calendarSpec>;
      const text = { type: 'text/calendar', value: icalendar };
      await client.request('PUT', path('freeze-calendars', name), { text });
    },
  },
  {
    kind: 'QuorumGroup',
    schema: quorumPut,
    list: async (client) => {
      const { items } =
        await client.get<Items<{ id: string; name: string; selector: unknown; maxUnavailable: number }>>(
          '/v1/quorum-groups',
        );
      return items.map(({ id, name, selector, maxUnavailable }) => ({ id, name, spec: { selector, maxUnavailable } }));
    },
    put: (client, { name, spec }) => putJson(client, path('quorum-groups', name), spec),
  },
  {
    kind: 'PolicySet',
    schema: policyPut,
    list: async (client) => {
      const { items } =
        await client.get<Items<{ id: string; name: string; precedence: number; document: unknown }>>('/v1/policy-sets');
      return items.map(({ id, name, precedence, document }) => ({ id, name, spec: { precedence, document } }));
    },
    put: (client, { name, spec }) => putJson(client, path('policy-sets', name), spec),
  },
  {
    kind: 'Schedule',
    schema: schedulePut,
    list: async (client) => {
      const { items } =
        await client.get<Items<{ id: string; name: string; calendar: unknown; overlap: unknown; spec: unknown }>>(
          '/v1/schedules',
        );
      return items.map(({ id, name, calendar, overlap, spec }) => ({ id, name, spec: { calendar, overlap, spec } }));
    },
    put: async (client, { name, spec, before }) => {
      if (before === null) await client.post('/v1/schedules', { name, ...(spec as object) });
      else await putJson(client, path('schedules', before.id), spec);
    },
  },
];

export const kindNamed = (name: unknown): ResourceKind | undefined => RESOURCE_KINDS.find(({ kind }) => kind === name);
