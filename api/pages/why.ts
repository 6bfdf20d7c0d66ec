/** Why an endpoint is not patched yet: the API's own answer. */
import type { Request } from 'express';
import type { z } from 'zod';
import type { whyReply } from '../endpoints/why-routes.js';
import type { Shell } from './shell.js';

export type Why = z.output<typeof whyReply>;

/** @throws Problem 404 where there is no such endpoint */
export async function whyOf(shell: Shell, req: Request, id: string): Promise<Why> {
  const reply = await shell.invoke(req, { method: 'get', path: '/v1/endpoints/:id/why', params: { id } });
  return reply.body as Why;
}
