import { z } from 'zod';
import { RULE_RESULTS } from '../../domain/baseline/results.js';
import { paging } from '../http/paging.js';

const time = z.iso.datetime({ offset: true }).nullable();
const verdict = z.object({ answer: z.enum(['yes', 'no', 'notYet']), why: z.string() });
/** An inventory of packages, or an assessment of rules: then the id is that of its scan order. */
const scanOf = z.enum(['packages', 'rules']);
const scan = z.object({ id: z.uuid(), at: z.iso.datetime({ offset: true }), of: scanOf }).nullable();

export const loopQuery = z.strictObject({
  ...paging,
  open: z.stringbool().optional(),
  change: z.uuid().optional(),
});

export const loopReply = z.object({
  id: z.uuid(),
  kind: z.string(),
  name: z.string(),
  requestedBy: z.string(),
  stage: z.string(),
  outcome: z.string().nullable(),
  planDigest: z.string().nullable(),
  authorised: verdict.extend({
    approvals: z.array(
      z.object({
        ring: z.number().int(),
        state: z.string(),
        planDigest: z.string(),
        closedAt: time,
        by: z.array(z.object({ name: z.string(), decision: z.string(), proof: z.enum(['session', 'code', 'ticket']) })),
      }),
    ),
  }),
  asAuthorised: verdict.extend({
    begun: z.number().int(),
    notPlanned: z.number().int(),
    otherContent: z.number().int(),
    outsideWindow: z.number().int(),
  }),
  /** How fast: the times, and the minutes from the request to each; null: not yet. */
  times: z.object({
    requestedAt: z.iso.datetime(),
    approvedAt: time,
    firstStartedAt: time,
    lastSettledAt: time,
    lastScanAt: time,
    closedAt: time,
    minutesToApproved: z.number().nullable(),
    minutesToStarted: z.number().nullable(),
    minutesToConfirmed: z.number().nullable(),
    minutesToClosed: z.number().nullable(),
  }),
  confirmed: verdict.extend({
    succeeded: z.number().int(),
    scanned: z.number().int(),
    missing: z.number().int().nullable(),
    /** Endpoints that left rules out; null: not closed yet. */
    declined: z.number().int().nullable(),
    firstScan: scan,
    lastScan: scan,
  }),
  openWork: z.number().int(),
  tickets: z.array(
    z.object({
      system: z.string(),
      ref: z.string().nullable(),
      url: z.string().nullable(),
      state: z.string(),
      attention: z.string().nullable(),
    }),
  ),
});

export const confirmationReply = z.object({
  endpointId: z.uuid(),
  endpoint: z.string(),
  ring: z.number().int(),
  orderId: z.uuid(),
  state: z.string(),
  settledAt: time,
  windowKept: z.boolean().nullable(),
  scanId: z.uuid().nullable(),
  scanOf: scanOf.nullable(),
  scannedAt: time,
  proven: z.boolean().nullable(),
  /** Rules that it left out of its order, and why. */
  declined: z.array(z.object({ name: z.string(), reason: z.string() })),
});

export const unexplainedQuery = z.strictObject({
  ...paging,
  endpoint: z.uuid().optional(),
  explained: z.stringbool().optional(),
});

export const unexplainedReply = z.object({
  scanId: z.uuid(),
  endpointId: z.uuid(),
  endpoint: z.string(),
  since: time,
  at: z.iso.datetime(),
  packages: z.number().int(),
  changes: z.array(
    z.object({ name: z.string(), arch: z.string(), from: z.string().nullable(), to: z.string().nullable() }),
  ),
  explanation: z.string().nullable(),
  explainedBy: z.string().nullable(),
  explainedAt: time,
});

export const unexplainedRulesQuery = unexplainedQuery;
export const ruleChangeParams = z.strictObject({ id: z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER) });

export const unexplainedRuleReply = z.object({
  id: z.number().int(),
  endpointId: z.uuid(),
  endpoint: z.string(),
  checklist: z.string(),
  baseline: z.string(),
  rule: z.string(),
  title: z.string(),
  severity: z.string(),
  from: z.enum(RULE_RESULTS).nullable(),
  to: z.enum(RULE_RESULTS).nullable(),
  at: z.iso.datetime(),
  explanation: z.string().nullable(),
  explainedBy: z.string().nullable(),
  explainedAt: time,
});

export const explanationPost = z.strictObject({
  /** What it was, and which ticket says so. */
  explanation: z.string().trim().min(1).max(1_000),
});
