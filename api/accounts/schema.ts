import { z } from 'zod';
import { ALL_PERMISSIONS, isScope } from '../../domain/identity/grants.js';
import { MIN_PASSWORD_LENGTH } from '../auth/passwords.js';
import { zoneSchema } from '../endpoints/schema.js';

const password = z.string().min(MIN_PASSWORD_LENGTH).max(256);
/** Of a role: one of the built-in ones, or one made with `PUT /v1/roles/{name}`. */
const roleName = z.string().trim().min(1).max(200);
const roles = z.array(roleName).max(20);
const email = z.email().max(254);

export const accountPost = z.strictObject({
  name: z.string().trim().min(1).max(200),
  email,
  /** Another address, for one-time codes. */
  secondChannel: email.nullable().default(null),
  zone: zoneSchema.default('UTC'),
  roles,
  password: password.optional(),
});

export const rolesPut = z.strictObject({ roles });
export const passwordPut = z.strictObject({ password });
export const disabledPut = z.strictObject({ disabled: z.boolean() });

export const tokenPost = z.strictObject({
  name: z.string().trim().min(1).max(200),
  role: roleName,
  /** Narrow the role: `group.read`, `group.*`, `*.read`. None: all that the role may. */
  scopes: z.array(z.string().max(100).refine(isScope, 'takes in no permission')).max(100).default([]),
  expiresInSeconds: z
    .number()
    .int()
    .min(60)
    .max(366 * 86_400)
    .nullable(),
});
export const tokenReply = z.object({ id: z.uuid(), token: z.string() });

export const accountReply = z.object({
  id: z.uuid(),
  name: z.string(),
  email: z.string(),
  zone: z.string(),
  roles: z.array(z.string()),
  canSignIn: z.boolean(),
  disabled: z.boolean(),
});

export const tokenParams = z.strictObject({ id: z.uuid(), tokenId: z.uuid() });
const tokenSeen = z.object({
  id: z.uuid(),
  name: z.string(),
  role: z.string(),
  scopes: z.array(z.string()),
  expiresAt: z.iso.datetime().nullable(),
});
export const tokenListReply = tokenSeen.extend({
  createdAt: z.iso.datetime(),
  revokedAt: z.iso.datetime().nullable(),
});

export const rolePut = z.strictObject({ permissions: z.array(z.enum(ALL_PERMISSIONS)).max(200) });
export const roleReply = z.object({
  name: z.string(),
  permissions: z.array(z.string()),
  /** How many hold it. */
  accounts: z.number().int(),
  tokens: z.number().int(),
});

export const selfReply = z.object({
  /** How requests and the audit log name you. */
  actor: z.string(),
  accountId: z.uuid().nullable(),
  name: z.string(),
  email: z.string().nullable(),
  roles: z.array(z.string()),
  permissions: z.array(z.enum(ALL_PERMISSIONS)),
  via: z.enum(['token', 'session']),
  token: tokenSeen.nullable(),
});
