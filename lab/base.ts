// Builds the aged Debian root all hosts share as their lowest layer, once, and today's package indexes above it.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { baseRecipe, recipeHash } from './base-recipe.js';
import { withLock } from './lock.js';
import { mustRun } from './process.js';
import { type Relay, startRelay } from './relay.js';
import { requireLab } from './requirements.js';
import { hostUpstreams } from './sources.js';
import { labIds, readState } from './state.js';

export type Base = {
  /** Folders to stack, uppermost first, as overlayfs wants them: today's indexes, then the root. */
  layers: string[];
  architecture: string;
  /** Milliseconds this call spent building; 0 when everything was cached. */
  builtInMs: number;
};

/** RINGMASTER_LAB_CACHE, else `.cache/lab` in the checkout. Any file system that can be an overlay's lower layer. */
export function labCacheDir(): string {
  const dir = process.env.RINGMASTER_LAB_CACHE ?? join(checkoutRoot(), '.cache/lab');
  mkdirSync(dir, { recursive: true });
  return dir;
}

/** The folder that holds package.json, whether this runs from sources or from dist/. */
export function checkoutRoot(): string {
  let dir = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(dir, 'package.json'))) {
    if (dirname(dir) === dir) throw new Error('no package.json above the lab');
    dir = dirname(dir);
  }
  return dir;
}

/**
 * Returns the base, building what is missing: the root (below a minute) when the recipe changed, the indexes (seconds)
 * once per UTC day. Concurrent callers, in whatever process, wait for the one who builds.
 * @throws LabUnavailable when the machine lacks something; CommandFailed with the tool's own words when building fails.
 */
export async function buildBase(): Promise<Base> {
  requireLab();
  const architecture = (await mustRun(['dpkg', '--print-architecture'])).trim();
  const cache = labCacheDir();
  const hash = recipeHash(architecture);
  const root = join(cache, `root-${hash}`);
  const indexes = join(cache, `indexes-${hash}-${new Date().toISOString().slice(0, 10)}`);
  const base: Base = { layers: [indexes, root], architecture, builtInMs: 0 };
  if (existsSync(root) && existsSync(indexes)) return base;
  return withLock(join(cache, '.lock'), async () => {
    const started = Date.now();
    if (existsSync(root) && existsSync(indexes)) return base;
    const relay = await startRelay({
      address: '127.0.0.1',
      port: 0,
      cacheDir: join(cache, 'relay'),
      upstreams: await hostUpstreams(),
    });
    try {
      removeUnfinished(cache);
      if (!existsSync(root)) await buildRoot({ root, cache, relay });
      if (!existsSync(indexes)) await fetchIndexes({ root, indexes, cache, relay });
      removeOldIndexes(cache, indexes);
    } finally {
      await relay.close();
    }
    return { ...base, builtInMs: Date.now() - started };
  });
}

const unfinished = '.unfinished-';

async function buildRoot(at: { root: string; cache: string; relay: Relay }): Promise<void> {
  const staging = mkdtempSync(join(tmpdir(), 'ringmaster-lab-'));
  const target = mkdtempSync(join(at.cache, unfinished));
  const file = (name: string, content: string) => {
    writeFileSync(join(staging, name), content);
    return join(staging, name);
  };
  const preferences = file('preferences', baseRecipe.agedPreferences);
  const configuration = file('90lab', baseRecipe.aptConfiguration);
  const masks = baseRecipe.masked.map((unit) => `ln -sf /dev/null "$1/etc/systemd/system/${unit}"`).join('; ');
  try {
    await mustRun(
      [
        'mmdebstrap',
        '--quiet',
        '--variant=apt',
        '--mode=root',
        '--dpkgopt=force-unsafe-io',
        ...baseRecipe.excluded.map((path) => `--dpkgopt=path-exclude=${path}`),
        '--aptopt=Acquire::Check-Valid-Until "false"',
        `--setup-hook=upload ${preferences} /etc/apt/preferences.d/aged`,
        '--customize-hook=rm "$1/etc/apt/preferences.d/aged"; rm -f "$1/etc/machine-id" "$1/etc/hostname"',
        // mmdebstrap leaves its options in the root; a host must sync to disk unless its lab says otherwise.
        '--customize-hook=rm -f "$1/etc/dpkg/dpkg.cfg.d/99mmdebstrap" "$1/etc/apt/apt.conf.d/99mmdebstrap"',
        `--customize-hook=printf 'path-exclude=%s\\n' ${baseRecipe.excluded.map((p) => `'${p}'`).join(' ')} >"$1/etc/dpkg/dpkg.cfg.d/90lab"`,
        `--customize-hook=${masks}`,
        `--customize-hook=upload ${configuration} /etc/apt/apt.conf.d/90lab`,
        `--include=${baseRecipe.packages.join(',')}`,
        baseRecipe.release,
        target,
        '-',
      ],
      { stdin: baseRecipe.sources, env: { ...process.env, http_proxy: at.relay.url, no_proxy: '' } },
    );
    renameSync(target, at.root);
  } finally {
    rmSync(staging, { recursive: true, force: true });
    rmSync(target, { recursive: true, force: true });
  }
}

/** Runs `apt-get update` on an overlay over the root and keeps only the lists, as a layer of their own. */
async function fetchIndexes(at: { root: string; indexes: string; cache: string; relay: Relay }): Promise<void> {
  const work = mkdtempSync(join(at.cache, unfinished));
  try {
    for (const dir of ['upper', 'work', 'mounted']) mkdirSync(join(work, dir));
    const script =
      'mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/mounted" && exec chroot "$2/mounted" apt-get -qq update';
    await mustRun(['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script, 'sh', at.root, work], {
      env: { PATH: process.env.PATH, LC_ALL: 'C', http_proxy: at.relay.url },
    });
    const layer = join(work, 'layer');
    mkdirSync(join(layer, 'var/lib/apt'), { recursive: true });
    renameSync(join(work, 'upper/var/lib/apt/lists'), join(layer, 'var/lib/apt/lists'));
    renameSync(layer, at.indexes);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** What builders that were killed left; called under the lock, so nobody is using it. */
function removeUnfinished(cache: string): void {
  for (const name of readdirSync(cache))
    if (name.startsWith(unfinished)) rmSync(join(cache, name), { recursive: true, force: true });
}

/** Yesterday's indexes go, unless a lab still has them mounted. */
function removeOldIndexes(cache: string, current: string): void {
  const inUse = new Set(labIds().flatMap((id) => readState(id)?.layers ?? []));
  for (const name of readdirSync(cache).filter((entry) => entry.startsWith('indexes-'))) {
    const dir = join(cache, name);
    if (dir !== current && !inUse.has(dir)) rmSync(dir, { recursive: true, force: true });
  }
}
