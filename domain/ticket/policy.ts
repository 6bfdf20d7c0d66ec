/** What a ticket system is used for. Kept with the system, read strictly. */
import { z } from 'zod';

export const ticketPolicySchema = z.strictObject({
  /** A ticket for every change. */
  changes: z.boolean().default(true),
  /** Of these kinds alone; left out: of every kind. */
  kinds: z.array(z.string().min(1).max(50)).max(20).nullable().default(null),
  /** Tickets for what people must do. */
  work: z
    .strictObject({
      failedEndpoint: z.boolean().default(true),
      straggler: z.boolean().default(true),
      drift: z.boolean().default(true),
      /** Of one change, at most so many are open at once; what is beyond waits for one of them to close. */
      maxPerChange: z.number().int().min(1).max(10_000).default(100),
      /** Work said to be done is judged by a scan within so many minutes, or comes back. */
      rescanMinutes: z
        .number()
        .int()
        .min(1)
        .max(7 * 24 * 60)
        .default(30),
    })
    .prefault({}),
  /** Whether what a known person writes in a change's ticket decides its approvals. */
  approvals: z.enum(['never', 'inTicket']).default('never'),
  /** Who is who: the name a person has in the tracker, and the account here. Nobody else decides anything there. */
  people: z
    .array(z.strictObject({ author: z.string().trim().min(1).max(200), accountId: z.uuid() }))
    .max(5_000)
    .default([])
    .refine((people) => new Set(people.map((p) => p.author)).size === people.length, 'one author is named twice'),
});

export type TicketPolicy = z.output<typeof ticketPolicySchema>;
