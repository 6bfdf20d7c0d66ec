import type { PoolClient } from 'pg';
import { appendAudit } from '../../db/audit/append.js';
import { unknownRules } from '../../db/baseline/rules.js';
import {
  type ExceptionRow,
  editException,
  insertException,
  listExceptions,
  readException,
  revokeException,
} from '../../db/exceptions/exceptions.js';
import { unknownAccounts } from '../../db/identity/accounts.js';
import { inTransaction, type Queryable } from '../../db/pool.js';
import { exceptionState } from '../../domain/exception/exception.js';
import { DAY, type EpochMs } from '../../domain/time.js';
import type { ApiDeps } from '../deps.js';
import { requireGroups } from '../groups/check-selector.js';
import { cursorParts, idParams, pageSchema } from '../http/paging.js';
import { conflict, invalidField, notFound } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { exceptionPatch, exceptionPost, exceptionQuery, exceptionReply } from './schema.js';

/** Whoever needs one for longer looks at it again. */
const LONGEST_DAYS = 366;

const withState = (row: ExceptionRow, now: EpochMs) => ({
  ...row,
  state: exceptionState({ expiresAt: row.expiresAt.getTime(), revokedAt: row.revokedAt?.getTime() ?? null }, now),
});

export function exceptionRoutes({ pool }: ApiDeps): Route[] {
  const checkOwner = async (db: Queryable, owner: string, approver: string): Promise<void> => {
    if (owner === approver) throw invalidField('owner', 'who answers for an exception can’t grant it');
    if ((await unknownAccounts(db, [owner])).length > 0) throw invalidField('owner', `no such account: ${owner}`);
  };
  const expiry = (text: string, now: EpochMs): EpochMs => {
    const at = Date.parse(text);
    if (at <= now) throw invalidField('expiresAt', 'is in the past');
    if (at > now + LONGEST_DAYS * DAY) throw invalidField('expiresAt', `is more than ${LONGEST_DAYS} days away`);
    return at;
  };
  const one = async (id: string, now: EpochMs): Promise<object> => {
    const row = await readException(pool, { id });
    if (row === null) throw notFound('exception');
    return withState(row, now);
  };
  /** The exception under its lock. @throws Problem 404, 409 when it has ended */
  const lockInForce = async (client: PoolClient, args: { id: string; now: EpochMs }): Promise<ExceptionRow> => {
    const row = await readException(client, { id: args.id, lock: true });
    if (row === null) throw notFound('exception');
    const { state } = withState(row, args.now);
    if (state !== 'inForce') throw conflict(`the exception is ${state}: make a new one`);
    return row;
  };
  return [
    route({
      method: 'get',
      path: '/v1/exceptions',
      summary: 'Exceptions, newest first',
      permission: 'exception.read',
      query: exceptionQuery,
      responses: { 200: { description: 'A page', schema: pageSchema(exceptionReply) } },
      handler: async ({ query, now }) => {
        const after = cursorParts(query.cursor, ['number', 'string']) as [number, string] | null;
        const { state = null, cve = null, package: name = null, rule = null, of = null, limit } = query;
        const page = await listExceptions(pool, { now, state, cve, package: name, rule, of, after, limit });
        return { status: 200, body: { next: page.next, items: page.items.map((row) => withState(row, now)) } };
      },
    }),
    route({
      method: 'get',
      path: '/v1/exceptions/:id',
      summary: 'One exception',
      permission: 'exception.read',
      params: idParams,
      current: (db, { id }) => readException(db, { id }),
      responses: { 200: { description: 'The exception', schema: exceptionReply } },
      handler: async ({ params, now }) => ({ status: 200, body: await one(params.id, now) }),
    }),
    route({
      method: 'post',
      path: '/v1/exceptions',
      summary:
        'Keep updates of a package, or for a CVE, or the remediation of a rule, away from endpoints for a while; who asks is recorded as its approver',
      permission: 'exception.edit',
      body: exceptionPost,
      responses: {
        201: { description: 'In force; plans made from now on leave these updates out', schema: exceptionReply },
      },
      handler: async ({ body, person, now }) => {
        const expiresAt = expiry(body.expiresAt, now);
        await requireGroups(pool, body.selector, 'selector');
        await checkOwner(pool, body.owner, person.actor);
        if (body.rule !== undefined && !body.rule.includes('*') && (await unknownRules(pool, [body.rule])).length > 0)
          throw invalidField('rule', `no imported baseline has a rule ${body.rule}`);
        const id = await inTransaction(pool, async (client) => {
          const made = await insertException(client, {
            ...body,
            package: body.package ?? null,
            cve: body.cve ?? null,
            rule: body.rule ?? null,
            approvedBy: person.actor,
            expiresAt,
            now,
          });
          const subject = `exception/${made}`;
          await appendAudit(client, [
            { actor: person.actor, action: 'exception.granted', subject, detail: { ...body } },
          ]);
          return made;
        });
        return { status: 201, body: await one(id, now), headers: { location: `/v1/exceptions/${id}` } };
      },
    }),
    route({
      method: 'patch',
      path: '/v1/exceptions/:id',
      summary: 'Give an exception another reason, owner or expiry; who asks has approved it so',
      permission: 'exception.edit',
      params: idParams,
      body: exceptionPatch,
      responses: { 200: { description: 'The exception as it is now', schema: exceptionReply } },
      handler: async ({ params, body, person, now }) => {
        const expiresAt = body.expiresAt === undefined ? undefined : expiry(body.expiresAt, now);
        await inTransaction(pool, async (client) => {
          const before = await lockInForce(client, { id: params.id, now });
          await checkOwner(client, body.owner ?? before.owner, person.actor);
          await editException(client, { ...body, id: params.id, expiresAt, approvedBy: person.actor });
          const subject = `exception/${params.id}`;
          await appendAudit(client, [
            { actor: person.actor, action: 'exception.edited', subject, detail: { ...body } },
          ]);
        });
        return { status: 200, body: await one(params.id, now) };
      },
    }),
    route({
      method: 'delete',
      path: '/v1/exceptions/:id',
      summary: 'Revoke an exception: plans made from now on include its updates again; it stays on record',
      permission: 'exception.edit',
      params: idParams,
      responses: { 204: { description: 'Revoked' } },
      handler: async ({ params, person, now }) => {
        await inTransaction(pool, async (client) => {
          await lockInForce(client, { id: params.id, now });
          await revokeException(client, { id: params.id, by: person.actor, now });
          const subject = `exception/${params.id}`;
          await appendAudit(client, [{ actor: person.actor, action: 'exception.revoked', subject }]);
        });
        return { status: 204 };
      },
    }),
  ];
}
