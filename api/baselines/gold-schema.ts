/** Gold standards, and how far endpoints are from one. */
import { z } from 'zod';
import { RULE_RESULTS } from '../../domain/baseline/results.js';
import { paging } from '../http/paging.js';

const result = z.enum(RULE_RESULTS).nullable();
const names = z.array(z.string());
const set = z.object({
  missing: names,
  extra: names,
  changed: z.array(z.object({ name: z.string(), gold: z.string(), now: z.string() })),
});

export const goldQuery = z.strictObject({ ...paging });
export const goldReply = z.object({
  name: z.string(),
  /** Where it was captured. */
  endpointId: z.uuid(),
  endpoint: z.string(),
  checklists: z.int(),
  packages: z.int(),
  services: z.int(),
  capturedBy: z.string(),
  capturedAt: z.iso.datetime(),
});
/** `rules`: whose result is another one, over all checklists that both are measured by. */
export const driftReply = z.object({ endpointId: z.uuid(), endpoint: z.string(), rules: z.int() });
export const endpointDriftReply = z.object({
  rules: z.array(z.object({ rule: z.string(), gold: result, now: result })),
  packages: set,
  services: set,
});
