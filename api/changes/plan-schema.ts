import { z } from 'zod';

const time = z.iso.datetime();
const reasoned = z.array(z.object({ reason: z.string(), endpoints: z.number(), names: z.array(z.string()) }));

/** domain/change/dry-run.ts, for the API's description. */
export const changePlanReply = z.object({
  at: time,
  deadline: time,
  endpoints: z.number(),
  finishes: time,
  rings: z.array(
    z.object({
      ordinal: z.number(),
      name: z.string(),
      endpoints: z.number(),
      windows: z.array(
        z.object({
          policy: z.string(),
          zone: z.string(),
          endpoints: z.number(),
          opens: time.nullable(),
          closes: time.nullable(),
          never: z.string().nullable(),
        }),
      ),
      nextOpening: time.nullable(),
      withoutWindow: z.number(),
      begins: time.nullable(),
      finishes: time.nullable(),
      passed: time,
      afterApprovals: z.number(),
      stragglers: z.number(),
      never: z.number(),
      worstCaseFailures: z.number(),
      withoutWayBack: z.number(),
    }),
  ),
  updates: z.object({ included: z.number(), deferred: z.number(), declined: z.number() }),
  cves: z.array(z.string()),
  excluded: reasoned,
  stragglers: reasoned,
  cannot: reasoned,
  withheld: reasoned,
  notes: z.array(z.string()),
});
