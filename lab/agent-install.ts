// Puts the agent on a lab host the way an administrator would: its bundle's own `install` command, with a join token.
import { copyFileSync, existsSync, linkSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { checkoutRoot } from './base.js';
import { shareInHost } from './host.js';
import type { Lab } from './lab.js';

export type AgentInstall = {
  /** Where the agent polls; reachable from the host, so on `lab.gatewayAddress`. */
  gatewayUrl: string;
  joinToken: string;
  /** Further arguments of the agent's `install`. */
  args?: readonly string[];
};

/** The runtime and the agent as hosts see them: one read-only copy for all, not 100 MB for each. */
export const agentRuntimeInHost = `${shareInHost}/node`;
export const agentBundleInHost = `${shareInHost}/ringmaster-agent.mjs`;

/** The agent's bundle or its runtime is not built or not installed. */
export class AgentNotBuilt extends Error {
  constructor(file: string, help: string) {
    super(`${file} is not there; help: ${help}`);
    this.name = 'AgentNotBuilt';
  }
}

/**
 * Places runtime and bundle in the lab's share (again, if the bundle was rebuilt: running agents keep the old one open).
 * @throws AgentNotBuilt
 */
export function shareAgent(lab: Lab): void {
  const root = checkoutRoot();
  const arch = process.arch;
  const runtime = join(root, `node_modules/node-linux-${arch}/bin/node`);
  const programs = process.env.RINGMASTER_PROGRAMS_DIR ?? join(root, 'dist');
  const bundle = join(programs, 'agent-bundle/ringmaster-agent.mjs');
  if (!existsSync(runtime)) throw new AgentNotBuilt(runtime, `npm install node-linux-${arch}`);
  if (!existsSync(bundle)) throw new AgentNotBuilt(bundle, 'npm run build');
  place(runtime, join(lab.shareDir, 'node'));
  copyFileSync(bundle, join(lab.shareDir, '.new'));
  renameSync(join(lab.shareDir, '.new'), join(lab.shareDir, 'ringmaster-agent.mjs'));
}

/** Programs and unit only: the agent is enabled, and starts once the host is enrolled. @throws as `installAgent` */
export async function installAgentUnenrolled(lab: Lab, index: number): Promise<void> {
  shareAgent(lab);
  await runAgent(lab, index, ['install']);
}

/**
 * Installs the agent in host `index`: its `install` writes /etc/ringmaster-agent/config.json and the systemd unit, starts
 * it, and returns when it is enrolled. What the host knew of another server, from before, is put aside.
 * @throws AgentNotBuilt; CommandFailed with what `install` printed when it did not exit 0
 */
export async function installAgent(lab: Lab, index: number, options: AgentInstall): Promise<void> {
  shareAgent(lab);
  const { joinToken } = options;
  const install = ['install', '--url', options.gatewayUrl, '--token', joinToken, ...(options.args ?? [])];
  const known = await rootKnownTo(lab, index);
  if (known !== undefined && !joinToken.endsWith(`.${known}`)) {
    await lab.must(index, ['systemctl', 'stop', 'ringmaster-agent']);
    await runAgent(lab, index, [...install, '--no-start']);
    await runAgent(lab, index, ['enrol', '--token', joinToken, '--anew']);
  }
  await runAgent(lab, index, install);
}

const runAgent = (lab: Lab, index: number, args: readonly string[]) =>
  lab.must(index, [agentRuntimeInHost, agentBundleInHost, ...args], { timeoutMs: 60_000 });

/** Fingerprint of the root key of the server a host is enrolled with; undefined when it is with none. */
async function rootKnownTo(lab: Lab, index: number): Promise<string | undefined> {
  const { code, stdout } = await lab.exec(index, ['cat', '/var/lib/ringmaster-agent/identity/identity.json']);
  return code === 0 ? (JSON.parse(stdout) as { rootFingerprint: string }).rootFingerprint : undefined;
}

/** A hard link where the file systems allow it, else a copy. */
function place(from: string, to: string): void {
  if (existsSync(to)) return;
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to);
  }
}
