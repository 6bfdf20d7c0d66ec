/** What unpacking packages will write, read from the verified files themselves: exact, where an installed size is one sum. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Write } from '../../system/mounts.js';
import type { Run } from '../../system/run.js';
import { tail } from '../../system/run.js';

const BLOCK = 4_096;
const LISTING_BYTES = 64 * 1024 * 1024;
const DPKG = '/var/lib/dpkg';
/** Where a kernel's first one is made, and there is none to go by. */
const USUAL_INITRD = 100 * 1024 * 1024;

/** @throws Error when a file can't be listed. */
export async function footprint(args: {
  readonly run: Run;
  readonly files: readonly string[];
}): Promise<readonly Write[]> {
  const writes: Write[] = [];
  for (const file of args.files) {
    const listed = await args.run(['dpkg-deb', '--contents', file], { maxOutput: LISTING_BYTES });
    if (listed.code !== 0) throw new Error(`dpkg-deb --contents ${file}: ${tail(listed.stderr, 300)}`);
    writes.push(...parseContents(listed.stdout));
  }
  const kernels = writes.filter(({ path }) => path.startsWith('/boot/vmlinu')).length;
  // Made by the package's own script, and so in no listing.
  for (let i = 0; i < kernels; i += 1) writes.push({ path: '/boot/initrd.img', bytes: largestInitrd() });
  // dpkg writes its database anew beside the old one, and keeps that.
  writes.push({ path: join(DPKG, 'status'), bytes: 2 * sizeOf(join(DPKG, 'status')) });
  return writes;
}

/** `dpkg-deb --contents` is tar's verbose listing: mode, owner, bytes, date, time, `./path`. Rounded up to blocks. */
export function parseContents(listing: string): Write[] {
  return listing.split('\n').flatMap((line) => {
    const match = /^([-dlh])\S{9}\s+\S+\s+(\d+)\s+\S+\s+\S+\s+\.(\/.*)$/.exec(line);
    if (match === null) return [];
    const [, type, bytes, path = ''] = match;
    // A link takes no block of its own, a folder at most one.
    const size = type === '-' ? Number(bytes) : type === 'd' ? 1 : 0;
    return [{ path: path.replace(/ -> .*$| link to .*$/, ''), bytes: Math.ceil(size / BLOCK) * BLOCK }];
  });
}

function largestInitrd(): number {
  try {
    const sizes = readdirSync('/boot')
      .filter((name) => name.startsWith('initrd'))
      .map((name) => sizeOf(join('/boot', name)));
    return Math.max(...sizes, sizes.length === 0 ? USUAL_INITRD : 0);
  } catch {
    return USUAL_INITRD;
  }
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0;
  }
}
