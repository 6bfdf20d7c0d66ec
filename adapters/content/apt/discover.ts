import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../errors.js';
import { withoutSecrets } from './reader.js';
import type { AptRepository, KeySource } from './repository.js';
import { type AptSource, parseDeb822Sources, parseOneLineSources, type SourceProblem } from './sources.js';

/** A repository found in apt's own configuration; whoever stores it gives it an id. */
export interface DiscoveredRepository extends Omit<AptRepository, 'id'> {
  /** For people, unique among the discovered: address without secrets, suite, architecture. */
  readonly name: string;
}

export interface Discovery {
  readonly repositories: readonly DiscoveredRepository[];
  readonly problems: readonly SourceProblem[];
}

/**
 * The repositories this server itself installs from: the default configuration (design §5). What can't be used is listed as a problem; a
 * machine without apt has neither.
 */
export async function discoverRepositories(options: {
  /** Where the file system begins; `/` but in tests. */
  readonly root?: string;
  /** Debian's name of the architecture. */
  readonly architecture?: string;
}): Promise<Discovery> {
  const { root = '/', architecture = debianArchitecture(process.arch) } = options;
  const etc = join(root, 'etc/apt');
  const problems: SourceProblem[] = [];
  const sources: AptSource[] = [];
  const parts = (await namesIn(join(etc, 'sources.list.d'))).map((name) => join(etc, 'sources.list.d', name));
  for (const path of [join(etc, 'sources.list'), ...parts]) {
    const parse = path.endsWith('.list') ? parseOneLineSources : path.endsWith('.sources') ? parseDeb822Sources : null;
    if (parse === null) continue;
    const text = await textOf(path);
    if (text === null) continue;
    const found = parse(path, text);
    sources.push(...found.sources);
    problems.push(...found.problems);
  }
  const trusted = await trustedKeys(root);
  const tolerant = await checkValidUntilIsOff(etc);
  const repositories = new Map<string, DiscoveredRepository>();
  for (const source of sources) {
    if (source.architectures.length > 0 && !source.architectures.includes(architecture)) continue;
    const uri = source.uri.replaceAll('$(ARCH)', architecture);
    const suite = source.suite.replaceAll('$(ARCH)', architecture);
    const name = `${withoutSecrets(uri).replace(/\/+$/, '')} ${suite} ${architecture}`;
    const known = repositories.get(name);
    repositories.set(name, {
      name,
      uri,
      suite,
      architecture,
      components: [...new Set([...(known?.components ?? []), ...source.components])],
      keyring: known?.keyring ?? keySourceOf(source.signedBy, { root, trusted }),
      tolerateExpired: source.checkValidUntil === null ? tolerant : !source.checkValidUntil,
    });
  }
  return { repositories: [...repositories.values()], problems };
}

/** Debian's name for one of Node's architectures; those it does not know keep their own. */
export function debianArchitecture(arch: string): string {
  const names: Record<string, string> = {
    x64: 'amd64',
    ia32: 'i386',
    arm: 'armhf',
    ppc64: 'ppc64el',
    mipsel: 'mipsel',
  };
  return names[arch] ?? arch;
}

function keySourceOf(signedBy: AptSource['signedBy'], at: { root: string; trusted: readonly string[] }): KeySource {
  if (signedBy === null) return { files: at.trusted };
  if ('armored' in signedBy) return { armored: signedBy.armored };
  const { files, fingerprints } = signedBy;
  return {
    // Fingerprints alone choose among the keys that apt trusts.
    files: files.length > 0 ? files.map((file) => join(at.root, file)) : at.trusted,
    ...(fingerprints.length > 0 ? { fingerprints } : {}),
  };
}

/** What apt trusts where a source names no keys: trusted.gpg.d, and where that is empty the distribution's own keyring. */
async function trustedKeys(root: string): Promise<string[]> {
  const folder = join(root, 'etc/apt/trusted.gpg.d');
  const trusted = (await namesIn(folder)).filter((name) => /\.(gpg|asc)$/.test(name)).map((name) => join(folder, name));
  if (trusted.length > 0) return trusted;
  const keyrings = join(root, 'usr/share/keyrings');
  const own = ['debian-archive-keyring.gpg', 'ubuntu-archive-keyring.gpg'];
  return (await namesIn(keyrings)).filter((name) => own.includes(name)).map((name) => join(keyrings, name));
}

/** Whether apt itself is told to accept expired indexes, as images of a snapshot are. apt.conf(5), the one-line form. */
async function checkValidUntilIsOff(etc: string): Promise<boolean> {
  const parts = (await namesIn(join(etc, 'apt.conf.d'))).map((name) => join(etc, 'apt.conf.d', name));
  let off = false;
  for (const path of [...parts, join(etc, 'apt.conf')]) {
    for (const match of ((await textOf(path)) ?? '').matchAll(/^\s*Acquire::Check-Valid-Until\s+"?(\w+)"?\s*;/gim)) {
      off = ['false', 'no', '0', 'off', 'without', 'disable'].includes((match[1] as string).toLowerCase());
    }
  }
  return off;
}

async function namesIn(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(() => [])).sort();
}

/** Null: not there. */
async function textOf(path: string): Promise<string | null> {
  return readFile(path, 'utf8').catch((error: unknown) => {
    if ((error as { code?: unknown }).code === 'ENOENT') return null;
    throw new Error(`${path}: ${messageOf(error)}`, { cause: error });
  });
}
