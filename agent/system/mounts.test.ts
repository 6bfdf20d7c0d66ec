import { describe, expect, test } from '@jest/globals';
import { type MountSpace, mountOf, parseMounts, SPACE_MARGIN, spaceObjection } from './mounts.js';

const GB = 1024 ** 3;
const space = (free: Record<string, number>, over: Partial<MountSpace> = {}): MountSpace => ({
  mounts: () => Object.keys(free),
  freeBytes: (mount) => free[mount] ?? 0,
  real: (path) => path,
  filesystem: (mount) => mount,
  ...over,
});

describe('mount points', () => {
  test('are read as the kernel writes them', () => {
    const text = `22 1 8:1 / / rw - ext4 /dev/sda1 rw\n23 22 8:2 / /srv/a\\040b rw - ext4 /dev/sda2 rw\n`;
    expect(parseMounts(text)).toEqual(['/', '/srv/a b']);
  });

  test.each([
    ['/usr/bin/x', '/usr'],
    ['/usrlocal/x', '/'],
    ['/var/lib/dpkg/info/x', '/var/lib'],
    ['/var', '/var'],
  ])('%s is on %s', (path, mount) => {
    expect(mountOf(path, ['/var/lib', '/usr', '/var', '/'])).toBe(mount);
  });
});

describe('space', () => {
  const kernel = [
    { path: '/boot/vmlinuz-6', bytes: 10_000_000 },
    { path: '/boot/initrd.img-6', bytes: 50_000_000 },
    { path: '/usr/lib/modules/6/a.ko', bytes: 400_000_000 },
    { path: '/var/lib/dpkg/status', bytes: 20_000_000 },
  ];

  test('is asked of each filesystem, and the one that lacks it is named with what it needs and has', () => {
    const all = { '/': GB, '/boot': GB, '/usr': GB, '/var': GB };
    expect(spaceObjection(kernel, space(all))).toBeNull();
    const need = 60_000_000 + SPACE_MARGIN;
    expect(spaceObjection(kernel, space({ ...all, '/boot': need }))).toBeNull();
    expect(spaceObjection(kernel, space({ ...all, '/boot': need - 1 }))).toBe(
      `not enough disk space on /boot: ${need} bytes (122 MB) needed, ${need - 1} bytes (122 MB) free`,
    );
    expect(spaceObjection(kernel, space({ ...all, '/usr': 100 }))).toMatch(
      /^not enough disk space on \/usr: 467108864 bytes/,
    );
    expect(spaceObjection(kernel, space({ ...all, '/var': 100 }))).toMatch(/^not enough disk space on \/var: /);
    // Nothing is written to it.
    expect(spaceObjection(kernel, space({ ...all, '/': 0 }))).toBeNull();
  });

  test('one filesystem mounted twice has its space once', () => {
    const shared = space({ '/': GB, '/usr': GB, '/boot': GB, '/var': GB }, { filesystem: () => 'one' });
    const total = 480_000_000 + SPACE_MARGIN;
    expect(spaceObjection(kernel, { ...shared, freeBytes: () => total })).toBeNull();
    expect(spaceObjection(kernel, { ...shared, freeBytes: () => total - 1 })).not.toBeNull();
  });

  test('folders that are links count where they lead', () => {
    const linked = space({ '/': 0, '/usr': GB }, { real: (path) => (path.startsWith('/lib') ? `/usr${path}` : path) });
    expect(spaceObjection([{ path: '/lib/x.so', bytes: 1_000 }], linked)).toBeNull();
  });

  test('this very host can be asked', () => {
    expect(spaceObjection([{ path: '/usr/share/not-there/yet/x', bytes: 1 }])).toBeNull();
    expect(spaceObjection([{ path: '/usr/share/not-there/yet/x', bytes: 1e18 }])).toMatch(
      /^not enough disk space on \//,
    );
  });
});
