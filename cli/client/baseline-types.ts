/** What the API answers of baselines, by the very schemas it is documented and checked with: types only, nothing of it is loaded. */
import type { z } from 'zod';
import type {
  assessmentReply,
  endpointRuleReply,
  falsePositiveReply,
  standingReply,
  tallyReply,
} from '../../api/baselines/compliance-schema.js';
import type { driftReply, endpointDriftReply, goldReply } from '../../api/baselines/gold-schema.js';
import type { conflictReply, trialReply } from '../../api/baselines/schema.js';
import type { exceptionReply } from '../../api/exceptions/schema.js';

export type AssignmentEntry = z.output<typeof standingReply>;
export type TrialComparison = z.output<typeof trialReply>;
export type ConflictEntry = z.output<typeof conflictReply>;
export type AssessmentEntry = z.output<typeof assessmentReply>;
export type EndpointRuleEntry = z.output<typeof endpointRuleReply>;
export type RuleTallyEntry = z.output<typeof tallyReply>;
export type FalsePositiveEntry = z.output<typeof falsePositiveReply>;
export type ExceptionEntry = z.output<typeof exceptionReply>;
export type GoldEntry = z.output<typeof goldReply>;
export type DriftEntry = z.output<typeof driftReply>;
export type EndpointDrift = z.output<typeof endpointDriftReply>;
