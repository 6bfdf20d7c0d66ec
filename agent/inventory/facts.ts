/** What kind of machine this is. Read from files; nothing here changes or asks anything outside. */
import { realpathSync, statfsSync } from 'node:fs';
import { arch, cpus, freemem, hostname, networkInterfaces, release, totalmem, uptime } from 'node:os';
import { VERSION } from '../../domain/version.js';
import { readOr } from '../system/lenient-reads.js';
import type { Run } from '../system/run.js';

/** Put in place by the build of a package that has a version of its own (scripts/agent-bundle.mjs). */
declare const RINGMASTER_AGENT_VERSION: string | undefined;

export const AGENT_VERSION = typeof RINGMASTER_AGENT_VERSION === 'string' ? RINGMASTER_AGENT_VERSION : VERSION;

export async function readFacts(run: Run): Promise<Record<string, unknown>> {
  const os = parseOsRelease(readOr('/etc/os-release'));
  const virtualization = await run(['systemd-detect-virt'], { timeoutMs: 10_000 });
  return {
    hostname: hostname(),
    os: os.PRETTY_NAME ?? process.platform,
    osId: os.ID ?? process.platform,
    osVersion: os.VERSION_ID ?? '',
    codename: os.VERSION_CODENAME ?? '',
    kernel: release(),
    architecture: arch(),
    agentVersion: AGENT_VERSION,
    nodeVersion: process.version,
    timeZone: localZone(),
    virtualization: virtualization.stdout.trim() || 'unknown',
    cpus: cpus().length,
    memoryBytes: totalmem(),
    freeMemoryBytes: freemem(),
    uptimeSeconds: Math.round(uptime()),
    addresses: Object.values(networkInterfaces())
      .flatMap((list) => list ?? [])
      .filter((entry) => !entry.internal)
      .map((entry) => entry.address)
      .slice(0, 50),
    disks: readDisks(),
    root: process.getuid?.() === 0,
  };
}

/** os-release(5): `KEY=value`, the value perhaps quoted. */
export function parseOsRelease(text: string): Record<string, string> {
  const pairs = text.split('\n').flatMap((line): [string, string][] => {
    const match = /^([A-Z][A-Z0-9_]*)=(.*)$/.exec(line.trim());
    if (match?.[1] === undefined || match[2] === undefined) return [];
    return [[match[1], match[2].replace(/^(["'])(.*)\1$/, '$2').slice(0, 200)]];
  });
  return Object.fromEntries(pairs);
}

/**
 * IANA name of the host's zone, whatever TZ our own environment has. /etc/localtime is what counts (a link into the zone
 * database); Debian's /etc/timezone only repeats it. `Intl` would tell, too, but costs 4 MB of an idle agent.
 */
export function localZone(): string {
  const linked = /\/zoneinfo\/(?:posix\/|right\/)?([A-Za-z0-9_+/-]{1,64})$/.exec(linkOr('/etc/localtime'))?.[1];
  const named = readOr('/etc/timezone').trim();
  return linked ?? (/^[A-Za-z0-9_+/-]{1,64}$/.test(named) ? named : 'UTC');
}

function readDisks(): { path: string; bytes: number; freeBytes: number }[] {
  return ['/', '/var', '/boot'].flatMap((path) => {
    try {
      const { blocks, bavail, bsize } = statfsSync(path);
      return [{ path, bytes: blocks * bsize, freeBytes: bavail * bsize }];
    } catch {
      return [];
    }
  });
}

function linkOr(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return '';
  }
}
