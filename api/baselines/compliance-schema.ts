/** What is answered of results: of the fleet, of one endpoint, of findings that people say are wrong. */
import { z } from 'zod';
import { RULE_RESULTS } from '../../domain/baseline/results.js';
import { selectorSchema } from '../../domain/fleet/selector-schema.js';
import { paging } from '../http/paging.js';
import { mode, packageFix, ruleConflict } from './schema.js';

const counts = {
  pass: z.int(),
  fail: z.int(),
  error: z.int(),
  /** Findings that people say are wrong: in neither of the two before. */
  falsePositives: z.int(),
  notApplicable: z.int(),
  notChecked: z.int(),
};
const of = { checklist: z.string(), baseline: z.string(), version: z.int(), profile: z.string() };
const rule = { id: z.string(), name: z.string(), title: z.string(), severity: z.string() };
const remedy = { packageFix, noFixReason: z.string().nullable() };
export const checklistName = z.string().regex(/^[a-z0-9][a-z0-9+.-]{1,127}$/, 'must be the name of a checklist');

export const assessmentReply = z.object({
  ...of,
  assignment: z.string().nullable(),
  mode: z.string().nullable(),
  assessedAt: z.iso.datetime().nullable(),
  /** Why the newest try gave no answer; the counts are then those of the one before. */
  problem: z.string().nullable(),
  problemAt: z.iso.datetime().nullable(),
  wanted: z.boolean(),
  ...counts,
});
export const endpointRuleReply = z.object({
  ...rule,
  result: z.enum(RULE_RESULTS),
  since: z.iso.datetime(),
  /** The assignment that decides it here, because it comes first and wants something else; null: this one does. */
  conflict: ruleConflict.nullable(),
  falsePositive: z.object({ reason: z.string(), by: z.string(), at: z.iso.datetime() }).nullable(),
  ...remedy,
});
export const fleetReply = z.object({
  ...of,
  endpoints: z.int(),
  compliant: z.int(),
  unanswered: z.int(),
  /** Why this release could not read its fixes anew: they are as an earlier one read them. Null: it could. */
  fixesProblem: z.string().nullable(),
  results: z.object(counts),
});
export const tallyReply = z.object({ ...rule, pass: z.int(), fail: z.int(), error: z.int(), ...remedy });
/** Endpoints by how they stand: passing, failing, erring and unmeasured are all of them. */
export const standingReply = z.object({
  name: z.string(),
  baseline: z.string(),
  version: z.int(),
  newestVersion: z.int(),
  profile: z.string(),
  checklist: z.string(),
  tailored: z.boolean(),
  appliesTo: selectorSchema,
  mode,
  trial: z.object({ mode, appliesTo: selectorSchema }).nullable(),
  endpoints: z.int(),
  passing: z.int(),
  /** A rule fails. */
  failing: z.int(),
  /** No rule fails, but the scanner could not tell of some. */
  erring: z.int(),
  unmeasured: z.int(),
  /** The newest try gave no answer; they stand as they did before. */
  unanswered: z.int(),
  inTrial: z.int(),
  /** Rules that fail, over all endpoints; findings marked as wrong don't count. */
  findings: z.int(),
  falsePositives: z.int(),
  oldest: z.iso.datetime().nullable(),
  /** Rules that began to fail in the last seven days, and that ceased to, over all endpoints. */
  worse: z.int(),
  better: z.int(),
});
export const falsePositiveQuery = z.strictObject({ ...paging });
export const falsePositiveReply = z.object({
  endpointId: z.uuid(),
  endpoint: z.string(),
  /** Its short name in the checklist, and its id. */
  rule: z.string(),
  ruleId: z.string(),
  reason: z.string(),
  by: z.string(),
  at: z.iso.datetime(),
});
