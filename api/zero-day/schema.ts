import { z } from 'zod';
import { selectorSchema } from '../../domain/fleet/selector-schema.js';
import { REASON_CODES } from '../../domain/why/reason.js';
import { expeditePolicySchema } from '../../domain/zero-day/expedite-policy-schema.js';
import { EXPOSURE_STATES, NEXT_STEPS } from '../../domain/zero-day/exposure.js';
import { pageSchema, paging } from '../http/paging.js';

const name = z.string().regex(/^[a-z0-9][a-z0-9+.-]{0,127}$/, 'must be the name of a package or source');
const cve = z.string().regex(/^CVE-\d{4}-\d{4,19}$/, 'must look like CVE-2026-12345');
const version = z.string().regex(/^[0-9A-Za-z][0-9A-Za-z.+~:-]{0,255}$/, 'must be a version');
const text = z.string().trim().min(1).max(2_000);

const override = z.strictObject({ hours: z.boolean().default(false), freezes: z.boolean().default(false) });

export const zeroDayPost = z
  .strictObject({
    cves: z.array(cve).max(100).default([]),
    packages: z
      .array(
        z.union([name.transform((one) => ({ name: one })), z.strictObject({ name, minVersion: version.optional() })]),
      )
      .max(100)
      .default([]),
    name: z.string().trim().min(1).max(200).optional(),
    reason: text,
    /** Left out: every endpoint concerned. */
    scope: selectorSchema.optional(),
    /** Left out: as the expedite policy says. */
    dueAt: z.iso.datetime({ offset: true }).optional(),
    /** Needs the expedite policy's leave and its own approval. */
    override: override.optional(),
  })
  .refine((body) => body.cves.length + body.packages.length > 0, { message: 'name at least one CVE or package' });

/** Starting it again; without the override unless it is asked for anew. */
export const startPost = z.strictObject({ reason: text, override: override.optional() });

const overrideReply = z.object({ hours: z.boolean(), freezes: z.boolean() });

export const zeroDayStarted = z.object({
  id: z.uuid(),
  /** Null: nothing can be done yet, and `note` says why. */
  changeId: z.uuid().nullable(),
  name: z.string(),
  dueAt: z.iso.datetime(),
  /** Endpoints in scope with a vulnerable version. */
  exposed: z.number().int(),
  /** Of those: their own package index offers the fix. */
  offered: z.number().int(),
  /** Vulnerable, but out of the scope asked for. */
  outOfScope: z.number().int(),
  /** Endpoints that have the package at all, in whatever version. */
  having: z.number().int(),
  /** Endpoints never scanned completely: nobody knows what they have. */
  unscanned: z.number().int(),
  override: overrideReply,
  policyVersion: z.number().int(),
  note: z.string(),
});

export const expeditePolicyPut = expeditePolicySchema;

export const expeditePolicyReply = z.object({
  version: z.number().int(),
  document: z.record(z.string(), z.unknown()),
  createdBy: z.string().nullable(),
  createdAt: z.iso.datetime().nullable(),
});

export const zeroDayQuery = z.strictObject({
  ...paging,
  /** `true`: while somebody is exposed; `false`: those that are over. */
  open: z
    .enum(['true', 'false'])
    .transform((text) => text === 'true')
    .optional(),
});

export const exposureQuery = z.strictObject({
  ...paging,
  show: z.enum(['exposed', 'fixed', 'all']).default('exposed'),
});

const time = z.iso.datetime();

/** How far it has come. */
const progress = {
  dueAt: time,
  /** Until the due date; below zero: it has passed. Null once nobody is exposed. */
  secondsLeft: z.number().int().nullable(),
  /** It is past due with endpoints exposed, or was when it ended. */
  overdue: z.boolean(),
  /** When inventories were last compared with it: with every scan. */
  lookedAt: time,
  /** Since when nobody is exposed; null: somebody is. */
  endedAt: time.nullable(),
  counts: z.object({
    exposed: z.number().int(),
    fixed: z.number().int(),
    /** From exposed to proven fixed by a scan; null: nobody is yet. */
    meanSecondsToPatch: z.number().int().nullable(),
  }),
};

export const zeroDaySummary = z.object({
  id: z.uuid(),
  name: z.string(),
  reason: z.string(),
  cves: z.array(z.string()),
  packages: z.array(z.object({ name: z.string(), minVersion: z.string().optional() })),
  requestedBy: z.string(),
  requestedAt: time,
  ...progress,
});

const byCode = (codes: readonly string[]) => z.partialRecord(z.enum(codes), z.number().int());

export const zeroDayDetail = zeroDaySummary.extend({
  scope: selectorSchema.nullable(),
  override: overrideReply,
  targets: z.array(
    z.object({
      asked: z.string(),
      kind: z.enum(['source', 'package']),
      name: z.string(),
      source: z.string(),
      fixedIn: z.array(z.string()),
      below: z.string().nullable(),
    }),
  ),
  changes: z.array(
    z.object({
      id: z.uuid(),
      stage: z.string(),
      outcome: z.string().nullable(),
      waitingFor: z.string().nullable(),
      halted: z.boolean(),
      requestedAt: time,
      closedAt: time.nullable(),
    }),
  ),
  /** What the exposed come down to, all of them; `GET …/exposure` lists them. */
  standing: z.object({
    counted: z.number().int(),
    byState: byCode(EXPOSURE_STATES),
    byReason: byCode(REASON_CODES),
    nextSteps: z.array(z.object({ action: z.enum(NEXT_STEPS), endpoints: z.number().int(), text: z.string() })),
  }),
});

const exposedEndpoint = z.object({
  endpointId: z.uuid(),
  name: z.string(),
  simulated: z.boolean(),
  state: z.enum(EXPOSURE_STATES),
  /** As `GET /v1/endpoints/{id}/why` names it; null where only inventories and the scope decide. */
  code: z.enum(REASON_CODES).nullable(),
  reason: z.string(),
  since: time.nullable(),
  until: time.nullable(),
  exposedSince: time,
  fixedAt: time.nullable(),
  /** Its own package index offers the fix. */
  offered: z.boolean(),
  changeId: z.uuid().nullable(),
  orderId: z.uuid().nullable(),
});

export const exposurePage = pageSchema(exposedEndpoint).extend(progress);
