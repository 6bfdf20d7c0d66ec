/** A cheap look at what matters between scans: files and the kernel's tables only, no program is run. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readListeners } from '../inventory/listeners.js';
import { privilegedUsers } from './privileged.js';

/** Names by kind, each with what else tells it apart (a package's version). */
export type Look = Readonly<
  Record<'listener' | 'service' | 'privilegedUser' | 'package', Readonly<Record<string, string>>>
>;

const DPKG = '/var/lib/dpkg/status';
/** Ports above are handed out to clients for a moment (ip_local_port_range); over UDP they look like listeners. */
const FIRST_EPHEMERAL = 32_768;
const CONTROL_GROUPS = ['/sys/fs/cgroup', '/sys/fs/cgroup/systemd', '/sys/fs/cgroup/unified'];
/** Far deeper than anybody nests slices. */
const DEEPEST_SLICE = 16;
/** How services are looked for. Counted up when that finds more than before, which is no news of the host. */
export const SERVICE_LOOK = 2;

let packages: { readonly stamp: string; readonly versions: Readonly<Record<string, string>> } = {
  stamp: '',
  versions: {},
};

export function look(): Look {
  return { listener: listeners(), service: services(), privilegedUser: privilegedUsers(), package: installed() };
}

function listeners(): Record<string, string> {
  const found = readListeners().filter(({ protocol, port }) => protocol === 'tcp' || port < FIRST_EPHEMERAL);
  return Object.fromEntries(found.map(({ protocol, address, port }) => [`${protocol} ${address}:${port}`, '']));
}

/**
 * Services that have processes: each has a folder among the control groups, below any slice, as instances of templates have one of their own.
 * Not what people's sessions run (user.slice): that comes and goes with them.
 */
export function services(roots: readonly string[] = CONTROL_GROUPS): Record<string, string> {
  for (const root of roots) {
    try {
      const names = servicesBelow(join(root, 'system.slice'), DEEPEST_SLICE);
      const others = readdirSync(root).filter(
        (name) => /[.]slice$/.test(name) && !/^(system|user)[.]slice$/.test(name),
      );
      const all = [...names, ...others.flatMap((name) => servicesBelow(join(root, name), DEEPEST_SLICE))];
      return Object.fromEntries(all.map((name) => [name, '']));
    } catch {
      // Another layout of control groups.
    }
  }
  return {};
}

/** @throws when the folder can't be read */
function servicesBelow(folder: string, depth: number): string[] {
  return readdirSync(folder).flatMap((name) => {
    if (name.endsWith('.service')) return [name];
    if (!name.endsWith('.slice') || depth === 0) return [];
    try {
      return servicesBelow(join(folder, name), depth - 1);
    } catch {
      return [];
    }
  });
}

/** Read again only when dpkg has written its database. */
function installed(): Readonly<Record<string, string>> {
  try {
    const { mtimeMs, size, ino } = statSync(DPKG);
    const stamp = `${mtimeMs} ${size} ${ino}`;
    if (stamp !== packages.stamp) packages = { stamp, versions: parseStatus(readFileSync(DPKG, 'utf8')) };
    return packages.versions;
  } catch {
    return {};
  }
}

/** Paragraphs of installed packages (deb-control(5)). */
export function parseStatus(text: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const paragraph of text.split('\n\n')) {
    const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(paragraph)?.[1];
    const name = field('Package');
    const version = field('Version');
    if (
      name === undefined ||
      version === undefined ||
      !/^install ok installed|^hold ok installed/.test(field('Status') ?? '')
    )
      continue;
    found[`${name}:${field('Architecture') ?? ''}`] = version;
  }
  return found;
}
