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
import type { EpochMs } from '../../domain/time.js';
import { keyIdOf } from '../../protocol/envelope.js';
import type { EnrolRequest } from '../../protocol/messages.js';
import { changeWorkflowId } from '../../workflows/ids.js';
import type { Command } from '../../workflows/messages.js';
import { forbidden, Problem } from '../http/problem.js';
import { createGatherer, type Gatherer, type Outcome } from './gather.js';

/** Undoes the transaction (and with it the token's use): another request has just enrolled the same key. */
class EnrolledMeanwhile extends Error {}

interface Asked {
  readonly request: EnrolRequest;
  readonly now: EpochMs;
}

/** Enrolments in one transaction: they share the join token's row, so one after another they would also wait for each other's commit. */
const TOGETHER = 100;

/**
 * Enrols endpoints, lets them take over those their tokens were made for, or recognises them if they are enrolled already: the same key from the same machine gets the same answer
 * however often it asks, and uses up one use of the token. `run` throws Problem 403 for a token that is not good, or a key that
 * another machine uses.
 */
export function createEnrolments(deps: { readonly pool: Pool }): Gatherer<Asked, string> {
  return createGatherer({
    work: (asked) => enrolAll(deps.pool, asked),
    key: ({ request }) => request.publicKey,
    atOnce: 1,
    patienceMs: 0,
    most: TOGETHER,
  });
}

async function enrolAll(pool: Pool, asked: readonly Asked[]): Promise<readonly Outcome<string>[]> {
  const outcomes = new Map<Asked, Outcome<string>>();
  const unknown: Asked[] = [];
  for (const one of asked) {
    const known = await findByPublicKey(pool, one.request.publicKey);
    if (known === null) unknown.push(one);
    else outcomes.set(one, await outcomeOf(recognise(pool, known, one.request)));
  }
  // Tokens' rows are locked in one order, so that replicas can't wait for each other.
  unknown.sort((a, b) => (a.request.token < b.request.token ? -1 : 1));
  try {
    const enrolled = await inTransaction(pool, async (client) => {
      const done: (readonly [Asked, Outcome<string>])[] = [];
      for (const one of unknown) done.push([one, await enrolIn(client, one)]);
      return done;
    });
    for (const [one, outcome] of enrolled) outcomes.set(one, outcome);
  } catch (error) {
    const [only] = unknown;
    if (!(error instanceof EnrolledMeanwhile) || unknown.length > 1 || only === undefined) throw error;
    const other = await findByPublicKey(pool, only.request.publicKey);
    if (other === null) throw error;
    outcomes.set(only, await outcomeOf(recognise(pool, other, only.request)));
  }
  return asked.map((one) => outcomes.get(one) as Outcome<string>);
}

async function outcomeOf<T>(work: Promise<T>): Promise<Outcome<T>> {
  try {
    return { ok: true, value: await work };
  } catch (error) {
    return { ok: false, error };
  }
}

/** A token that is not good changes nothing, so the others in the transaction go on. @throws Problem 403 for a takeover that is void */
async function enrolIn(client: PoolClient, { request, now }: Asked): Promise<Outcome<string>> {
  const token = await useJoinToken(client, request.token, now);
  if (!token.ok) return { ok: false, error: notAccepted(token.reason) };
  if (token.endpoint !== null) {
    await takeOver(client, { request, now, tokenId: token.id, scanOnly: token.scanOnly, endpoint: token.endpoint });
    return { ok: true, value: token.endpoint.id };
  }
  const scanOnly = token.scanOnly || request.scanOnly;
  const id = await insertEndpoint(client, {
    publicKey: request.publicKey,
    keyId: keyIdOf(request.publicKey),
    name: request.name,
    machineId: request.machineId,
    zone: request.zone,
    scanOnly,
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
        scanOnly,
        // A machine id is only a claim: whoever makes it gets an endpoint of its own, and people see the likeness.
        alsoClaimedBy: await endpointsOfMachine(client, { machineId: request.machineId, except: id }),
      },
    },
  ]);
  return { ok: true, value: id };
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
