/** From a join token to an identity. Safe to repeat: the same key gets the same answer until it is on disk. */
import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { PROTOCOL_VERSION } from '../protocol/messages.js';
import type { AgentConfig } from './config.js';
import { localZone, readFacts } from './inventory/facts.js';
import type { Machine } from './machine.js';
import { run } from './system/run.js';
import type { ServerClock } from './transport/clock.js';
import type { GatewayClient } from './transport/gateway-client.js';
import { type Identity, parseJoinToken, saveIdentity } from './transport/identity.js';
import { acceptKeySet } from './transport/key-set.js';

/** @throws Error when the token is malformed, the server says no, or is not the one the token names. */
export async function enrol(args: {
  readonly config: AgentConfig;
  readonly machine: Pick<Machine, 'id' | 'simulated'>;
  readonly token: string;
  readonly publicKey: string;
  readonly client: Pick<GatewayClient, 'enrol'>;
  readonly clock: ServerClock;
}): Promise<Identity> {
  const { config } = args;
  const token = parseJoinToken(args.token);
  const { id: machineId, simulated } = args.machine;
  const reply = await args.client.enrol({
    protocol: PROTOCOL_VERSION,
    token: token.secret,
    publicKey: args.publicKey,
    name: config.name.slice(0, 256),
    machineId,
    zone: config.zone ?? localZone(),
    scanOnly: config.scanOnly,
    ...(simulated ? { simulated } : {}),
    facts: { ...(await readFacts(run)), ...(simulated ? { simulated } : {}) },
  });
  const accepted = acceptKeySet({
    envelope: reply.keySet,
    rootPublicKey: reply.rootPublicKey,
    rootFingerprint: token.rootFingerprint,
    newestVersion: 0,
  });
  if (!accepted.ok) throw new Error(accepted.reason);
  const identity: Identity = {
    endpointId: reply.endpointId,
    machineId,
    rootPublicKey: reply.rootPublicKey,
    rootFingerprint: token.rootFingerprint,
    keySet: accepted.keySet,
  };
  saveIdentity(config.stateDir, identity);
  return identity;
}

/** Puts identity and journal aside, so that the next enrolment makes new ones. The agent must not run. */
export function forget(stateDir: string, now: number): void {
  for (const name of ['identity', 'journal']) {
    const path = join(stateDir, name);
    if (existsSync(path)) renameSync(path, `${path}.before-${now}`);
  }
}
