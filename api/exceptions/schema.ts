import { z } from 'zod';
import { selectorSchema } from '../../domain/fleet/selector-schema.js';
import { paging } from '../http/paging.js';

/** A package or source name; `*` stands for any run of characters. */
const packagePattern = z
  .string()
  .regex(/^[a-z0-9*][a-z0-9+.*-]{0,127}$/, 'must be a package or source name, * allowed')
  .refine((text) => /[a-z0-9]/.test(text), 'must name something: * alone would except every update');
/** A rule of a baseline by id or short name. */
const rulePattern = z
  .string()
  .regex(/^[A-Za-z0-9_*][A-Za-z0-9._*-]{0,299}$/, 'must be a rule’s id or short name, * allowed')
  .refine((text) => /[A-Za-z0-9]/.test(text), 'must name something: * alone would except every rule');
const cve = z.string().regex(/^CVE-\d{4}-\d{4,19}$/, 'must look like CVE-2026-12345');
const reason = z.string().trim().min(1).max(500);
const expiresAt = z.iso.datetime({ offset: true });

export const exceptionPost = z
  .strictObject({
    selector: selectorSchema,
    package: packagePattern.optional(),
    cve: cve.optional(),
    rule: rulePattern.optional(),
    reason,
    /** The account that answers for it; not the one that grants it. */
    owner: z.uuid(),
    expiresAt,
  })
  .refine((body) => [body.package, body.cve, body.rule].filter((target) => target !== undefined).length === 1, {
    message: 'must name a package, a CVE or a rule, one of them',
    path: ['package'],
  });

export const exceptionPatch = z
  .strictObject({ reason: reason.optional(), owner: z.uuid().optional(), expiresAt: expiresAt.optional() })
  .refine((patch) => Object.values(patch).some((value) => value !== undefined), 'changes nothing');

export const exceptionQuery = z.strictObject({
  ...paging,
  state: z.enum(['inForce', 'expired', 'revoked']).optional(),
  cve: cve.optional(),
  package: packagePattern.optional(),
  rule: rulePattern.optional(),
  /** Only exceptions of this kind. */
  of: z.enum(['package', 'cve', 'rule']).optional(),
});

export const exceptionReply = z.object({
  id: z.uuid(),
  selector: selectorSchema,
  package: z.string().nullable(),
  cve: z.string().nullable(),
  rule: z.string().nullable(),
  reason: z.string(),
  owner: z.uuid(),
  ownerName: z.string(),
  approvedBy: z.string(),
  state: z.enum(['inForce', 'expired', 'revoked']),
  createdAt: z.iso.datetime(),
  expiresAt: z.iso.datetime(),
  revokedAt: z.iso.datetime().nullable(),
  revokedBy: z.string().nullable(),
});
