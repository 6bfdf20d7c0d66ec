/** What `apply` and `export` know: how each kind of document is read, found on the server, and put there. */
import type { z } from 'zod';
import { groupPut, quorumPut } from '../../api/groups/schema.js';
import { policyPut } from '../../api/policy-sets/schema.js';
import { schedulePut } from '../../api/schedules/schema.js';
import { ApiError } from '../client/api-error.js';
import type { ApiClient } from '../client/http-client.js';
import { calendarSpec } from './calendar-spec.js';

/** One thing as the server has it now. */
export interface Existing {
  readonly name: string;
  readonly spec: unknown;
  readonly id: string;
}

/** The same with the version to send along when it is changed. */
export interface Versioned extends Existing {
  readonly etag: string;
}

export interface ResourceKind {
  readonly kind: string;
  /** The server's own schema of a document's `spec`. */
  readonly schema: z.ZodType;
  list(client: ApiClient): Promise<Existing[]>;
  /** @returns null when it is gone by now */
  read(client: ApiClient, one: Existing): Promise<Versioned | null>;
  /** Changes just the version given, or makes what must not be there yet. @throws ApiError 409 or 412 otherwise */
  put(client: ApiClient, args: { name: string; spec: unknown; before: Versioned | null }): Promise<void>;
}

interface Row {
  readonly id: string;
  readonly name: string;
}

/** A kind whose members are named in the path, listed whole and put as JSON, as most are. */
function namedKind<T extends Row>(args: {
  readonly kind: string;
  readonly schema: z.ZodType;
  readonly collection: string;
  readonly specOf: (row: T) => unknown;
}): ResourceKind {
  const { kind, schema, collection, specOf } = args;
  return {
    kind,
    schema,
    list: async (client) => (await listed<T>(client, collection)).map((row) => existing(row, specOf)),
    read: (client, { name }) => readOne(client, pathOf(collection, name), specOf),
    put: async (client, { name, spec, before }) => {
      await client.request('PUT', pathOf(collection, name), { body: spec, headers: conditionFor(before) });
    },
  };
}

const pathOf = (collection: string, one: string): string => `/v1/${collection}/${encodeURIComponent(one)}`;

async function listed<T>(client: ApiClient, collection: string): Promise<readonly T[]> {
  return (await client.get<{ readonly items: readonly T[] }>(`/v1/${collection}`)).items;
}

const existing = <T extends Row>(row: T, specOf: (row: T) => unknown): Existing => ({
  id: row.id,
  name: row.name,
  spec: specOf(row),
});

async function readOne<T extends Row>(
  client: ApiClient,
  path: string,
  specOf: (row: T) => unknown,
): Promise<Versioned | null> {
  try {
    const { body, etag } = await client.request<T>('GET', path);
    return { ...existing(body, specOf), etag: etag ?? '*' };
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

const conditionFor = (before: Versioned | null): Record<string, string> =>
  before === null ? { 'if-none-match': '*' } : { 'if-match': before.etag };

interface CalendarRow extends Row {
  readonly icalendar: string;
}
const calendarSpecOf = ({ icalendar }: CalendarRow) => ({ icalendar });

interface ScheduleRow extends Row {
  readonly calendar: unknown;
  readonly overlap: unknown;
  readonly spec: unknown;
}
const scheduleSpecOf = ({ calendar, overlap, spec }: ScheduleRow) => ({ calendar, overlap, spec });

/** In the order in which they refer to one another. */
export const RESOURCE_KINDS: readonly ResourceKind[] = [
  namedKind<Row & { selector: unknown }>({
    kind: 'Group',
    // An override is of one edit by one person; in a file it would be for ever.
    schema: groupPut.omit({ override: true }),
    collection: 'groups',
    specOf: ({ selector }) => ({ selector }),
  }),
  {
    kind: 'FreezeCalendar',
    schema: calendarSpec,
    list: async (client) => {
      const rows = await listed<Row>(client, 'freeze-calendars');
      const whole = rows.map(({ name }) => client.get<CalendarRow>(pathOf('freeze-calendars', name)));
      return (await Promise.all(whole)).map((row) => existing(row, calendarSpecOf));
    },
    read: (client, { name }) => readOne(client, pathOf('freeze-calendars', name), calendarSpecOf),
    put: async (client, { name, spec, before }) => {
      const { icalendar } = spec as z.infer<typeof calendarSpec>;
      const text = { type: 'text/calendar', value: icalendar };
      await client.request('PUT', pathOf('freeze-calendars', name), { text, headers: conditionFor(before) });
    },
  },
  namedKind<Row & { selector: unknown; maxUnavailable: number }>({
    kind: 'QuorumGroup',
    schema: quorumPut,
    collection: 'quorum-groups',
    specOf: ({ selector, maxUnavailable }) => ({ selector, maxUnavailable }),
  }),
  namedKind<Row & { precedence: number; document: unknown }>({
    kind: 'PolicySet',
    schema: policyPut,
    collection: 'policy-sets',
    specOf: ({ precedence, document }) => ({ precedence, document }),
  }),
  {
    kind: 'Schedule',
    schema: schedulePut,
    list: async (client) =>
      (await listed<ScheduleRow>(client, 'schedules')).map((row) => existing(row, scheduleSpecOf)),
    read: (client, { id }) => readOne(client, pathOf('schedules', id), scheduleSpecOf),
    put: async (client, { name, spec, before }) => {
      // Made by POST, which refuses a name that is taken.
      if (before === null) await client.post('/v1/schedules', { name, ...(spec as object) });
      else {
        const headers = conditionFor(before);
        await client.request('PUT', pathOf('schedules', before.id), { body: spec, headers });
      }
    },
  },
];

export const kindNamed = (name: unknown): ResourceKind | undefined => RESOURCE_KINDS.find(({ kind }) => kind === name);
