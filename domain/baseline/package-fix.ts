/**
 * Fixes that do nothing but install or remove one package. The script itself is read, by a grammar that knows every line of what the
 * data streams' authors generate for it (ComplianceAsCode's templates `package_installed` and `package_removed`) and refuses every other
 * text: whoever carries the fix out by his own means must not leave anything of it out, nor guess.
 */
export interface PackageFix {
  readonly action: 'install' | 'remove';
  readonly name: string;
  /** Where it does not hold, the fix does nothing. Null: always. */
  readonly onlyIf: FixCondition | null;
}

export type FixCondition =
  | { readonly kind: 'installed'; readonly name: string }
  /** None of these files is there. */
  | { readonly kind: 'noneOf'; readonly paths: readonly string[] };

/** Debian policy §5.6.7, less names that end in `+` or `-`: apt reads those as orders of their own. */
const NAME = '[a-z0-9](?:[a-z0-9+.-]{0,126}[a-z0-9.])?';
const CONTAINER_MARKS = ['/.dockerenv', '/run/.containerenv'] as const;

const COMMAND = new RegExp(`^(?:DEBIAN_FRONTEND=noninteractive )?apt-get (install|remove) -y "(${NAME})"$`);
const IF_INSTALLED = new RegExp(
  `^if dpkg-query --show --showformat='\\$\\{db:Status-Status\\}(?:\\\\n|\\n)' '(${NAME})' 2>/dev/null \\| grep -q (?:\\^installed|'\\^installed'); then$`,
);
const IF_NO_CONTAINER = `if ${CONTAINER_MARKS.map((path) => `[ ! -f ${path} ]`).join(' && ')}; then`;
const OTHERWISE = /^else\n>&2 echo '[A-Za-z0-9 ,.]*'\nfi$|^fi$/;

/** What a fix does to a package, whatever its condition. */
export type PackageMove = Pick<PackageFix, 'action' | 'name'>;

/** {@link packageFixOf} for people: null as there, and where there is no script. */
export function packageMoveOf(script: string | null): PackageMove | null {
  const fix = script === null ? null : packageFixOf(script);
  return fix === null ? null : { action: fix.action, name: fix.name };
}

/** Null: the script is something else, or more than that. @param script as it would be run */
export function packageFixOf(script: string): PackageFix | null {
  if (script.length > 8_000) return null;
  const lines = script
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  const at = lines.findIndex((line) => COMMAND.test(line));
  const [, action, name] = COMMAND.exec(lines[at] ?? '') ?? [];
  if ((action !== 'install' && action !== 'remove') || name === undefined) return null;
  const before = lines.slice(0, at).join('\n');
  const after = lines.slice(at + 1).join('\n');
  if (before === '' && after === '') return { action, name, onlyIf: null };
  if (!OTHERWISE.test(after)) return null;
  if (before === IF_NO_CONTAINER) return { action, name, onlyIf: { kind: 'noneOf', paths: CONTAINER_MARKS } };
  const installed = IF_INSTALLED.exec(before)?.[1];
  return installed === undefined ? null : { action, name, onlyIf: { kind: 'installed', name: installed } };
}

/** Whether a script calls a package manager to change what is installed, whatever else it does. */
export function movesPackages(script: string): boolean {
  const commands = script.replace(/^\s*#.*$/gm, '');
  return (
    /\b(?:apt-get|apt|aptitude|dnf|yum|zypper|snap)\b[^\n#]*\b(?:install|reinstall|remove|purge|autoremove|upgrade|erase)\b/.test(
      commands,
    ) || /\b(?:dpkg\s+(?:-i|--install|-r|--remove|-P|--purge)|rpm\s+-[a-zA-Z]*[iUe])\b/.test(commands)
  );
}
