/**
 * Can an update be undone by installing the old packages again (design §5)? A table of rules, first match wins; what no rule
 * names is reversible. An irreversible update needs a snapshot that succeeded, or a second approval.
 */
import { parseDebVersion } from './deb-version.js';
import { type PackageUpdate, updateKey } from './update-set.js';

export type Reversibility = 'reversible' | 'reversibleButData' | 'irreversible';
export interface ReversibilityVerdict {
  readonly class: Reversibility;
  /** The rule that decided. */
  readonly rule: string;
  readonly reason: string;
}

export interface InstalledPackage {
  readonly name: string;
  readonly arch: string;
  readonly version: string;
  readonly source: string;
}

export interface ClassifyInput {
  readonly updates: readonly PackageUpdate[];
  /** All that is installed on the endpoint, or at least every binary of the updated sources. */
  readonly installed: readonly InstalledPackage[];
  /** Whether the package file of the installed version is at hand for the way back. Left out: not asked. */
  readonly oldFileAvailable?: (update: PackageUpdate) => boolean;
}

interface Facts {
  readonly update: PackageUpdate;
  /** The upstream version's first, or first two, numbers differ. */
  readonly majorChanged: (parts: 1 | 2) => boolean;
  /** Binaries of the same source, installed but not moving along to the same source's update. */
  readonly leftBehind: readonly string[];
  readonly oldFileMissing: boolean;
  /** A new package whose name carries a version (postgresql-16) beside an installed sibling of the same family. */
  readonly newFamilyMember: boolean;
}

interface Rule {
  readonly id: string;
  readonly class: Reversibility;
  readonly reason: (facts: Facts) => string;
  readonly matches: (facts: Facts) => boolean;
}

const KERNEL = /^(linux-(image|modules|modules-extra|signed-image)(-.*)?|proxmox-kernel-.*|pve-kernel-.*)$/;
const BOOT = /^(grub(2|-.*)?|shim-.*|systemd-boot(-.*)?|refind|u-boot-.*|fwupd-.*-signed|fwupd-signed)$/;
/** Servers that convert their files to a new major version's form and can't read them afterwards in the old one. */
const DATABASE_ONE =
  /^(postgresql(-\d.*)?|redis(-server)?|valkey(-server)?|slapd|influxdb2?|neo4j|clickhouse-server|couchdb|etcd(-server)?|elasticsearch|opensearch)$/;
const DATABASE_TWO =
  /^(mariadb-server(-.*)?|mysql-(community-)?server(-.*)?|percona-server-server(-.*)?|mongodb(-org)?-server|cassandra)$/;
const isDatabase = (name: string): boolean => DATABASE_ONE.test(name) || DATABASE_TWO.test(name);

/** The rules, in order. Reasons are shown to approvers as they stand. */
export const REVERSIBILITY_RULES: readonly Rule[] = [
  {
    id: 'kernel',
    class: 'irreversible',
    reason: () => 'a kernel: the way back is the boot menu, not the package manager',
    matches: ({ update }) => KERNEL.test(update.name),
  },
  {
    id: 'boot-chain',
    class: 'irreversible',
    reason: () => 'boot loader: writes outside the file system, and revocations are for good',
    matches: ({ update }) => BOOT.test(update.name),
  },
  {
    id: 'database-major',
    class: 'irreversible',
    reason: ({ update }) =>
      `database engine: ${update.from ?? 'none'} → ${update.to} is a major change that converts its files`,
    matches: ({ update, majorChanged, newFamilyMember }) =>
      isDatabase(update.name) &&
      (newFamilyMember || (update.from !== null && majorChanged(DATABASE_TWO.test(update.name) ? 2 : 1))),
  },
  {
    id: 'source-split',
    class: 'irreversible',
    reason: ({ update, leftBehind }) =>
      `binaries of ${update.source} would part: ${leftBehind.slice(0, 5).join(', ')} would stay behind`,
    matches: ({ leftBehind }) => leftBehind.length > 0,
  },
  {
    id: 'old-file-missing',
    class: 'irreversible',
    reason: ({ update }) => `no verified copy of the installed version ${update.from} is at hand`,
    matches: ({ oldFileMissing }) => oldFileMissing,
  },
  {
    id: 'database-minor',
    class: 'reversibleButData',
    reason: () => 'database engine: the program goes back, what it has written meanwhile does not',
    matches: ({ update }) => update.from !== null && isDatabase(update.name),
  },
  {
    id: 'new-package',
    class: 'reversible',
    reason: () => 'a new package: it stays when the change is undone, for nothing is ever removed',
    matches: ({ update }) => update.from === null,
  },
];

/**
 * Rules of what the package manager can't take back, for whatever reason: carried out only with a snapshot or a second approval
 * (design §5).
 */
export const NO_WAY_BACK: readonly string[] = REVERSIBILITY_RULES.filter((rule) => rule.class === 'irreversible').map(
  (rule) => rule.id,
);

/** Verdict per `name:arch`. A version that does not parse counts as a major change: what can't be told is not safe. */
export function classifyUpdates(input: ClassifyInput): Map<string, ReversibilityVerdict> {
  const moving = new Set(input.updates.map(updateKey));
  const bySource = new Map<string, InstalledPackage[]>();
  for (const one of input.installed) {
    const siblings = bySource.get(one.source);
    if (siblings === undefined) bySource.set(one.source, [one]);
    else siblings.push(one);
  }
  const families = new Set(input.installed.map((one) => family(one.name)));
  return new Map(
    input.updates.map((update) => {
      const facts: Facts = {
        update,
        majorChanged: (parts) => majorOf(update.from ?? '', parts) !== majorOf(update.to, parts),
        leftBehind: leftBehind(update, bySource.get(update.source) ?? [], moving),
        oldFileMissing: update.from !== null && input.oldFileAvailable?.(update) === false,
        newFamilyMember:
          update.from === null && family(update.name) !== update.name && families.has(family(update.name)),
      };
      const rule = REVERSIBILITY_RULES.find((candidate) => candidate.matches(facts));
      const verdict: ReversibilityVerdict =
        rule === undefined
          ? { class: 'reversible', rule: 'default', reason: 'the old packages can be installed again' }
          : { class: rule.class, rule: rule.id, reason: rule.reason(facts) };
      return [updateKey(update), verdict];
    }),
  );
}

/** The worst class of several: what an approver has to agree to. */
export function worstOf(verdicts: Iterable<ReversibilityVerdict>): Reversibility {
  const order: readonly Reversibility[] = ['reversible', 'reversibleButData', 'irreversible'];
  let worst = 0;
  for (const verdict of verdicts) worst = Math.max(worst, order.indexOf(verdict.class));
  return order[worst] as Reversibility;
}

/** Siblings at the version this update leaves, which no update takes along. */
function leftBehind(
  update: PackageUpdate,
  siblings: readonly InstalledPackage[],
  moving: ReadonlySet<string>,
): string[] {
  if (update.from === null) return [];
  return siblings
    .filter((one) => one.version === update.from && !moving.has(updateKey(one)))
    .map(updateKey)
    .sort();
}

/** `postgresql-16` → `postgresql`: names that carry a major version, one package per version. */
const family = (name: string): string => name.replace(/-\d+(\.\d+)?$/, '');

function majorOf(text: string, parts: 1 | 2): string {
  const parsed = parseDebVersion(text);
  if (!parsed.ok) return `unparsable ${text}`;
  return `${parsed.version.epoch}:${parsed.version.upstream
    .split(/[.+~-]/)
    .slice(0, parts)
    .join('.')}`;
}
