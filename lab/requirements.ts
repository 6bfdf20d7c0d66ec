// What the lab needs of the machine it runs on, checked before anything is touched.
import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { labRoot } from './state.js';

/** Real hosts cannot run here; `reason` says why and, where it can be helped, what to install. */
export class LabUnavailable extends Error {
  constructor(readonly reason: string) {
    super(`the lab cannot run here: ${reason}`);
    this.name = 'LabUnavailable';
  }
}

const packageOf: Readonly<Record<string, string>> = {
  mmdebstrap: 'mmdebstrap',
  'systemd-nspawn': 'systemd-container',
  ip: 'iproute2',
  'dpkg-deb': 'dpkg',
  'apt-get': 'apt',
  gpgv: 'gpgv',
  unshare: 'util-linux',
  nsenter: 'util-linux',
  flock: 'util-linux',
  mount: 'mount',
};
/** The distribution's signing keys: what makes the base's packages genuine. */
export const archiveKeyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
/** apt's own downloader: it honours whatever proxies, credentials and transports this machine's apt is set up with. */
export const aptHelper = '/usr/lib/apt/apt-helper';

let remembered: { reason: string | undefined } | undefined;

/** Why real hosts cannot run on this machine, or undefined when they can. Checked once per process. */
export function labUnavailableReason(): string | undefined {
  remembered ??= { reason: findReason() };
  return remembered.reason;
}

/** @throws LabUnavailable when the machine lacks something the lab needs. */
export function requireLab(): void {
  const reason = labUnavailableReason();
  if (reason !== undefined) throw new LabUnavailable(reason);
}

function findReason(): string | undefined {
  if (process.platform !== 'linux') return `needs Linux, this is ${process.platform}`;
  const distribution = osRelease();
  if (distribution.ID !== 'debian') return `needs Debian, this is ${distribution.PRETTY_NAME ?? 'another system'}`;
  if (process.getuid?.() !== 0) return 'needs root (namespaces, mounts and bridges), this is an ordinary user';
  const missing = new Set<string>();
  for (const [command, name] of Object.entries(packageOf)) if (!onPath(command)) missing.add(name);
  if (!existsSync(archiveKeyring)) missing.add('debian-archive-keyring');
  if (!existsSync(aptHelper)) missing.add('apt');
  if (missing.size > 0) return `commands are missing; help: apt-get install ${[...missing].sort().join(' ')}`;
  return namespaceReason();
}

/** Tries, in a mount namespace of its own, the one mount every host needs. */
function namespaceReason(): string | undefined {
  let probe: string | undefined;
  try {
    probe = mkdtempSync(join(labRoot(), '.probe-'));
    for (const dir of ['upper', 'work', 'root']) execFileSync('mkdir', [join(probe, dir)]);
    const layers = `lowerdir=/usr/share/keyrings,upperdir=${probe}/upper,workdir=${probe}/work`;
    execFileSync(
      'unshare',
      ['--mount', '--net', '--pid', '--fork', 'mount', '-t', 'overlay', 'overlay', '-o', layers, `${probe}/root`],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    return undefined;
  } catch (error) {
    const detail = String((error as { stderr?: Buffer }).stderr ?? error).trim();
    return `hosts' disks cannot be mounted in namespaces of their own (RINGMASTER_LAB_DIR moves them): ${detail}`;
  } finally {
    if (probe !== undefined) rmSync(probe, { recursive: true, force: true });
  }
}

function osRelease(): Record<string, string> {
  try {
    const pairs = readFileSync('/etc/os-release', 'utf8').matchAll(/^(\w+)="?([^"\n]*)"?$/gm);
    return Object.fromEntries([...pairs].map((m) => [m[1] ?? '', m[2] ?? '']));
  } catch {
    return {};
  }
}

function onPath(command: string): boolean {
  return (process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin').split(delimiter).some((dir) => {
    try {
      accessSync(join(dir, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
