import { randomUUID } from 'node:crypto';
import type { Pool, PoolClient } from 'pg';
import { appendAudit } from '../../db/audit/append.js';
import {
  type EndpointState,
  type EnrolledEndpoint,
  endpointsOfMachine,
  findByPublicKey,
  insertEndpoint,
  quarantine,
} from '../../db/endpoints/identity.js';
import { useJoinToken } from '../../db/endpoints/join-token.js';
import { takeOverEndpoint } from '../../db/endpoints/re-enrol.js';
import { refreshQuorumMembers } from '../../db/groups/groups.js';
import { enqueueCommand } from '../../db/outbox/enqueue.js';
import { inTransaction } from '../../db/pool.js';
import { isIanaZone } from '../../domain/schedule/index.js';
import type { EpochMs } from '../../domain/time.js';
import { keyIdOf } from '../../protocol/envelope.js';
import type { EnrolRequest } from '../../protocol/messages.js';
import { changeWorkflowId } from '../../workflows/ids.js';
import type { Command } from '../../workflows/messages.js';
import { forbidden, invalidField, Problem } from '../http/problem.js';

/** Undoes the transaction (and with it the token's use): another request has just enrolled the same key. */
class EnrolledMeanwhile extends Error {}

/**
 * Enrols an endpoint, lets it take over the one its token was made for, or recognises one that is enrolled already: the same key from the same machine gets the same answer
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
      if (!token.ok) throw notAccepted(token.reason);
      if (token.endpoint !== null) {
        await takeOver(client, { request, now, tokenId: token.id, scanOnly: token.scanOnly, endpoint: token.endpoint });
        return token.endpoint.id;
      }
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
            // A machine id is only a claim: whoever makes it gets an endpoint of its own, and people see the likeness.
            alsoClaimedBy: await endpointsOfMachine(client, { machineId: request.machineId, except: id }),
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

function notAccepted(reason: string): Problem {
  return new Problem({ status: 403, type: 'join-token', title: 'The join token is not accepted', detail: reason });
}

/** Puts the machine in the place of the endpoint the token was made for, and has open changes leave that out. */
async function takeOver(
  client: PoolClient,
  args: {
    readonly request: EnrolRequest;
    readonly now: EpochMs;
    readonly tokenId: string;
    readonly scanOnly: boolean;
    readonly endpoint: { readonly id: string; readonly state: EndpointState };
  },
): Promise<void> {
  const { request, now, endpoint } = args;
  const taken = await takeOverEndpoint(client, {
    endpointId: endpoint.id,
    expectedState: endpoint.state,
    tokenId: args.tokenId,
    publicKey: request.publicKey,
    keyId: keyIdOf(request.publicKey),
    machineId: request.machineId,
    name: request.name,
    scanOnly: args.scanOnly || request.scanOnly,
    simulated: request.simulated ?? false,
    facts: request.facts,
    now,
  });
  if (!taken.ok) throw notAccepted(`the join token is void: ${taken.reason}`);
  for (const changeId of taken.openChangeIds) {
    const command: Command = {
      commandId: randomUUID(),
      verb: 'skip',
      by: `endpoint/${endpoint.id}`,
      reason: 'another machine has taken the endpoint over: what was planned is not for it',
      endpointId: endpoint.id,
    };
    await enqueueCommand(client, { workflowId: changeWorkflowId(changeId), command });
  }
  await refreshQuorumMembers(client, endpoint.id);
}

async function recognise(pool: Pool, known: EnrolledEndpoint, request: EnrolRequest): Promise<string> {
  if (known.state === 'retired') throw forbidden('this endpoint is retired; it needs a new key to enrol again');
  if (known.machineId === null || known.machineId === request.machineId) return known.id;
  const reason = 'two machines use its key: it enrolled again with another machine id';
  await inTransaction(pool, (client) => quarantine(client, { endpointId: known.id, reason }));
  throw forbidden(`quarantined: ${reason}`);
}
