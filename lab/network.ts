// The lab's network: a bridge in our own network namespace, whose address serves the relay and the gateway; each host a
// namespace with one end of a veth pair. Hosts have no default route, so the bridge is all they can reach.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { mustRun, runCommand } from './process.js';
import { bridgeName, type HostState, labIds, linkName, namePrefix, namespaceName, readState } from './state.js';

export const bridgeAddress = (subnet: number) => `10.${subnet}.0.1`;
export const broadcastAddress = (subnet: number) => `10.${subnet}.0.255`;
export const hostAddress = (subnet: number, index: number) => `10.${subnet}.0.${10 + index}`;
/** Locally administered; the same for host I of every lab on this subnet. */
export const hostMac = (subnet: number, index: number) =>
  `02:52:4d:${hex(subnet)}:${hex(index >> 8)}:${hex(index & 255)}`;
/** How many hosts a lab's addresses suffice for. */
export const maxHosts = 240;

const hex = (n: number) => n.toString(16).padStart(2, '0');

/**
 * A number N such that no address or route of this machine, and no other lab, is within 10.N.0.0/16.
 * @throws Error when all of 64 to 254 are taken.
 */
export async function freeSubnet(): Promise<number> {
  const used = new Set(labIds().flatMap((id) => readState(id)?.subnet ?? []));
  const listing = (await mustRun(['ip', '-4', '-o', 'addr'])) + (await mustRun(['ip', '-4', 'route']));
  for (const match of listing.matchAll(/\b10\.(\d+)\.\d+\.\d+/g)) used.add(Number(match[1]));
  for (let n = 78; n < 255; n++) if (!used.has(n)) return n;
  for (let n = 64; n < 78; n++) if (!used.has(n)) return n;
  throw new Error('no free 10.N.0.0/24 network for the lab');
}

/** Makes the bridge with its address and, wired to it with their link still down, the hosts' namespaces. */
export async function createNetwork(lab: { id: string; subnet: number; hosts: readonly HostState[] }): Promise<void> {
  const bridge = bridgeName(lab.id);
  await ip([
    `link add ${bridge} type bridge`,
    `addr add ${bridgeAddress(lab.subnet)}/24 brd ${broadcastAddress(lab.subnet)} dev ${bridge}`,
    `link set ${bridge} up`,
    ...lab.hosts.flatMap((host) => {
      const link = linkName(lab.id, host.index);
      const namespace = namespaceName(lab.id, host.index);
      return [
        `netns add ${namespace}`,
        `link add ${link} type veth peer name eth0 address ${host.mac} netns ${namespace}`,
        `link set ${link} master ${bridge}`,
      ];
    }),
  ]);
  await Promise.all(
    lab.hosts.map((host) =>
      ip(
        [
          'link set lo up',
          `addr add ${host.address}/24 brd ${broadcastAddress(lab.subnet)} dev eth0`,
          'link set eth0 up',
        ],
        ['-n', namespaceName(lab.id, host.index)],
      ),
    ),
  );
}

/** The host's cable: unplugged, it neither answers nor hears, and connections to it hang as they would. */
export async function setCable(id: string, index: number, plugged: boolean): Promise<void> {
  await mustRun(['ip', 'link', 'set', linkName(id, index), plugged ? 'up' : 'down']);
}

/** Removes the bridge and every namespace of the lab (and so both ends of each veth pair). */
export async function removeNetwork(id: string): Promise<void> {
  for (const namespace of namespacesOf(id)) await runCommand(['ip', 'netns', 'del', namespace]);
  for (const link of await linksOf(id)) await runCommand(['ip', 'link', 'del', link]);
}

export function namespacesOf(id: string): string[] {
  try {
    return readdirSync('/run/netns').filter((name) => name.startsWith(namePrefix(id)));
  } catch {
    return []; // no namespace was ever made on this machine
  }
}

/** Names of the lab's interfaces in our own namespace. */
export async function linksOf(id: string): Promise<string[]> {
  const names = readdirSync(join('/sys/class/net'));
  return names.filter((name) => name === bridgeName(id) || name.startsWith(linkName(id, 0).slice(0, -1)));
}

/** Many `ip` commands in one process. Their words are made here from numbers and checked ids only. */
async function ip(commands: readonly string[], options: readonly string[] = []): Promise<void> {
  await mustRun(['ip', ...options, '-batch', '-'], { stdin: `${commands.join('\n')}\n` });
}
