/**
 * The packages of a simulated fleet: what is installed where, and what its repository offers. Hosts of one role and patch
 * level are alike, as in real fleets, so that thousands of them share a handful of update sets.
 */

export interface SimulatedPackage {
  readonly name: string;
  readonly base: string;
  /** What the repository offers; null: nothing newer. */
  readonly offered: string | null;
  readonly cves: readonly string[];
}

export const ARCHITECTURE = 'amd64';
export const ROLES = ['web', 'db', 'app', 'mail', 'desk'] as const;
export type Role = (typeof ROLES)[number];
/** Hosts of level n have the first n of their updates already. */
const LEVELS = 3;

const pkg = (name: string, base: string, offered: string | null, cves: readonly string[] = []): SimulatedPackage => ({
  name: `sim-${name}`,
  base,
  offered,
  cves,
});

/** On every host. */
const COMMON: readonly SimulatedPackage[] = [
  pkg('tzdata', '2026a-1', '2026b-1'),
  pkg('openssl', '3.5.1-1', '3.5.2-1', ['CVE-2026-10001', 'CVE-2026-10002']),
  pkg('libc6', '2.41-12', null),
  pkg('bash', '5.3-1', null),
  pkg('sudo', '1.9.17-1', null),
  pkg('zlib1g', '1.3.1-1', null),
];

const BY_ROLE: Readonly<Record<Role, readonly SimulatedPackage[]>> = {
  web: [pkg('nginx', '1.28.0-1', '1.28.1-1', ['CVE-2026-10003']), pkg('php-fpm', '8.4.1-1', '8.4.2-1')],
  db: [pkg('postgresql', '17.4-1', '17.5-1', ['CVE-2026-10004']), pkg('pgbouncer', '1.24-1', '1.24-2')],
  app: [pkg('nodejs', '24.1.0-1', '24.2.0-1', ['CVE-2026-10005']), pkg('redis', '8.0-1', '8.0-2')],
  mail: [pkg('postfix', '3.10-1', '3.10-2'), pkg('dovecot', '2.4.1-1', '2.4.2-1', ['CVE-2026-10006'])],
  desk: [pkg('firefox', '140.0-1', '141.0-1', ['CVE-2026-10007']), pkg('libreoffice', '25.2-1', '25.2-2')],
};

/** One of these is on each host: something that concerns a known part of the fleet, for what comes out of turn. */
export const EXTRAS: readonly SimulatedPackage[] = Array.from({ length: 20 }, (_, n) =>
  pkg(`extra-${String(n + 1).padStart(2, '0')}`, '1.0-1', '1.0-2', [`CVE-2026-${20_001 + n}`]),
);

/** Everything the repository names, in both versions. */
export const CATALOGUE: readonly SimulatedPackage[] = [...COMMON, ...ROLES.flatMap((role) => BY_ROLE[role]), ...EXTRAS];

/** What hosts of one kind have in common; shared by all of them. */
export interface Profile {
  readonly role: Role;
  readonly versions: ReadonlyMap<string, string>;
}

const profiles = new Map<string, Profile>();

/** @param args.packages how many packages it has at least; what the catalogue lacks is padding that is never updated. */
export function profileOf(args: { readonly index: number; readonly packages: number }): Profile {
  const role = ROLES[args.index % ROLES.length] as Role;
  const level = Math.floor(args.index / ROLES.length) % LEVELS;
  const extra = EXTRAS[Math.floor(args.index / (ROLES.length * LEVELS)) % EXTRAS.length] as SimulatedPackage;
  const key = `${role}/${level}/${extra.name}/${args.packages}`;
  const known = profiles.get(key);
  if (known !== undefined) return known;
  const own = [...COMMON, ...BY_ROLE[role], extra];
  const patched = own.filter((one) => one.offered !== null && one.cves.length === 0).slice(0, level);
  const versions = new Map(own.map((one) => [one.name, patched.includes(one) ? (one.offered ?? one.base) : one.base]));
  for (let n = 1; versions.size < args.packages; n++) versions.set(`sim-base-${String(n).padStart(4, '0')}`, '1.0-1');
  const profile = { role, versions };
  profiles.set(key, profile);
  return profile;
}
