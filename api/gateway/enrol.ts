import type { Pool } from 'pg';
import { appendAudit } from '../../db/audit/append.js';
import { type EnrolledEndpoint, findByPublicKey, insertEndpoint, quarantine } from '../../db/endpoints/identity.js';
import { useJoinToken } from '../../db/endpoints/join-token.js';
import { refreshQuorumMembers } from '../../db/groups/groups.js';
import { inTransaction } from '../../db/pool.js';
import { isIanaZone } from '../../domain/schedule/index.js';
import type { EpochMs } from '../../domain/time.js';
import { keyIdOf } from '../../protocol/envelope.js';
import type { EnrolRequest } from '../../protocol/messages.js';
import { forbidden, invalidField, Problem } from '../http/problem.js';

/** Undoes the transaction (and with it the token's use): another request has just enrolled the same key. */
class EnrolledMeanwhile extends Error {}

/**
 * Enrols an endpoint, or recognises one that is enrolled already: the same key from the same machine gets the same answer
 * however often it asks, and uses up one use of the token.
 * @throws Problem 403 for a token that is not good, or a key that another machine uses
 */
export async function enrol(deps: { pool: Pool }, args: { request: EnrolRequest; now: EpochMs }): Promise<string> {
  const { pool } = deps;
  const { request, now } = args;
  if (!isIanaZone(request.zone)) throw invalidField('zone', 'not an IANA time zone');
  const known = await findByPublicKey(pool, request.publicKey);
  if (known !== null) return recognise(pool, known, request);
  try {
    return await inTransaction(pool, async (client) => {
      const token = await useJoinToken(client, request.token, now);
      if (!token.ok)
        throw new Problem({
          status: 403,
          type: 'join-token',
          title: 'The join token is not accepted',
          detail: token.reason,
        });
      const id = await insertEndpoint(client, {
        publicKey: request.publicKey,
        keyId: keyIdOf(request.publicKey),
        name: request.name,
        machineId: request.machineId,
        zone: request.zone,
        scanOnly: token.scanOnly || request.scanOnly,
        simulated: request.simulated ?? false,
        labels: token.labels,
        facts: request.facts,
        now,
      });
      if (id === null) throw new EnrolledMeanwhile();
      await refreshQuorumMembers(client, id);
      await appendAudit(client, [
        {
          actor: `endpoint/${id}`,
          action: 'endpoint.enrolled',
          subject: `endpoint/${id}`,
          detail: {
            name: request.name,
            machineId: request.machineId,
            joinToken: token.id,
            scanOnly: token.scanOnly || request.scanOnly,
          },
        },
      ]);
      return id;
    });
  } catch (error) {
    if (!(error instanceof EnrolledMeanwhile)) throw error;
    const other = await findByPublicKey(pool, request.publicKey);
    if (other === null) throw error;
    return recognise(pool, other, request);
  }
}

async function recognise(pool: Pool, known: EnrolledEndpoint, request: EnrolRequest): Promise<string> {
  if (known.state === 'retired') throw forbidden('this endpoint is retired; it needs a new key to enrol again');
  if (known.machineId === null || known.machineId === request.machineId) return known.id;
  const reason = 'two machines use its key: it enrolled again with another machine id';
  await inTransaction(pool, (client) => quarantine(client, { endpointId: known.id, reason }));
  throw forbidden(`quarantined: ${reason}`);
}
