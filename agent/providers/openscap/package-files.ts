/** The files of what rules' fixes bring and take away, all on this host before anything is begun. */
import { existsSync, linkSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { sha256Hex } from '../../../domain/content/canonical.js';
import type { LocalLimits } from '../../limits/limits.js';
import type { startRun } from '../../system/detached-run.js';
import { spaceObjection } from '../../system/mounts.js';
import { type Run, tail } from '../../system/run.js';
import { aptFetch, aptFetchInstalled, aptUpdate, workFolders } from '../apt/commands.js';
import { debFields } from '../apt/deb-fields.js';
import type { SimulatedInstall } from '../apt/parse.js';
import type { PackageChange, Provider, Transaction } from '../provider.js';

export interface PackageDeps {
  readonly run: Run;
  /** The host's package manager. */
  readonly apt: Provider;
  readonly limits: () => LocalLimits;
  /** How a run that outlives us is started; default: as a process of its own. */
  readonly start?: typeof startRun;
}

export interface PlannedInstall extends PackageChange {
  /** Its configuration was there already, from an earlier time, and stays. */
  readonly leftovers: boolean;
}

export interface PlannedRemoval {
  readonly name: string;
  readonly arch: string;
  readonly version: string;
  /** The package's own file, to install it again. */
  readonly file: string;
  /** It came as a dependency of others. */
  readonly automatic: boolean;
}

export const FETCH_TIMEOUT_MS = 30 * 60_000;

/** How a package file is found among those that were fetched. */
export const fileKey = (name: string, version: string): string => `${name}=${version}`;

export type Fetched =
  | {
      readonly ok: true;
      readonly installs: readonly PlannedInstall[];
      /** SHA-256 by {@link fileKey}. */
      readonly digests: ReadonlyMap<string, string>;
    }
  | { readonly ok: false; readonly reason: string };

/** @throws Error when something could not be fetched: perhaps it can be, later */
export async function fetchInstalls(
  deps: PackageDeps,
  args: {
    readonly tx: Transaction;
    readonly installs: readonly SimulatedInstall[];
    readonly bytesPerSecond: number | null;
  },
): Promise<Fetched> {
  const specs = args.installs.map(({ name, to }) => fileKey(name, to));
  takeEarlier(args.tx, 'archives');
  await fetchOr(deps, aptFetch({ ...args, specs }), {});
  const { archives } = workFolders(args.tx);
  const files = new Map<string, PlannedInstall>();
  for (const name of readdirSync(archives).filter((entry) => entry.endsWith('.deb'))) {
    const file = join(archives, name);
    const fields = await debFields(deps.run, file);
    if (fields !== null)
      files.set(fileKey(fields.name, fields.version), {
        ...fields,
        from: null,
        to: fields.version,
        file,
        previousFile: null,
        leftovers: await hasLeftovers(deps.run, fields.name),
      });
  }
  const missing = specs.find((spec) => !files.has(spec));
  if (missing !== undefined) return { ok: false, reason: `apt did not fetch ${missing}` };
  const installs = specs.flatMap((spec) => files.get(spec) ?? []);
  const room = spaceObjection((await deps.apt.footprint?.({ ...args.tx, changes: installs }, 'forward')) ?? []);
  if (room !== null) return { ok: false, reason: room };
  const digests = new Map(installs.map(({ name, to, file }) => [fileKey(name, to), sha256Hex(readFileSync(file))]));
  return { ok: true, installs, digests };
}

/** The installed version's own file, to install it again. */
export async function keepRemoved(
  deps: PackageDeps,
  args: { readonly tx: Transaction; readonly name: string; readonly bytesPerSecond: number | null },
): Promise<{ readonly ok: true; readonly removal: PlannedRemoval } | { readonly ok: false; readonly reason: string }> {
  const { tx, name } = args;
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query fills this in
  const shown = await deps.run(['dpkg-query', '-W', '-f', '${Version} ${Architecture}\\n', name]);
  const [version, arch] = shown.stdout.split('\n')[0]?.split(' ') ?? [];
  if (shown.code !== 0 || version === undefined || arch === undefined || arch === '')
    return { ok: false, reason: `can not tell which ${name} is installed` };
  const dir = join(tx.dir, `kept-${name}`);
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  takeEarlier(tx, `kept-${name}`);
  let file = await keptFile(deps.run, { dir, name, version });
  file ??= await deps.apt.findOldFile({ name, arch, version }, dir);
  if (file === null) {
    const spec = `${name}:${arch}=${version}`.replace(':all=', '=');
    await deps.run(aptFetchInstalled({ ...args, spec }), { cwd: dir, timeoutMs: FETCH_TIMEOUT_MS });
    file = await keptFile(deps.run, { dir, name, version });
    if (file === null) {
      return {
        ok: false,
        reason: `${name} ${version} could not be put back: neither apt's cache nor the configured repositories have its file`,
      };
    }
  }
  const automatic = (await deps.run(['apt-mark', 'showauto', name])).stdout.trim() !== '';
  return { ok: true, removal: { name, arch, version, file, automatic } };
}

async function keptFile(
  run: Run,
  args: { readonly dir: string; readonly name: string; readonly version: string },
): Promise<string | null> {
  for (const entry of readdirSync(args.dir).filter((one) => one.endsWith('.deb'))) {
    const fields = await debFields(run, join(args.dir, entry));
    if (fields?.name === args.name && fields.version === args.version) return join(args.dir, entry);
  }
  return null;
}

/** What an earlier order fetched for the same (one that only stages) is not fetched again, and not in other hours than those for staging. */
function takeEarlier(tx: Transaction, folder: string): void {
  const orders = dirname(dirname(tx.dir));
  const into = join(tx.dir, folder);
  for (const order of readdirSync(orders)) {
    const from = join(orders, order, basename(tx.dir), folder);
    if (from === into || !existsSync(from)) continue;
    for (const name of readdirSync(from).filter((one) => one.endsWith('.deb')))
      if (!existsSync(join(into, name))) linkSync(join(from, name), join(into, name));
  }
}

/** @throws Error when apt can't fetch it; the indexes have been fetched anew then, for the next try */
async function fetchOr(deps: PackageDeps, argv: readonly string[], options: { readonly cwd?: string }): Promise<void> {
  const result = await deps.run(argv, { ...options, timeoutMs: FETCH_TIMEOUT_MS });
  if (result.code === 0) return;
  await deps.run(aptUpdate(), { timeoutMs: FETCH_TIMEOUT_MS });
  throw new Error(`apt could not fetch what the fixes install: ${aptWords(result.stderr || result.stdout)}`);
}

async function hasLeftovers(run: Run, name: string): Promise<boolean> {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query fills this in
  const shown = await run(['dpkg-query', '-W', '-f', '${db:Status-Status}\\n', name]);
  return shown.code === 0 && shown.stdout.includes('config-files');
}

/** apt's errors without its talk. */
export function aptWords(text: string): string {
  const errors = text.split('\n').filter((line) => /^(?:E|Err|Failed)/.test(line));
  return tail((errors.length > 0 ? errors : text.split('\n')).join(' '), 400);
}
