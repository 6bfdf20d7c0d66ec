// What the hosts' common root is made of. The cache key is a hash of this and nothing else: change it, and it is rebuilt.
import { createHash } from 'node:crypto';
import { archiveKeyring } from './requirements.js';
import { mirrorSources, release } from './sources.js';

/** How apt and dpkg behave in every host. Error-Mode "any": an update that reached no server must not look like success. */
const aptConfiguration = `Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
Acquire::http::Timeout "10";
APT::Install-Recommends "false";
APT::Update::Error-Mode "any";
DPkg::Lock::Timeout "60";
Dpkg::Options {"--force-confdef";"--force-confold";};
`;

/**
 * Which archive each package is taken from while the root is made. The updates and security archives keep a version
 * between two point releases, so pinning to them, and to the release for the rest, gives a host that missed months of
 * genuine updates although every package is a real one of today's archive.
 */
const agedPreferences = [
  {
    packages: 'openssl libssl3 openssh-server openssh-client openssh-sftp-server',
    archive: `${release}-updates`,
    priority: 1001,
  },
  { packages: 'libc6 libc-bin curl libcurl4 sudo libxml2', archive: `${release}-security`, priority: 1001 },
  { packages: '*', archive: release, priority: 900 },
  { packages: '*', archive: `${release}-security`, priority: 100 },
  { packages: '*', archive: `${release}-updates`, priority: 100 },
]
  .map((p) => `Package: ${p.packages}\nPin: release n=${p.archive}\nPin-Priority: ${p.priority}\n`)
  .join('\n');

export const baseRecipe = {
  release,
  sources: mirrorSources(archiveKeyring),
  aptConfiguration,
  agedPreferences,
  packages: [
    'ca-certificates',
    'cron',
    'curl',
    'dbus',
    'debian-goodies',
    'gnupg',
    'iproute2',
    'mount',
    'needrestart',
    'openssh-server',
    'openssl',
    'procps',
    'python3-minimal',
    'sudo',
    'systemd-sysv',
    'tzdata',
  ],
  /** Nothing reads documentation in the hosts; without it the root is a third smaller. */
  excluded: ['/usr/share/doc/*', '/usr/share/man/*', '/usr/share/locale/*'],
  /** Units that would take apt's lock or the console's time at their own hour. */
  masked: [
    'apt-daily.timer',
    'apt-daily-upgrade.timer',
    'apt-daily.service',
    'apt-daily-upgrade.service',
    'console-getty.service',
    'e2scrub_all.timer',
    'e2scrub_reap.service',
    'fstrim.timer',
  ],
} as const;

/** Identifies the base made by this recipe, on this architecture. */
export function recipeHash(architecture: string): string {
  return createHash('sha256')
    .update(JSON.stringify([baseRecipe, architecture]))
    .digest('hex')
    .slice(0, 16);
}
