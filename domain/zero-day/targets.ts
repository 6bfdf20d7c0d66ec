/** From what a person asked for to what is vulnerable; an id that leads nowhere is told by name, never dropped. */
import { before, byVersion, type Target } from './target.js';

export interface AskedPackage {
  readonly name: string;
  /** Older than this is vulnerable. Left out: whatever the endpoint could replace now. */
  readonly minVersion?: string | undefined;
}

/** A version that a current index of a verified repository names. */
export interface NamedVersion {
  readonly name: string;
  readonly source: string;
  readonly version: string;
  readonly sourceVersion: string;
}

/** A source version whose changelog names the CVE. */
export interface NamedFix {
  readonly cve: string;
  readonly source: string;
  readonly version: string;
}

export interface UnknownId {
  /** In the request: `cves[0]`. */
  readonly field: string;
  readonly reason: string;
}

export interface Targets {
  readonly targets: readonly Target[];
  readonly unknown: readonly UnknownId[];
}

export function targetsOf(args: {
  readonly cves: readonly string[];
  readonly packages: readonly AskedPackage[];
  readonly fixes: readonly NamedFix[];
  readonly versions: readonly NamedVersion[];
}): Targets {
  const found = [
    ...args.cves.map((cve, i) => ofCve({ cve, field: `cves[${i}]`, ...args })),
    ...args.packages.map((asked, i) => ofPackage({ asked, field: `packages[${i}]`, versions: args.versions })),
  ];
  return { targets: found.flatMap((one) => one.targets), unknown: found.flatMap((one) => one.unknown) };
}

function ofCve(args: {
  readonly cve: string;
  readonly field: string;
  readonly fixes: readonly NamedFix[];
  readonly versions: readonly NamedVersion[];
}): Targets {
  const { cve, field } = args;
  const fixes = args.fixes.filter((fix) => fix.cve === cve);
  const sources = [...new Set(fixes.map((fix) => fix.source))].sort();
  const targets = sources.flatMap((source): Target[] => {
    const fixedIn = fixes.flatMap((fix) => (fix.source === source ? [fix.version] : [])).sort(byVersion);
    const named = args.versions.some(
      (one) => one.source === source && fixedIn.some((v) => !before(one.sourceVersion, v)),
    );
    return named ? [{ asked: cve, kind: 'source', name: source, source, fixedIn, below: fixedIn[0] ?? null }] : [];
  });
  if (targets.length > 0) return { targets, unknown: [] };
  const reason =
    sources.length === 0
      ? `no verified index names a version that fixes ${cve}; changelogs are read when content is fetched, so name the package if you know it`
      : `no verified index names a version that fixes ${cve}: it is fixed in ${fixes.map((f) => `${f.source} ${f.version}`).join(', ')}, and none of that or newer is there`;
  return { targets: [], unknown: [{ field, reason }] };
}

function ofPackage(args: {
  readonly asked: AskedPackage;
  readonly field: string;
  readonly versions: readonly NamedVersion[];
}): Targets {
  const { asked, field } = args;
  const { name, minVersion } = asked;
  const ofSource = args.versions.filter((one) => one.source === name);
  const ofName = args.versions.filter((one) => one.name === name);
  const refuse = (reason: string): Targets => ({ targets: [], unknown: [{ field, reason }] });
  if (ofSource.length === 0 && ofName.length === 0)
    return refuse(`no verified index names a package or source ${name}`);
  const kind = ofSource.length > 0 ? 'source' : 'package';
  const known = kind === 'source' ? ofSource.map((one) => one.sourceVersion) : ofName.map((one) => one.version);
  const versions = [...new Set(known)].sort(byVersion);
  if (minVersion !== undefined && versions.every((version) => before(version, minVersion))) {
    return refuse(
      `no verified index names ${name} in version ${minVersion} or newer; the newest is ${versions.at(-1)}`,
    );
  }
  const sources = kind === 'source' ? [name] : [...new Set(ofName.map((one) => one.source))].sort();
  return {
    unknown: [],
    targets: sources.map((source) => ({
      asked: name,
      kind,
      name,
      source,
      fixedIn: minVersion === undefined ? versions : [minVersion],
      // Older than anything an index still names is behind, whatever the endpoint's own index says.
      below: minVersion ?? versions[0] ?? null,
    })),
  };
}

/** What a patch cycle must include for these targets (domain/change/patch-parameters.ts). */
export function inclusionOf(args: { readonly cves: readonly string[]; readonly targets: readonly Target[] }) {
  const named = args.targets.filter((target) => !args.cves.includes(target.asked));
  const names = (kind: Target['kind']) => [...new Set(named.flatMap((t) => (t.kind === kind ? [t.name] : [])))];
  return {
    ...(args.cves.length > 0 && { cves: [...args.cves] }),
    ...(names('source').length > 0 && { sources: names('source') }),
    ...(names('package').length > 0 && { packages: names('package') }),
  };
}
