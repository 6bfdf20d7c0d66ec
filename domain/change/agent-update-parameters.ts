/** What an update of agents is asked for; read strictly. */
import { z } from 'zod';
import type { Parsed } from '../schedule/model.js';
import { parameterProblems } from './parameter-problems.js';

export const agentUpdateParametersSchema = z.strictObject({
  /** A published release; left out: the newest. */
  version: z
    .string()
    .regex(/^\d+\.\d+\.\d+([~+.][A-Za-z0-9.]+)?$/, 'must look like 1.2.3')
    .optional(),
  discoverMinutes: z.number().int().min(1).max(1_440).default(15),
  confirmMinutes: z.number().int().min(1).max(1_440).default(30),
});

export interface AgentUpdateParameters {
  /** Null: the newest there is when it is planned. */
  readonly version: string | null;
  readonly discoverMinutes: number;
  readonly confirmMinutes: number;
}

/** Parameters of a change of kind `agentUpdate`, or every problem with its path. Never throws. */
export function parseAgentUpdateParameters(input: unknown): Parsed<AgentUpdateParameters> {
  const result = agentUpdateParametersSchema.safeParse(input);
  if (result.success) return { ok: true, value: { ...result.data, version: result.data.version ?? null } };
  return parameterProblems(result.error);
}
