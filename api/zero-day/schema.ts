import { z } from 'zod';
import { selectorSchema } from '../../domain/fleet/selector-schema.js';
import { expeditePolicySchema } from '../../domain/zero-day/expedite-policy-schema.js';

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
