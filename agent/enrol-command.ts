/** `ringmaster-agent enrol`: enrolment by hand, for a machine that was copied or put back to an earlier state. */
import { readFileSync } from 'node:fs';
import type { AgentConfig } from './config.js';
import { enrol, forget } from './enrol.js';
import { claimStateDir, openMachine } from './machine.js';
import { createServerClock } from './transport/clock.js';
import { createGatewayClient } from './transport/gateway-client.js';
import { loadIdentity, loadOrMakeKey } from './transport/identity.js';

/** Returns the endpoint's id. @throws Error when it is enrolled already and `anew` was not asked for, or the server says no. */
export async function enrolCommand(args: {
  readonly config: AgentConfig;
  readonly token: string;
  readonly anew: boolean;
}): Promise<string> {
  const { config } = args;
  claimStateDir(config.stateDir);
  if (args.anew) forget(config.stateDir, Date.now());
  const before = loadIdentity(config.stateDir);
  if (before !== null) throw new Error(`enrolled already as ${before.endpointId}; with a new key: --anew`);
  const key = loadOrMakeKey(config.stateDir);
  const machine = await openMachine(config, () => undefined);
  const clock = createServerClock(machine.now);
  const client = createGatewayClient({
    url: config.server,
    ...(config.caFile === null ? {} : { ca: readFileSync(config.caFile, 'utf8') }),
    key,
    keyid: () => key.keyid,
    clock,
    now: machine.now,
  });
  const identity = await enrol({ config, machine, token: args.token, publicKey: key.publicKey, client, clock });
  return identity.endpointId;
}
