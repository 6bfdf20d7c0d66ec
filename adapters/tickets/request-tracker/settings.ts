import { z } from 'zod';
import { addressMembers, isPrivateWay, NOT_PRIVATE } from '../address.js';

/** Names as RT has them; no quote or brace, so that they can stand in a search. */
const rtName = z.string().regex(/^[^'"{}\\\p{Cc}]{1,100}$/u, 'must have no quotes, braces or backslashes');
const status = z.string().regex(/^[a-z][a-z0-9 _-]{0,40}$/, 'must be a status of the queue’s lifecycle');

export const settingsSchema = z
  .strictObject({
    /** Of RT itself, such as https://rt.example.org or https://example.org/rt. */
    ...addressMembers,
    /** The RT user Ringmaster works as. */
    user: rtName,
    /** How the secret is given: as that user's password, or as an authentication token of theirs. */
    auth: z.enum(['password', 'token']).default('password'),
    queue: rtName,
    /** A custom field of the queue's tickets (one value): what tickets are found by. */
    keyField: rtName.default('RingmasterKey'),
    /** A custom field that shows the plan's digest; null: none. */
    digestField: rtName.nullable().default(null),
    /** RT does not tell by itself: so often it is asked what people did. */
    hearSeconds: z.number().int().min(1).max(300).default(15),
    statuses: z
      .strictObject({
        open: status.default('open'),
        working: status.default('open'),
        done: status.default('resolved'),
        cancelled: status.default('rejected'),
      })
      .prefault({}),
    /** Further statuses and what they mean here. */
    alsoMeans: z
      .record(status, z.enum(['open', 'working', 'done', 'cancelled']))
      .default({ new: 'open', stalled: 'working', deleted: 'cancelled' }),
  })
  .refine(isPrivateWay, NOT_PRIVATE);

export type RtSettings = z.output<typeof settingsSchema>;
