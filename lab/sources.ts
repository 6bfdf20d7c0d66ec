// Where packages come from: derived from this machine's own apt configuration, so that no server is ever named here.
import { readFileSync } from 'node:fs';
import { mustRun } from './process.js';
import { LabUnavailable } from './requirements.js';

/** The release every lab host runs. */
export const release = 'bookworm';

/**
 * Neutral names the hosts know. They resolve nowhere: apt hands them to the lab's relay, which maps each first path
 * segment to the place this machine's apt uses.
 */
export const mirrorHost = 'mirror.lab.test';
export const repositoryHost = 'repo.lab.test';

/** First path segment at the relay → the URI of this machine's apt it stands for (no trailing slash). */
export type Upstreams = ReadonlyMap<string, string>;

/** The apt source lines of a lab host, in one-line format. */
export function mirrorSources(keyring: string): string {
  const line = (segment: string, suite: string) =>
    `deb [signed-by=${keyring}] http://${mirrorHost}/${segment} ${suite} main`;
  return `${[
    line('debian', release),
    line('debian-updates', `${release}-updates`),
    line('debian-security', `${release}-security`),
  ].join('\n')}\n`;
}

/**
 * Reads which servers this machine's apt takes its own release, updates and security suites from.
 * @throws LabUnavailable when apt knows no Debian archive with this machine's release in it.
 */
export async function hostUpstreams(): Promise<Upstreams> {
  const listing = await mustRun(['apt-get', 'indextargets', '--format', '$(SITE) $(RELEASE)', 'Created-By: Packages']);
  return upstreamsFrom(listing, ownCodename());
}

/**
 * Picks the three archives out of `apt-get indextargets` lines of the form "URI suite". Machines on a later release share
 * their mirror with ours, so its own suites locate it.
 */
export function upstreamsFrom(listing: string, codename: string): Upstreams {
  const first = (...suites: string[]) => {
    for (const suite of suites)
      for (const entry of listing.split('\n')) {
        const [site, name] = entry.trim().split(' ');
        if (site && name === suite) return site.replace(/\/$/, '');
      }
    return undefined;
  };
  const main = first(release, codename);
  if (main === undefined) {
    throw new LabUnavailable(
      `apt's sources list no ${release} or ${codename} suite; help: configure one, then apt-get update`,
    );
  }
  const security = first(`${release}-security`, `${codename}-security`);
  if (security === undefined) throw new LabUnavailable(`apt's sources list no ${release}-security suite`);
  const updates = first(`${release}-updates`, `${codename}-updates`) ?? main;
  return new Map([
    ['debian', main],
    ['debian-updates', updates],
    ['debian-security', security],
  ]);
}

function ownCodename(): string {
  return /^VERSION_CODENAME=(\w+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? release;
}
