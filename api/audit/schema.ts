import { z } from 'zod';
import { paging } from '../http/paging.js';

export const auditQuery = z.strictObject({
  ...paging,
  subject: z.string().max(300).optional(),
  actor: z.string().max(300).optional(),
  action: z.string().max(100).optional(),
});

export const auditEntry = z.object({
  id: z.number(),
  at: z.iso.datetime(),
  actor: z.string(),
  action: z.string(),
  subject: z.string(),
  detail: z.record(z.string(), z.unknown()),
  sealed: z.number().nullable(),
  hash: z.string().nullable(),
});
