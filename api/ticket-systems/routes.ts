import { randomUUID } from 'node:crypto';
import type { Pool } from 'pg';
import { z } from 'zod';
import type { TicketProvider } from '../../adapters/tickets/port.js';
import { TICKET_PROVIDERS } from '../../adapters/tickets/registry.js';
import { appendAudit } from '../../db/audit/append.js';
import { unknownAccounts } from '../../db/identity/accounts.js';
import { inTransaction, type Queryable } from '../../db/pool.js';
import { listTicketSystems, readTicketSystem } from '../../db/read/tickets.js';
import { readSetting } from '../../db/setting.js';
import { editSystem, insertSystem, retireSystem, SEALING_KEY_SETTING } from '../../db/tickets/systems.js';
import type { TicketPolicy } from '../../domain/ticket/policy.js';
import { encryptSecret, sealSecret } from '../../domain/ticket/sealed-secret.js';
import { newWebhookSecret, webhookKey } from '../../domain/ticket/standard-webhooks.js';
import { DAY } from '../../domain/time.js';
import { cursorParts, idParams, pageSchema, paging } from '../http/paging.js';
import { conflict, invalid, invalidField, notFound, unavailable } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { systemMade, systemPatch, systemPost, systemReply } from './schema.js';

const UNIQUE_VIOLATION = '23505';

export function ticketSystemRoutes({ pool, webSecret }: { readonly pool: Pool; readonly webSecret: string }): Route[] {
  const one = async (id: string) => {
    const row = await readTicketSystem(pool, id);
    if (row === null || row.retiredAt !== null) throw notFound('ticket system');
    return row;
  };
  const checkPeople = async (policy: TicketPolicy | undefined): Promise<void> => {
    const unknown = await unknownAccounts(pool, policy?.people.map((person) => person.accountId) ?? []);
    if (unknown.length > 0) throw invalidField('policy.people', `no such account: ${unknown.join(', ')}`);
  };
  /** Sealed for the workers: from here on nobody in the web tier can read it. */
  const seal = async (provider: TicketProvider, id: string, secret: string | undefined): Promise<string | null> => {
    if (secret === undefined) return null;
    const wrong = provider.checkSecret(secret);
    if (wrong !== null) throw invalidField('secret', wrong);
    const publicKey = await readSetting(pool, SEALING_KEY_SETTING);
    if (typeof publicKey !== 'string')
      throw unavailable('no worker has started yet: there is no key to seal the secret with');
    return sealSecret({ publicKey, subject: `ticket-system/${id}`, secret });
  };
  const hookSecretOf = (
    id: string,
    given: string | true | undefined,
  ): { readonly kept: string | null; readonly shown?: string } => {
    if (given === undefined) return { kept: null };
    const shown = given === true ? newWebhookSecret() : undefined;
    const secret = shown ?? (given as string);
    if (webhookKey(secret) === null) throw invalidField('hookSecret', 'must be whsec_ and 24 to 64 bytes in base64');
    return {
      kept: encryptSecret({ key: webSecret, subject: `ticket-hook/${id}`, secret }),
      ...(shown !== undefined && { shown }),
    };
  };
  const made = async (id: string, shown: string | undefined) => ({
    ...(await one(id)),
    hookPath: `/hooks/tickets/${id}`,
    ...(shown !== undefined && { hookSecret: shown }),
  });

  return [
    route({
      method: 'get',
      path: '/v1/ticket-systems',
      summary: 'Ticket systems: how each is set up, whether it works, and what waits to be told there',
      permission: 'ticketSystem.read',
      query: z.strictObject(paging),
      responses: { 200: { description: 'A page', schema: pageSchema(systemReply) } },
      handler: async ({ query }) => {
        const after = (cursorParts(query.cursor, ['string'])?.[0] ?? null) as string | null;
        return { status: 200, body: await listTicketSystems(pool, { after, limit: query.limit }) };
      },
    }),
    route({
      method: 'get',
      path: '/v1/ticket-systems/:id',
      summary: 'One ticket system',
      permission: 'ticketSystem.read',
      params: idParams,
      current: readEdited,
      responses: { 200: { description: 'The system', schema: systemReply } },
      handler: async ({ params }) => ({ status: 200, body: await one(params.id) }),
    }),
    route({
      method: 'post',
      path: '/v1/ticket-systems',
      summary: 'Set up a ticket system; a worker looks at once whether it works',
      permission: 'ticketSystem.edit',
      secretReply: true,
      body: systemPost,
      responses: { 201: { description: 'Set up; `works` tells in a moment whether it does', schema: systemMade } },
      handler: async ({ body, person, now }) => {
        const id = randomUUID();
        const provider = TICKET_PROVIDERS.get(body.provider) as TicketProvider;
        const settings = checkedSettings(provider, body.settings);
        await checkPeople(body.policy);
        const { kept, shown } = hookSecretOf(id, body.hookSecret);
        const secret = await seal(provider, id, body.secret);
        await nameOnce(body.name, () =>
          inTransaction(pool, async (client) => {
            const { name, policy, active } = body;
            const by = person.actor;
            await insertSystem(client, {
              ...{ id, name, provider: provider.name, settings, policy, secret, active, now },
              hookSecret: kept,
              createdBy: by,
            });
            const detail = { name, provider: provider.name, settings, policy, active, secretGiven: secret !== null };
            await appendAudit(client, [
              { actor: by, action: 'ticketSystem.created', subject: `ticket-system/${id}`, detail },
            ]);
            await client.query(`SELECT pg_notify('rm_tickets', '')`);
          }),
        );
        return { status: 201, body: await made(id, shown), headers: { location: `/v1/ticket-systems/${id}` } };
      },
    }),
    route({
      method: 'patch',
      path: '/v1/ticket-systems/:id',
      summary: 'Edit a ticket system; what is not given stays. A webhook secret that is replaced stays good for a day',
      permission: 'ticketSystem.edit',
      secretReply: true,
      params: idParams,
      body: systemPatch,
      responses: { 200: { description: 'As it is now', schema: systemMade } },
      handler: async ({ params: { id }, body, person, now }) => {
        const before = await one(id);
        const provider = TICKET_PROVIDERS.get(before.provider);
        if (provider === undefined) throw conflict(`there is no provider ${before.provider} any more`);
        const settings = body.settings === undefined ? undefined : checkedSettings(provider, body.settings);
        await checkPeople(body.policy);
        const { kept, shown } = hookSecretOf(id, body.hookSecret);
        const secret = await seal(provider, id, body.secret);
        // A password goes to the address it was given for, and nowhere else.
        if (
          settings !== undefined &&
          secret === null &&
          before.hasSecret &&
          addressOf(settings) !== addressOf(before.settings)
        )
          throw invalidField('secret', 'must be given again with another address');
        await nameOnce(body.name ?? '', () =>
          inTransaction(pool, async (client) => {
            const { name, policy, active } = body;
            await editSystem(client, {
              ...{ id, name, settings, policy, active },
              ...(secret !== null && { secret }),
              ...(kept !== null && { hookSecret: kept }),
              hookSecretBeforeUntil: now + DAY,
            });
            const detail = {
              name,
              settings,
              policy,
              active,
              secretGiven: secret !== null,
              hookSecretGiven: kept !== null,
            };
            await appendAudit(client, [
              { actor: person.actor, action: 'ticketSystem.edited', subject: `ticket-system/${id}`, detail },
            ]);
            await client.query(`SELECT pg_notify('rm_tickets', '')`);
          }),
        );
        return { status: 200, body: await made(id, shown) };
      },
    }),
    route({
      method: 'delete',
      path: '/v1/ticket-systems/:id',
      summary: 'Retire a ticket system: nothing more is told there; its tickets stay on record',
      permission: 'ticketSystem.edit',
      params: idParams,
      responses: { 204: { description: 'Retired' } },
      handler: async ({ params: { id }, person, now }) => {
        await one(id);
        await inTransaction(pool, async (client) => {
          await retireSystem(client, { id, now });
          await appendAudit(client, [
            { actor: person.actor, action: 'ticketSystem.retired', subject: `ticket-system/${id}` },
          ]);
        });
        return { status: 204 };
      },
    }),
  ];
}

/** What a client edits; how the system has been doing is no edit. */
async function readEdited(db: Queryable, { id }: { readonly id: string }): Promise<unknown> {
  const row = await readTicketSystem(db, id);
  if (row === null || row.retiredAt !== null) return null;
  const { name, settings, policy, active, version } = row;
  return { name, settings, policy, active, version };
}

function checkedSettings(provider: TicketProvider, given: Record<string, unknown>): Record<string, unknown> {
  const parsed = provider.settings.safeParse(given);
  if (parsed.success) return parsed.data as Record<string, unknown>;
  throw invalid(
    parsed.error.issues.map((issue) => ({
      field: ['settings', ...issue.path].join('.'),
      in: 'body' as const,
      reason: issue.message,
    })),
  );
}

const addressOf = (settings: Readonly<Record<string, unknown>>): string => {
  const { url, user } = settings;
  return JSON.stringify([typeof url === 'string' && URL.canParse(url) ? new URL(url).origin : url, user]);
};

async function nameOnce(name: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if ((error as { code?: string }).code !== UNIQUE_VIOLATION) throw error;
    throw conflict(`there is a ticket system “${name}” already`);
  }
}
