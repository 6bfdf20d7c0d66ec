/**
 * The update set: everything one endpoint gets in a change, in one form that has one digest. Endpoints with the same work
 * share it, so a plan for 100,000 endpoints stays small.
 */
import { canonicalJson, isSha256, type JsonValue, sha256Hex } from './canonical.js';
import { PACKAGE_NAME } from './catalogue.js';
import { compareDebVersions, parseDebVersion } from './deb-version.js';

/** One package's update, as it travels in an order. */
export interface PackageUpdate {
  readonly name: string;
  readonly arch: string;
  /** Null: a new package that the upgrade pulls in. */
  readonly from: string | null;
  readonly to: string;
  readonly source: string;
  /** Of the package file to install; lower-case hex. */
  readonly sha256: string;
  /** Bytes of that file. */
  readonly size: number;
  /** Of a rule whose fix installs a package: the package's file, as a verified index names it. */
  readonly installs?: PlannedPackage;
}

/** What a rule's fix installs, and which files may come with it. */
export interface PlannedPackage extends ApprovedPackage {
  /** The list of every file that it may bring beside itself (`brings.ts`). Left out by releases that froze no such list. */
  readonly brings?: PackageList;
}

/** A list of package files as it is kept and sent, by digest. */
export interface PackageList {
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
  readonly packages: number;
}

/** What a fix brings along, and nothing else under that name. */
export interface ApprovedPackage {
  readonly name: string;
  readonly version: string;
  readonly arch: string;
  readonly sha256: string;
}

const ARCHITECTURE = /^[a-z0-9][a-z0-9-]{0,31}$/;

export interface UpdateSet {
  /** Sorted by name, then architecture. */
  readonly updates: readonly PackageUpdate[];
  readonly digest: string;
}

export type UpdateSetResult = { ok: true; set: UpdateSet } | { ok: false; reason: string };

/** The set without work: what an endpoint has that is up to date, or whose updates were all triaged away. */
export const EMPTY_UPDATE_SET: UpdateSet = { updates: [], digest: digestOf([]) };

/** `name:arch`: a package of an endpoint, by which its updates are told apart. */
export const updateKey = (update: { readonly name: string; readonly arch: string }): string =>
  `${update.name}:${update.arch}`;

/**
 * Canonicalises updates into a set. Refused, naming the package: two updates of one package and architecture, a version that
 * does not parse or is not newer than `from`, and a digest or size that is none.
 */
export function updateSet(updates: readonly PackageUpdate[]): UpdateSetResult {
  const seen = new Set<string>();
  for (const update of updates) {
    const problem = problemOf(update) ?? (seen.has(updateKey(update)) ? 'is updated twice' : null);
    if (problem !== null) return { ok: false, reason: `${updateKey(update)}: ${problem}` };
    seen.add(updateKey(update));
  }
  const sorted = [...updates].sort(byKey).map(bare);
  return { ok: true, set: { updates: sorted, digest: digestOf(sorted) } };
}

/** Whether a set is what its digest says: for sets that were read back from somewhere. */
export function isGenuine(set: UpdateSet): boolean {
  const again = updateSet(set.updates);
  return again.ok && again.set.digest === set.digest;
}

/** Updates by source package: what must move, and go back, together. Sources in the order of their names. */
export function groupBySource<T extends { readonly source: string }>(updates: readonly T[]): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const source of [...new Set(updates.map((update) => update.source))].sort()) groups.set(source, []);
  for (const update of updates) groups.get(update.source)?.push(update);
  return groups;
}

function problemOf(update: PackageUpdate): string | null {
  if (!PACKAGE_NAME.test(update.name)) return 'is not a package name';
  if (!ARCHITECTURE.test(update.arch)) return 'has no architecture';
  if (!PACKAGE_NAME.test(update.source)) return `source ${JSON.stringify(update.source)} is not a package name`;
  if (!isSha256(update.sha256)) return 'sha256 is not a digest';
  if (!Number.isSafeInteger(update.size) || update.size <= 0) return 'size is not a number of bytes';
  if (update.installs !== undefined && !isPackageFile(update.installs)) return 'installs no package';
  const to = parseDebVersion(update.to);
  if (!to.ok) return `to: ${to.reason}`;
  if (update.from === null) return null;
  const from = parseDebVersion(update.from);
  if (!from.ok) return `from: ${from.reason}`;
  return compareDebVersions(from.version, to.version) < 0 ? null : `${update.to} is not newer than ${update.from}`;
}

function isPackageFile({ name, version, arch, sha256, brings }: PlannedPackage): boolean {
  if (brings !== undefined && !(isSha256(brings.sha256) && isCount(brings.size) && isCount(brings.packages)))
    return false;
  return PACKAGE_NAME.test(name) && ARCHITECTURE.test(arch) && isSha256(sha256) && parseDebVersion(version).ok;
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

/** The file alone, without what its index or plan says beside it. */
export const bareFile = ({ name, version, arch, sha256 }: ApprovedPackage): ApprovedPackage => ({
  name,
  version,
  arch,
  sha256,
});

/** Only the fields that count, so that what a caller carries along never changes a digest. */
function bare(update: PackageUpdate): PackageUpdate {
  const { name, arch, from, to, source, sha256, size, installs } = update;
  if (installs === undefined) return { name, arch, from, to, source, sha256, size };
  const { brings } = installs;
  const approved = bareFile(installs);
  if (brings === undefined) return { name, arch, from, to, source, sha256, size, installs: approved };
  const list = { sha256: brings.sha256, size: brings.size, packages: brings.packages };
  return { name, arch, from, to, source, sha256, size, installs: { ...approved, brings: list } };
}

function byKey(a: PackageUpdate, b: PackageUpdate): number {
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  return a.arch < b.arch ? -1 : a.arch > b.arch ? 1 : 0;
}

function digestOf(sorted: readonly PackageUpdate[]): string {
  return sha256Hex('ringmaster-update-set-v1\n', canonicalJson(sorted.map(asJson)));
}

/** As plain JSON, for digests and comparisons. */
export function asJson({ installs, ...rest }: PackageUpdate): JsonValue {
  if (installs === undefined) return rest;
  const { brings, ...file } = installs;
  return { ...rest, installs: brings === undefined ? file : { ...file, brings: { ...brings } } };
}
