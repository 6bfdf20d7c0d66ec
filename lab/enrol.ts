// The agent on every host of a lab: enrolled where there is a server to enrol with, installed and waiting where there is not.
import { type AgentInstall, installAgent, installAgentUnenrolled } from './agent-install.js';
import type { Lab } from './lab.js';
import { findServer, type LocalServer, makeJoinToken } from './server.js';

/** There is no server to enrol with. */
export class NoServer extends Error {
  constructor(reason: string, lab: Pick<Lab, 'id'>) {
    super(`${reason}. ${nextSteps(lab)}`);
    this.name = 'NoServer';
  }
}

/**
 * Installs the agent on all hosts and enrols it: with `given`, else with the Ringmaster of this checkout if it runs.
 * @returns what was done and, if something is left to do, the next step; one line.
 * @throws AgentNotBuilt, CommandFailed
 */
export async function provideAgents(lab: Lab, given: AgentInstall | undefined): Promise<string> {
  if (given !== undefined) {
    await Promise.all(lab.hosts.map(({ index }) => installAgent(lab, index, given)));
    return `agents enrolled with ${given.gatewayUrl}`;
  }
  const found = await findServer();
  if ('server' in found) return enrolWith(lab, found.server);
  await Promise.all(lab.hosts.map(({ index }) => installAgentUnenrolled(lab, index)));
  return `agents installed, not enrolled: ${found.absent}. ${nextSteps(lab)}`;
}

/** Enrols the hosts of a lab that is up with the Ringmaster of this checkout. @throws NoServer, AgentNotBuilt, CommandFailed */
export async function enrolHosts(lab: Lab): Promise<string> {
  const found = await findServer();
  if ('absent' in found) throw new NoServer(found.absent, lab);
  return enrolWith(lab, found.server);
}

async function enrolWith(lab: Lab, server: LocalServer): Promise<string> {
  const [on, off] = [lab.hosts.filter((h) => lab.isOn(h.index)), lab.hosts.filter((h) => !lab.isOn(h.index))];
  lab.setServer(server.target);
  const labels = { site: 'lab', lab: lab.id };
  const joinToken = await makeJoinToken(server, { uses: lab.hosts.length, labels });
  await Promise.all(on.map(({ index }) => installAgent(lab, index, { gatewayUrl: lab.gatewayUrl, joinToken })));
  const left = off.length === 0 ? '' : `; off, so not enrolled: ${off.map((h) => h.name).join(', ')}`;
  return `${on.length} agents enrolled with ${server.url}; what they miss is in its /v1/endpoints as they report it${left}`;
}

const nextSteps = (lab: Pick<Lab, 'id'>) =>
  `Next: npm start, then npm run lab -- ${lab.id === 'lab' ? '' : `--id ${lab.id} `}enrol`;
