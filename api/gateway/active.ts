/** Only active endpoints, by a key of their own, may hand anything in but polls. */
import type { Pool } from 'pg';
import { type PollView, readPollViews } from '../../db/endpoints/presence.js';
import { forbidden, type Problem } from '../http/problem.js';
import { foreignKey, type Signer } from './signed.js';

/** @throws Problem 401 or 403 */
export async function requireActive(pool: Pool, signer: Signer): Promise<void> {
  const objection = inactive(signer, (await readPollViews(pool, [signer.endpointId])).get(signer.endpointId));
  if (objection !== null) throw objection;
}

/** Why this endpoint gets nothing; null: it is active, and the key that signed is its own. */
export function inactive(signer: Signer, view: PollView | undefined): Problem | null {
  const foreign = view === undefined ? null : foreignKey(signer, view);
  if (foreign !== null || view?.state === 'active') return foreign;
  return forbidden(`this endpoint is ${view?.state ?? 'unknown'}: ${view?.stateReason ?? 'no reason given'}`);
}
