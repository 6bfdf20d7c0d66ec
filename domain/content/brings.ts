/**
 * What installing a package may bring beside it: every package of the same indexes that apt could choose to satisfy what it needs, what
 * those need, and so on. Rather too many than the one that apt takes left out: each is a file that people approve by its digest. What is
 * installed on the endpoint already does not come; recommended packages are never installed.
 */
import { sha256Hex } from './canonical.js';
import { PACKAGE_NAME } from './catalogue.js';
import { parseDebVersion } from './deb-version.js';
import { hasVersion, type Relation, relationsOf } from './relations.js';
import { type ApprovedPackage, bareFile, type PackageList } from './update-set.js';

/** A package as an index has it. */
export interface IndexedPackage extends ApprovedPackage {
  /** Pre-Depends and Depends as one list. */
  readonly depends: string;
  readonly provides: string;
}

export type Brings =
  | { readonly ok: true; readonly list: PackageList; readonly text: string }
  | { readonly ok: false; readonly reason: string };

/** Files of one list: ten times what an office suite brings, and more than anybody approves. */
export const MOST_BROUGHT = 5_000;
export const MAX_LIST_BYTES = 1024 * 1024;

interface Known {
  readonly one: IndexedPackage;
  readonly needs: readonly Relation[];
}

/** Packages of a system's indexes by the names they can be asked for. */
export interface PackageIndex {
  readonly byName: ReadonlyMap<string, readonly Known[]>;
  /** By a name that they stand in for; `version` null: only for who asks for no version (Policy 7.5). */
  readonly providers: ReadonlyMap<string, readonly { readonly known: Known; readonly version: string | null }[]>;
}

export function packageIndex(packages: readonly IndexedPackage[]): PackageIndex {
  const byName = new Map<string, Known[]>();
  const providers = new Map<string, { known: Known; version: string | null }[]>();
  for (const one of packages) {
    const known = { one, needs: relationsOf(one.depends) };
    push(byName, one.name, known);
    for (const { name, version } of relationsOf(one.provides))
      push(providers, name, { known, version: version?.op === '=' ? version.text : null });
  }
  return { byName, providers };
}

/**
 * The files that installing `root` may bring beside it, in the order of their lines, each once. Other versions of it are not among them: it is
 * asked for in its own.
 */
export function broughtBy(index: PackageIndex, root: ApprovedPackage): ApprovedPackage[] {
  const first = rootsIn(index, root);
  const seen = new Set<Known>(first);
  const asked = new Set<Relation>();
  // A list that grows while it is walked: no recursion, however deep the needs are.
  const queue = [...first];
  for (const { needs } of queue) {
    for (const need of needs) {
      if (asked.has(need)) continue;
      asked.add(need);
      for (const known of satisfying(index, need)) {
        if (seen.has(known)) continue;
        seen.add(known);
        queue.push(known);
      }
    }
  }
  const lines = new Map(
    [...seen].flatMap(({ one }) => (one.name === root.name ? [] : [[packageLine(one), bareFile(one)] as const])),
  );
  return [...lines].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one);
}

/** {@link broughtBy} as a list with a digest, or why there is none. */
export function bringsOf(index: PackageIndex, root: ApprovedPackage): Brings {
  if (rootsIn(index, root).length === 0) return { ok: false, reason: 'is not in the index any more that named it' };
  const packages = broughtBy(index, root);
  if (packages.length > MOST_BROUGHT)
    return {
      ok: false,
      reason: `may bring ${packages.length} packages, and more than ${MOST_BROUGHT} are nobody's to approve`,
    };
  const text = packageListText(packages);
  const size = text.length;
  return size > MAX_LIST_BYTES
    ? { ok: false, reason: `may bring so many packages that their list is larger than ${MAX_LIST_BYTES} bytes` }
    : { ok: true, list: { sha256: sha256Hex(text), size, packages: packages.length }, text };
}

/** Names that a package may need something of, for who gathers an index piece by piece. */
export const namesNeeded = (one: Pick<IndexedPackage, 'depends'>): string[] =>
  relationsOf(one.depends).map(({ name }) => name);

const HEADER = 'ringmaster-package-list-v1';
const LINE = /^(\S{1,128}) (\S{1,512}) ([a-z0-9][a-z0-9-]{0,31}) ([0-9a-f]{64})$/;

/** One line per file, `name version architecture sha256`, after a line that says what it is. @param packages in the order of their lines */
export const packageListText = (packages: readonly ApprovedPackage[]): string =>
  [HEADER, ...packages.map(packageLine), ''].join('\n');

/** Reads a list as strictly as it is written: whoever gets it trusts its digest, not its shape. */
export function readPackageList(
  text: string,
):
  | { readonly ok: true; readonly packages: readonly ApprovedPackage[] }
  | { readonly ok: false; readonly reason: string } {
  const no = (reason: string) => ({ ok: false, reason: `the list of packages ${reason}` }) as const;
  if (text.length > MAX_LIST_BYTES) return no(`is larger than ${MAX_LIST_BYTES} bytes`);
  const [header, ...lines] = text.split('\n');
  if (header !== HEADER) return no('does not say that it is one');
  if (lines.pop() !== '') return no('has no end');
  if (lines.length > MOST_BROUGHT) return no(`has more than ${MOST_BROUGHT} lines`);
  const packages: ApprovedPackage[] = [];
  let before = '';
  for (const [at, line] of lines.entries()) {
    const [, name, version, arch, sha256] = LINE.exec(line) ?? [];
    if (name === undefined || version === undefined || arch === undefined || sha256 === undefined)
      return no(`has a line ${at + 2} that names no file`);
    if (!PACKAGE_NAME.test(name) || !parseDebVersion(version).ok)
      return no(`has a line ${at + 2} that names no package`);
    if (line <= before) return no(`is not in order at line ${at + 2}`);
    before = line;
    packages.push({ name, version, arch, sha256 });
  }
  return { ok: true, packages };
}

const rootsIn = ({ byName }: PackageIndex, root: ApprovedPackage): Known[] =>
  (byName.get(root.name) ?? []).filter(({ one }) => packageLine(one) === packageLine(root));

function satisfying({ byName, providers }: PackageIndex, need: Relation): Known[] {
  const isThere = ({ one }: Known) => need.arch === null || one.arch === need.arch || one.arch === 'all';
  const real = (byName.get(need.name) ?? []).filter((known) => isThere(known) && hasVersion(need, known.one.version));
  const virtual = (providers.get(need.name) ?? []).filter(
    ({ known, version }) => isThere(known) && (version === null ? need.version === null : hasVersion(need, version)),
  );
  return [...real, ...virtual.map(({ known }) => known)];
}

/** A file by its line on a list, which no other file has. */
export const packageLine = ({ name, version, arch, sha256 }: ApprovedPackage): string =>
  `${name} ${version} ${arch} ${sha256}`;

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
