import { z } from 'zod';
import { enforcementSchema } from '../../domain/baseline/enforcement.js';
import { selectorSchema } from '../../domain/fleet/selector-schema.js';
import { paging } from '../http/paging.js';

export const baselineName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'must be lower-case letters, digits and dashes, at most 40');
const number = z.coerce.number().int().min(1).max(1_000_000);
const severity = z.enum(['unknown', 'info', 'low', 'medium', 'high']);

export const importQuery = z.strictObject({ name: baselineName });
export const baselineParams = z.strictObject({ name: baselineName });
export const versionParams = z.strictObject({ name: baselineName, number });
export const diffQuery = z.strictObject({ from: number, to: number });
export const rulesQuery = z.strictObject({
  ...paging,
  profile: z.string().max(300).optional(),
  severity: severity.optional(),
});

export const versionReply = z.object({
  id: z.uuid(),
  baseline: z.string(),
  number: z.number().int(),
  sha256: z.string(),
  size: z.number().int(),
  benchmarkId: z.string(),
  benchmarkVersion: z.string(),
  title: z.string(),
  platforms: z.array(z.string()),
  rules: z.number().int(),
  profiles: z.array(z.object({ id: z.string(), title: z.string() })),
  importedBy: z.string(),
  importedAt: z.iso.datetime(),
  /** Endpoints can have it. */
  stored: z.boolean(),
});

/** What its fix does when it does nothing but install or remove one package; null: a script is run, or there is no fix. */
export const packageFix = z.object({ action: z.enum(['install', 'remove']), name: z.string() }).nullable();

export const ruleReply = z.object({
  number: z.number().int(),
  id: z.string(),
  name: z.string(),
  title: z.string(),
  severity,
  description: z.string(),
  rationale: z.string(),
  warnings: z.array(z.string()),
  references: z.array(z.object({ href: z.string(), text: z.string() })),
  automated: z.boolean(),
  /** Why nothing remediates it; null: a fix does. */
  noFixReason: z.string().nullable(),
  /** As it would be run with the profile's values (the benchmark's own without a profile). */
  fix: z.string().nullable(),
  packageFix,
});

const itemDiff = z.object({
  added: z.array(z.string()),
  removed: z.array(z.string()),
  changed: z.array(z.object({ id: z.string(), fields: z.array(z.string()) })),
});
export const diffReply = z.object({
  rules: itemDiff,
  profiles: itemDiff,
  values: itemDiff,
  /** Whether what rules test (their OVAL) is compared as well: not where an earlier release imported a version. */
  checksCompared: z.boolean(),
});

export const tailorBody = z.strictObject({
  profile: z.string().min(1).max(300),
  select: z.record(z.string().max(300), z.boolean()).optional(),
  values: z
    .record(
      z.string().max(300),
      z.union([z.strictObject({ selector: z.string().max(300) }), z.strictObject({ text: z.string().max(1_000) })]),
    )
    .optional(),
});

export const checklistReply = z.object({
  name: z.string(),
  profile: z.string(),
  rules: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      title: z.string(),
      severity,
      fixSha256: z.string().nullable(),
      noFixReason: z.string().nullable(),
      packageFix,
    }),
  ),
});

export const mode = z.enum(['observe', 'propose', 'enforce']);

/** Raises a mode for more than a trial although none is over; of an administrator, and on record. */
export const overrideBody = z.strictObject({ reason: z.string().trim().min(1).max(2_000) });

export const assignmentBody = z
  .strictObject({
    baseline: baselineName,
    /** Left out: the newest now. It does not move by itself. */
    version: z.number().int().min(1).optional(),
    profile: z.string().min(1).max(300),
    select: tailorBody.shape.select,
    values: tailorBody.shape.values,
    appliesTo: selectorSchema,
    precedence: z.number().int().min(-1_000_000).max(1_000_000),
    mode,
    /** A subset that is a step ahead of the rest. */
    trial: z.strictObject({ mode, appliesTo: selectorSchema }).optional(),
    /** Rules whose drift is told at once. */
    critical: z.array(z.string().max(300)).max(500).default([]),
    /** Required where it is enforced: how its changes are made. */
    enforcement: enforcementSchema.optional(),
    override: overrideBody.optional(),
  })
  .refine((body) => (body.mode === 'enforce' || body.trial?.mode === 'enforce') === (body.enforcement !== undefined), {
    message: 'is needed for mode enforce, and only for it',
    path: ['enforcement'],
  });

export const assignmentReply = z.object({
  name: z.string(),
  baseline: z.string(),
  version: z.number().int(),
  profile: z.string(),
  checklist: z.string(),
  tailored: z.boolean(),
  appliesTo: selectorSchema,
  precedence: z.number().int(),
  mode,
  trial: z.object({ mode, appliesTo: selectorSchema }).nullable(),
  trialSince: z.iso.datetime().nullable(),
  critical: z.array(z.string()),
  enforcement: enforcementSchema.nullable(),
  editedBy: z.string(),
  editedAt: z.iso.datetime(),
});

export const conflictsQuery = z.strictObject({ ...paging });
/** What two assignments want of a value; null: it does not use it. */
const differingValues = z.array(
  z.object({ id: z.string(), theirs: z.string().nullable(), ours: z.string().nullable() }),
);
/** The assignment that decides a rule, and the values that differ; none: only the fixes do. */
export const ruleConflict = z.object({ decidedBy: z.string(), values: differingValues });
export const conflictReply = z.object({
  id: z.string(),
  name: z.string(),
  title: z.string(),
  severity,
  ...ruleConflict.shape,
  /** On so many the other one decides. */
  endpoints: z.int(),
});

const side = z.object({
  endpoints: z.int(),
  measured: z.int(),
  /** Could be measured and never were. */
  waiting: z.int(),
  /** Remediations that have begun and not ended. */
  atWork: z.int(),
  /** A rule fails there that could be put right. */
  fixable: z.boolean(),
  compliant: z.int(),
  failing: z.int(),
  succeeded: z.int(),
  reverted: z.int(),
  failed: z.int(),
  falsePositives: z.int(),
});
export const trialReply = z.object({
  trial: side,
  rest: side,
  since: z.iso.datetime().nullable(),
  /** What is missing before it can be widened, with what to do; null: nothing, or there is no trial. */
  unfinished: z.string().nullable(),
});
export const falsePositiveBody = z.strictObject({
  rule: z.string().min(1).max(300),
  reason: z.string().trim().min(1).max(500),
});
