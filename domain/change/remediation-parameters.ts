/** What a remediation is asked to put right; read strictly, for a typo must not let more through. */
import { z } from 'zod';
import type { Parsed } from '../schedule/model.js';
import { HOUR } from '../time.js';
import { parameterProblems } from './parameter-problems.js';

const pattern = z
  .string()
  .regex(/^[A-Za-z0-9_*][A-Za-z0-9._*-]{0,299}$/, 'must be a rule’s id or short name, * allowed')
  .refine((text) => /[A-Za-z0-9]/.test(text), 'must name something');

export const remediationParametersSchema = z.strictObject({
  /** Names of assignments; left out: every one that holds for an endpoint, the one with the highest precedence first. */
  assignments: z.array(z.string().min(1).max(200)).min(1).max(100).optional(),
  /** Only these rules; left out: all that fail. */
  rules: z.array(pattern).min(1).max(2_000).optional(),
  exclude: z.array(pattern).max(2_000).default([]),
  /** Only endpoints where the baseline is in mode `enforce`. */
  enforcedOnly: z.boolean().default(false),
  severities: z
    .array(z.enum(['unknown', 'info', 'low', 'medium', 'high']))
    .min(1)
    .optional(),
  /** Results older than this are asked for again before planning. */
  scanMaxAgeHours: z.number().positive().max(720).default(24),
  discoverMinutes: z.number().min(0).max(1_440).default(15),
  confirmMinutes: z.number().min(0).max(1_440).default(15),
});

export interface RemediationParameters {
  readonly assignments: readonly string[] | null;
  readonly rules: readonly string[] | null;
  readonly exclude: readonly string[];
  readonly enforcedOnly: boolean;
  readonly severities: readonly string[] | null;
  readonly scanMaxAgeMs: number;
  readonly discoverMinutes: number;
  readonly confirmMinutes: number;
}

/** Parameters of a change of kind `remediation`, or every problem with its path. Never throws. */
export function parseRemediationParameters(input: unknown): Parsed<RemediationParameters> {
  const result = remediationParametersSchema.safeParse(input);
  if (!result.success) return parameterProblems(result.error);
  const { assignments = null, rules = null, severities = null, scanMaxAgeHours, ...rest } = result.data;
  return { ok: true, value: { ...rest, assignments, rules, severities, scanMaxAgeMs: scanMaxAgeHours * HOUR } };
}
