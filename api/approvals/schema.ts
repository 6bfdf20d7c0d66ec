import { z } from 'zod';
import { paging } from '../http/paging.js';

export const approvalQuery = z.strictObject({
  ...paging,
  state: z.enum(['open', 'approved', 'rejected', 'expired', 'voided']).optional(),
  change: z.uuid().optional(),
  /** Only those you were asked to decide. */
  mine: z
    .enum(['true', 'false'])
    .transform((text) => text === 'true')
    .default(false),
});

export const decisionPost = z.strictObject({
  decision: z.enum(['approve', 'reject']),
  /** Of the plan you have seen: `planDigest` of the request. */
  planDigest: z.string().regex(/^[0-9a-f]{64}$/, 'must be the plan’s digest, 64 hexadecimal digits'),
  comment: z.string().max(2_000).default(''),
  /** The one-time code that was sent to you; needed without a session, and for high risk. */
  code: z.string().max(40).default(''),
});

export const decisionReply = z.object({ id: z.uuid(), state: z.enum(['counted', 'submitted']), message: z.string() });

export const approvalSummary = z.object({
  id: z.uuid(),
  changeId: z.uuid(),
  changeName: z.string(),
  ring: z.number().int(),
  ringName: z.string().nullable(),
  state: z.enum(['open', 'approved', 'rejected', 'expired', 'voided']),
  highRisk: z.boolean(),
  planDigest: z.string(),
  openedAt: z.iso.datetime(),
  expiresAt: z.iso.datetime(),
  escalatedAt: z.iso.datetime().nullable(),
  closedAt: z.iso.datetime().nullable(),
  quorum: z.number().int().nullable(),
  approvals: z.number().int(),
  myDecision: z.enum(['approve', 'reject']).nullable(),
  asked: z.boolean(),
});

export const approvalDetail = approvalSummary.extend({
  rule: z.record(z.string(), z.unknown()),
  evidence: z.record(z.string(), z.unknown()),
  people: z.array(z.object({ accountId: z.uuid(), name: z.string(), via: z.string() })),
  decisions: z.array(
    z.object({
      id: z.uuid(),
      accountId: z.uuid(),
      name: z.string(),
      decision: z.enum(['approve', 'reject']),
      state: z.enum(['submitted', 'counted', 'refused']),
      comment: z.string(),
      proof: z.enum(['session', 'code']),
      planDigest: z.string(),
      refusedReason: z.string().nullable(),
      decidedAt: z.iso.datetime(),
    }),
  ),
});
