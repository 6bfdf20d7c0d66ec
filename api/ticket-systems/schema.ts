import { z } from 'zod';
import { TICKET_PROVIDERS } from '../../adapters/tickets/registry.js';
import { ticketPolicySchema } from '../../domain/ticket/policy.js';

const name = z.string().trim().min(1).max(100);
const secret = z.string().min(1).max(1_000);
/** Of the provider; checked by it, so that each can name its own fields. */
const settings = z.record(z.string(), z.unknown());

export const systemPost = z.strictObject({
  name,
  provider: z.enum([...TICKET_PROVIDERS.keys()] as [string, ...string[]]),
  settings,
  /** Never given back. Without one nothing is delivered; it can be given later. */
  secret: secret.optional(),
  /** Of the webhooks that come in: `true` makes one, which is shown once; a text is one that the sender has made. */
  hookSecret: z.union([z.literal(true), secret]).optional(),
  policy: ticketPolicySchema.prefault({}),
  active: z.boolean().default(true),
});

export const systemPatch = z
  .strictObject({
    name: name.optional(),
    settings: settings.optional(),
    secret: secret.optional(),
    hookSecret: z.union([z.literal(true), secret]).optional(),
    policy: ticketPolicySchema.optional(),
    active: z.boolean().optional(),
  })
  .refine((patch) => Object.values(patch).some((value) => value !== undefined), 'changes nothing');

const time = z.iso.datetime().nullable();

export const systemReply = z.object({
  id: z.uuid(),
  name: z.string(),
  provider: z.string(),
  settings,
  policy: settings,
  hasSecret: z.boolean(),
  hasHookSecret: z.boolean(),
  active: z.boolean(),
  version: z.number().int(),
  createdBy: z.string(),
  createdAt: z.iso.datetime(),
  retiredAt: time,
  works: z.boolean().nullable(),
  problem: z.string().nullable(),
  checkedAt: time,
  failingSince: time,
  lastError: z.string().nullable(),
  heardUntil: time,
  waiting: z.number().int(),
  waitingWithError: z.number().int(),
});

/** With the secret that was made for webhooks coming in: this once. */
export const systemMade = systemReply.extend({ hookSecret: z.string().optional(), hookPath: z.string() });
