/** Copies of a transaction's configuration files, from just before it began, to come back to when it is undone. */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { readTextIfThere, syncPath, writeFileDurably } from '../../system/files.js';
import type { Run } from '../../system/run.js';

interface SavedFile {
  readonly path: string;
  readonly sha256: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

const MAX_FILE = 10 * 1024 * 1024;
const folder = (txDir: string) => join(txDir, 'etc');
const manifest = (txDir: string) => join(txDir, 'etc', 'manifest.json');

export const hasConfigSnapshot = (txDir: string): boolean => existsSync(manifest(txDir));

/** Saves every regular file below /etc that the packages own or registered with ucf. On disk when it returns. */
export async function saveConfig(args: {
  readonly run: Run;
  readonly txDir: string;
  readonly names: readonly string[];
}): Promise<void> {
  mkdirSync(folder(args.txDir), { recursive: true, mode: 0o700 });
  const paths = new Set([...(await ownedBelowEtc(args.run, args.names)), ...ucfFiles(args.names)]);
  const saved: SavedFile[] = [];
  for (const path of paths) {
    const stat = lstatOr(path);
    if (stat === null || !stat.isFile() || stat.size > MAX_FILE) continue;
    const bytes = readFileSync(path);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    writeFileDurably(join(folder(args.txDir), sha256), bytes);
    saved.push({ path, sha256, mode: stat.mode & 0o7777, uid: stat.uid, gid: stat.gid });
  }
  writeFileDurably(manifest(args.txDir), JSON.stringify(saved));
}

/** Writes back what differs from the snapshot. Returns the paths it wrote. Nothing happens without a snapshot. */
export function restoreConfig(txDir: string): string[] {
  return readManifest(txDir).flatMap((file) => {
    if (!differs(file)) return [];
    const bytes = readFileSync(join(folder(txDir), file.sha256));
    mkdirSync(dirname(file.path), { recursive: true });
    const temporary = `${file.path}.ringmaster-new`;
    const fd = openSync(temporary, 'w', 0o600);
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    chownSync(temporary, file.uid, file.gid);
    chmodSync(temporary, file.mode);
    renameSync(temporary, file.path);
    syncPath(dirname(file.path));
    return [file.path];
  });
}

/** Paths that are not as the snapshot has them. */
export function configDifferences(txDir: string): string[] {
  return readManifest(txDir)
    .filter(differs)
    .map((file) => file.path);
}

function differs(file: SavedFile): boolean {
  const stat = lstatOr(file.path);
  if (stat === null || !stat.isFile()) return true;
  return createHash('sha256').update(readFileSync(file.path)).digest('hex') !== file.sha256;
}

function readManifest(txDir: string): SavedFile[] {
  const text = readTextIfThere(manifest(txDir));
  return text === null ? [] : (JSON.parse(text) as SavedFile[]);
}

async function ownedBelowEtc(run: Run, names: readonly string[]): Promise<string[]> {
  const listed = await run(['dpkg-query', '-L', ...names]);
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query fills this in
  const configured = await run(['dpkg-query', '-W', '-f', '${Conffiles}\\n', ...names]);
  const conffiles = [...configured.stdout.matchAll(/^ (\/\S+) [0-9a-f]{32}/gm)].map((match) => match[1] ?? '');
  return [...listed.stdout.split('\n'), ...conffiles].filter((path) => path.startsWith('/etc/'));
}

/** ucf's registry: `package path` per line. */
function ucfFiles(names: readonly string[]): string[] {
  const registry = readTextIfThere('/var/lib/ucf/registry') ?? '';
  return registry.split('\n').flatMap((line) => {
    const [name = '', path = ''] = line.trim().split(/\s+/);
    return names.includes(name) && path.startsWith('/etc/') ? [path] : [];
  });
}

function lstatOr(path: string) {
  try {
    return lstatSync(path);
  } catch {
    return null;
  }
}
