import { z } from 'zod';
import { roleSchema } from '../../domain/approval/rule-schema.js';
import { MIN_PASSWORD_LENGTH } from '../auth/passwords.js';
import { zoneSchema } from '../endpoints/schema.js';

const password = z.string().min(MIN_PASSWORD_LENGTH).max(256);
const roles = z.array(roleSchema).max(4);
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
  role: roleSchema,
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
  roles: z.array(roleSchema),
  canSignIn: z.boolean(),
  disabled: z.boolean(),
});
