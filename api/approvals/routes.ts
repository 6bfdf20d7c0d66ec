import { locateFor } from '../../db/approvals/decision.js';
import { listApprovals, readApproval } from '../../db/read/approvals.js';
import type { Person } from '../auth/person.js';
import type { ApiDeps } from '../deps.js';
import { cursorParts, idParams, pageSchema } from '../http/paging.js';
import { conflict, forbidden, notFound, Problem, unauthenticated } from '../http/problem.js';
import { type Route, route } from '../http/route.js';
import { createDecide, type Decided } from './decide.js';
import { approvalDetail, approvalQuery, approvalSummary, decisionPost, decisionReply } from './schema.js';

/** Who may not look at changes sees only what they were asked to decide. */
const onlyOwn = (person: Person): boolean => !person.permissions.has('change.read');

export function approvalRoutes({ pool, clock }: ApiDeps): Route[] {
  const decide = createDecide({ pool, clock });
  return [
    route({
      method: 'get',
      path: '/v1/approvals',
      summary: 'Approval requests, open ones first; without the right to see changes, those you were asked to decide',
      permission: 'approval.decide',
      query: approvalQuery,
      responses: { 200: { description: 'A page', schema: pageSchema(approvalSummary) } },
      handler: async ({ query, person }) => {
        const after = cursorParts(query.cursor, ['number', 'number', 'string']) as [number, number, string] | null;
        const page = await listApprovals(pool, {
          accountId: person.accountId,
          mine: query.mine || onlyOwn(person),
          state: query.state ?? null,
          changeId: query.change ?? null,
          after,
          limit: query.limit,
        });
        return { status: 200, body: page };
      },
    }),
    route({
      method: 'get',
      path: '/v1/approvals/:id',
      summary: 'One approval request: the evidence, who was asked, what they decided',
      permission: 'approval.decide',
      params: idParams,
      responses: { 200: { description: 'The request', schema: approvalDetail } },
      handler: async ({ params, person }) => {
        const args = { id: params.id, accountId: person.accountId, mine: onlyOwn(person) };
        const approval = await readApproval(pool, args);
        if (approval === null) throw notFound('approval');
        return { status: 200, body: approval };
      },
    }),
    route({
      method: 'post',
      path: '/v1/approvals/:id/decisions',
      summary: 'Decide, signed in or with your one-time code; an API token alone decides nothing',
      permission: 'approval.decide',
      params: idParams,
      body: decisionPost,
      responses: {
        201: { description: 'It has been counted', schema: decisionReply },
        202: { description: 'It is recorded and being checked', schema: decisionReply },
        409: {
          description:
            'The request takes no decision of yours, has it already, or its plan stands no more: `planInForce` is the digest of the one that does',
        },
        422: { description: 'It does not count; `detail` says why' },
      },
      handler: async ({ params, body, person }) => {
        const { accountId } = person;
        const located = accountId === null ? null : await locateFor(pool, { requestId: params.id, accountId });
        if (located === null) {
          const visible = await readApproval(pool, { id: params.id, accountId, mine: onlyOwn(person) });
          throw visible === null ? notFound('approval') : forbidden('you have not been asked to decide this');
        }
        const decided = await decide({ located, person, input: body });
        if (decided.kind === 'refused' || decided.kind === 'notCounted') throw problemOf(decided);
        const counted = decided.kind === 'counted';
        const { decisionId: id, message } = decided;
        return { status: counted ? 201 : 202, body: { id, state: counted ? 'counted' : 'submitted', message } };
      },
    }),
  ];
}

function problemOf(decided: Extract<Decided, { kind: 'refused' | 'notCounted' }>): Problem {
  const { status, planInForce } = decided;
  if (status === 401) return unauthenticated(decided.message);
  if (status === 403) return forbidden(decided.message);
  if (status === 409) {
    const { options } = conflict(decided.message);
    return new Problem({ ...options, ...(planInForce !== undefined && { extra: { planInForce } }) });
  }
  return new Problem({ status, type: 'not-counted', title: 'The decision does not count', detail: decided.message });
}
