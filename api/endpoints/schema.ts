import { z } from 'zod';
import { stakeholderKindSchema } from '../../domain/approval/rule-schema.js';
import { LEVELS } from '../../domain/fleet/selector-condition.js';
import { labelsSchema, selectorTextSchema } from '../../domain/fleet/selector-schema.js';
import { isIanaZone } from '../../domain/schedule/index.js';
import { paging } from '../http/paging.js';

export const zoneSchema = z.string().max(64).refine(isIanaZone, 'not an IANA time zone');

export const endpointQuery = z.strictObject({
  ...paging,
  name: z.string().max(256).optional(),
  state: z.enum(['active', 'quarantined', 'retired']).optional(),
  /** Anywhere in name, labels or operating system. */
  q: z.string().trim().min(1).max(256).optional(),
  group: z.string().min(1).max(200).optional(),
  /** Selector text: docs/selectors.md. */
  where: selectorTextSchema.optional(),
  /** Not heard of since then. */
  offlineSince: z.iso.datetime({ offset: true }).optional(),
  hasUpdates: z
    .enum(['true', 'false'])
    .transform((text) => text === 'true')
    .optional(),
  /** `key=value`, any number of times. */
  label: z
    .union([z.string(), z.array(z.string())])
    .transform((given, context) => {
      const pairs = [given].flat().map((text) => /^([^=]{1,64})=(.{0,256})$/s.exec(text));
      if (pairs.every((pair) => pair !== null))
        return Object.fromEntries(pairs.map(([, key, value]) => [key ?? '', value ?? '']));
      context.addIssue({ code: 'custom', message: 'must be key=value' });
      return z.NEVER;
    })
    .optional(),
});

export const endpointPatch = z
  .strictObject({
    labels: labelsSchema.optional(),
    zone: zoneSchema.optional(),
    /** The survey: what it is for, how sensitive, how likely attacked. Null: not known. */
    function: z.string().trim().min(1).max(200).nullable().optional(),
    sensitivity: z.enum(LEVELS).nullable().optional(),
    attackLikelihood: z.enum(LEVELS).nullable().optional(),
    /** While it holds, the endpoint gets no change; null lifts it. */
    hold: z
      .strictObject({ until: z.iso.datetime({ offset: true }), reason: z.string().trim().min(1).max(500) })
      .nullable()
      .optional(),
  })
  .refine((patch) => Object.values(patch).some((value) => value !== undefined), 'changes nothing');

export const reasonBody = z.strictObject({ reason: z.string().trim().min(1).max(2_000) });

export const stakeholderParams = z.strictObject({ id: z.uuid(), kind: stakeholderKindSchema });
export const stakeholderPut = z.strictObject({ accountIds: z.array(z.uuid()).max(50) });

export const endpointSummary = z.object({
  id: z.uuid(),
  name: z.string(),
  state: z.string(),
  stateReason: z.string().nullable(),
  scanOnly: z.boolean(),
  simulated: z.boolean(),
  zone: z.string(),
  labels: z.record(z.string(), z.string()),
  lastSeen: z.iso.datetime().nullable(),
  lastScan: z.iso.datetime().nullable(),
  clockSkewMs: z.number(),
  holdUntil: z.iso.datetime().nullable(),
  holdReason: z.string().nullable(),
  wantsScan: z.boolean(),
  availableUpdates: z.number(),
});

export const endpointDetail = endpointSummary.extend({
  function: z.string().nullable(),
  sensitivity: z.enum(LEVELS).nullable(),
  attackLikelihood: z.enum(LEVELS).nullable(),
  machineId: z.string().nullable(),
  enrolledAt: z.iso.datetime(),
  /** When the agent said it would ask next. */
  nextPollAt: z.iso.datetime().nullable(),
  bootId: z.string().nullable(),
  /** What the machine's own administrator allows; as the agent says it. */
  localLimits: z.record(z.string(), z.unknown()),
  observations: z.record(z.string(), z.unknown()),
  facts: z.record(z.string(), z.unknown()),
  packages: z.array(
    z.object({
      name: z.string(),
      arch: z.string(),
      version: z.string(),
      source: z.string(),
      sourceVersion: z.string(),
    }),
  ),
  updates: z.array(
    z.object({ name: z.string(), arch: z.string(), installed: z.string().nullable(), candidate: z.string() }),
  ),
  services: z.array(
    z.object({ kind: z.enum(['unit', 'listener']), name: z.string(), detail: z.record(z.string(), z.unknown()) }),
  ),
  stakeholders: z.array(z.object({ kind: stakeholderKindSchema, accountId: z.uuid() })),
});
