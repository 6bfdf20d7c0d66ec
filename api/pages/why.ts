/** Why an endpoint is not patched yet: the API's own answer, where there is one. */
import type { Request } from 'express';
import { Problem } from '../http/problem.js';
import type { Shell } from './shell.js';

const PATH = '/v1/endpoints/:id/why';

export interface Why {
  readonly sentence: string;
  readonly chain: readonly string[];
}

/** Null when nobody can tell. */
export async function whyOf(shell: Shell, req: Request, id: string): Promise<Why | null> {
  if (!shell.hasRoute('get', PATH)) return null;
  try {
    const reply = await shell.invoke(req, { method: 'get', path: PATH, params: { id } });
    const body = (reply.body ?? {}) as Record<string, unknown>;
    const chain = Array.isArray(body.chain) ? body.chain : [];
    const sentence = textOf(body);
    return sentence === null ? null : { sentence, chain: chain.map(textOf).filter((text) => text !== null) };
  } catch (error) {
    if (error instanceof Problem && error.status < 500) return null;
    throw error;
  }
}

/** A link of the chain is a sentence, or holds one. */
function textOf(value: unknown): string | null {
  if (typeof value === 'string') return value;
  const { sentence, text, reason } = (value ?? {}) as Record<string, unknown>;
  return ([sentence, text, reason].find((candidate) => typeof candidate === 'string') as string | undefined) ?? null;
}
