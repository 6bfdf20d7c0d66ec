/** What a patch cycle is asked to include; read strictly, for a typo must not let more through. */
import { z } from 'zod';
import type { Parsed } from '../schedule/model.js';
import { type EpochMs, HOUR } from '../time.js';
import { parameterProblems } from './parameter-problems.js';

/** A package or source name; `*` stands for any run of characters. */
const pattern = z.string().regex(/^[a-z0-9*][a-z0-9+.*-]{0,127}$/, 'must be a package or source name, * allowed');
const patterns = z.array(pattern).max(1_000);
const cve = z.string().regex(/^CVE-\d{4}-\d{4,19}$/, 'must look like CVE-2026-12345');

const chosen = z
  .strictObject({
    packages: patterns.optional(),
    sources: patterns.optional(),
    cves: z.array(cve).max(1_000).optional(),
  })
  .refine((some) => [some.packages, some.sources, some.cves].some((list) => list !== undefined && list.length > 0), {
    message: 'must name at least one package, source or CVE',
  });

export const patchParametersSchema = z.strictObject({
  /** `all`, only what comes from a security pocket, or what any of these lists names. */
  include: z.union([z.literal('all'), z.literal('security'), chosen]).default('all'),
  /** Packages or sources to leave out. */
  exclude: patterns.default([]),
  /** Upstream soak: days since a verified index first named the version. */
  minAgeDays: z.number().int().min(0).max(365).default(0),
  minAgeDaysSecurity: z.number().int().min(0).max(365).default(0),
  /** Put off, with the reason approvers read. */
  defer: z
    .array(
      z.strictObject({
        package: pattern,
        reason: z.string().min(1).max(500),
        until: z.iso.datetime({ offset: true }).optional(),
      }),
    )
    .max(1_000)
    .default([]),
  /** An inventory older than this is asked for again before planning. */
  scanMaxAgeHours: z.number().positive().max(720).default(24),
  /** How long planning waits for those scans; then it goes on without, and says for whom. */
  discoverMinutes: z.number().min(0).max(1_440).default(10),
  /** How long the proof waits for a scan after the last order. */
  confirmMinutes: z.number().min(0).max(1_440).default(10),
});

export interface PatchSelection {
  readonly packages: readonly string[];
  readonly sources: readonly string[];
  readonly cves: readonly string[];
}

export interface PatchParameters {
  readonly include: 'all' | 'security' | PatchSelection;
  readonly exclude: readonly string[];
  readonly minAgeDays: number;
  readonly minAgeDaysSecurity: number;
  readonly defer: readonly { readonly pattern: string; readonly reason: string; readonly until: EpochMs | null }[];
  readonly scanMaxAgeMs: number;
  readonly discoverMinutes: number;
  readonly confirmMinutes: number;
}

/** Parameters of a change of kind `patch`, or every problem with its path. Never throws. */
export function parsePatchParameters(input: unknown): Parsed<PatchParameters> {
  const result = patchParametersSchema.safeParse(input);
  if (!result.success) return parameterProblems(result.error);
  const { include, defer, scanMaxAgeHours, ...rest } = result.data;
  return {
    ok: true,
    value: {
      ...rest,
      include:
        typeof include === 'string'
          ? include
          : { packages: include.packages ?? [], sources: include.sources ?? [], cves: include.cves ?? [] },
      defer: defer.map((one) => ({
        pattern: one.package,
        reason: one.reason,
        until: one.until === undefined ? null : Date.parse(one.until),
      })),
      scanMaxAgeMs: scanMaxAgeHours * HOUR,
    },
  };
}
