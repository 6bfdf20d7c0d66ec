/** What dpkg and apt print, read strictly: a line that looks wrong is left out by name, never guessed at. Pure. */
import type { InventoryRequest } from '../../../protocol/messages.js';

export interface DpkgEntry {
  readonly name: string;
  readonly arch: string;
  readonly version: string;
  readonly want: string;
  /** `ok` or `reinstreq`: the package must be unpacked again. */
  readonly errorFlag: string;
  /** `installed`, `half-configured` (iF), `unpacked` (iU), `half-installed` (iH), `triggers-pending` … */
  readonly status: string;
  readonly source: string;
  readonly sourceVersion: string;
}

/** For `dpkg-query -W -f`. */
export const DPKG_FORMAT =
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query fills this in
  '${Package}\\t${Architecture}\\t${Version}\\t${db:Status-Want}\\t${db:Status-Eflag}\\t${db:Status-Status}\\t${source:Package}\\t${source:Version}\\n';

/** Everything with files on the disk: removed packages that left only their configuration are not installed. */
export function parseDpkgQuery(text: string): DpkgEntry[] {
  return text.split('\n').flatMap((line) => {
    const [name, arch, version, want, errorFlag, status, source, sourceVersion] = line.split('\t');
    if (name === undefined || sourceVersion === undefined || name === '' || status === undefined) return [];
    if (status === 'config-files' || status === 'not-installed') return [];
    return [
      {
        name,
        arch: arch ?? '',
        version: version ?? '',
        want: want ?? '',
        errorFlag: errorFlag ?? '',
        status,
        source: source ?? name,
        sourceVersion,
      },
    ];
  });
}

export interface SimulatedInstall {
  readonly name: string;
  /** Null: apt did not say; then it is the native one. */
  readonly arch: string | null;
  readonly from: string | null;
  readonly to: string;
}

export interface Simulation {
  readonly installs: readonly SimulatedInstall[];
  /** Names of packages it would remove. */
  readonly removes: readonly string[];
}

/**
 * `apt-get -s`: lines `Inst NAME[:ARCH] [OLD] (NEW ARCHIVE [ARCH]) [flags]` and `Remv NAME [OLD]`; everything else is talk.
 */
export function parseSimulation(text: string): Simulation {
  const installs: SimulatedInstall[] = [];
  const removes: string[] = [];
  for (const line of text.split('\n')) {
    const removed = /^(?:Remv|Purg) ([a-z0-9][a-z0-9+.-]*)/.exec(line);
    if (removed?.[1] !== undefined) removes.push(removed[1]);
    const inst =
      /^Inst ([a-z0-9][a-z0-9+.-]*)(?::([a-z0-9-]+))?(?: \[([^\]]+)\])? \((\S+)(?:[^[)]*\[([a-z0-9-]+)\])?[^)]*\)/.exec(
        line,
      );
    if (inst?.[1] === undefined || inst[4] === undefined) continue;
    installs.push({ name: inst[1], arch: inst[5] ?? inst[2] ?? null, from: inst[3] ?? null, to: inst[4] });
  }
  return { installs, removes };
}

/** How a simulation differs from what was planned, as a sentence; null when it is exactly that. */
export function simulationDifference(
  planned: readonly {
    readonly name: string;
    readonly arch: string;
    readonly from: string | null;
    readonly to: string;
  }[],
  simulation: Simulation,
  native: string,
): string | null {
  const key = (name: string, arch: string | null) => `${name}:${arch === null || arch === 'all' ? native : arch}`;
  const words = (from: string | null, to: string) => `${from ?? 'none'} to ${to}`;
  const expected = new Map(planned.map((p) => [key(p.name, p.arch), words(p.from, p.to)]));
  const found = new Map(simulation.installs.map((i) => [key(i.name, i.arch), words(i.from, i.to)]));
  const differences = [
    ...simulation.removes.map((name) => `would remove ${name}`),
    ...[...found].filter(([k]) => !expected.has(k)).map(([k, what]) => `would also move ${k} from ${what}`),
    ...[...expected].filter(([k]) => !found.has(k)).map(([k, what]) => `would not move ${k} from ${what}`),
    ...[...expected]
      .filter(([k, what]) => found.has(k) && found.get(k) !== what)
      .map(([k, what]) => `would move ${k} from ${found.get(k)}, not from ${what}`),
  ];
  if (differences.length === 0) return null;
  const more = differences.length > 8 ? `, and ${differences.length - 8} more` : '';
  return differences.slice(0, 8).join(', ') + more;
}

/**
 * `dpkg --verify`: `??5??????   /path` (content differs), `missing     /path`; a `c` marks configuration files, which
 * their owner may change. Documentation is often left out on purpose (path-exclude), so its absence is no damage.
 */
export function parseVerify(text: string): string[] {
  return text.split('\n').flatMap((line) => {
    const match = /^(missing|[?.5SMDLUGTPC]{9}) +(c )? *(\/.*?)(?: \(.*\))?$/.exec(line);
    if (match === null || match[2] !== undefined || match[3] === undefined) return [];
    const path = match[3];
    if (match[1] === 'missing')
      return /^\/usr\/share\/(doc|man|locale|info|lintian|help|gnome\/help)\//.test(path) ? [] : [path];
    return match[1]?.[2] === '5' ? [path] : [];
  });
}

export interface Needrestart {
  /** NEEDRESTART-KSTA: 1 is up to date, 2 and 3 mean a newer kernel waits for a reboot, 0 is unknown. */
  readonly kernelState: number;
  readonly services: readonly string[];
}

/** `needrestart -b`. */
export function parseNeedrestart(text: string): Needrestart {
  const state = /^NEEDRESTART-KSTA: *(\d+)/m.exec(text)?.[1];
  const services = [...text.matchAll(/^NEEDRESTART-SVC: *(\S+)/gm)].map((match) => match[1] ?? '');
  return { kernelState: Number(state ?? 0), services: services.slice(0, 200) };
}

export interface HistoryEntry {
  readonly started: string;
  readonly commandLine: string;
  readonly requestedBy: string | null;
}

/** /var/log/apt/history.log: paragraphs of `Key: value`; newest last. */
export function parseHistory(text: string): HistoryEntry[] {
  return text.split(/\n\s*\n/).flatMap((paragraph) => {
    const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(paragraph)?.[1] ?? null;
    const started = field('Start-Date');
    return started === null
      ? []
      : [
          {
            started,
            commandLine: (field('Commandline') ?? 'unknown').slice(0, 300),
            requestedBy: field('Requested-By'),
          },
        ];
  });
}

/** What fits the wire's formats; the names of what does not are returned for the record's own sake. */
export function wirePackages(entries: readonly DpkgEntry[]): {
  readonly packages: InventoryRequest['packages'];
  readonly odd: readonly string[];
} {
  const fits = (e: DpkgEntry) =>
    [e.name, e.source].every((name) => /^[a-z0-9][a-z0-9+.-]{0,127}$/.test(name)) &&
    [e.version, e.sourceVersion].every((version) => /^[A-Za-z0-9.+:~-]{1,128}$/.test(version)) &&
    /^[a-z0-9-]{1,32}$/.test(e.arch);
  return {
    packages: entries
      .filter(fits)
      .map(({ name, arch, version, source, sourceVersion }) => ({ name, arch, version, source, sourceVersion })),
    odd: entries.filter((e) => !fits(e)).map((e) => e.name.slice(0, 80)),
  };
}
