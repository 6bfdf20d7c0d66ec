import { expect, test } from '@jest/globals';
import { footprint, parseContents } from './footprint.js';

const LISTING = `drwxr-xr-x root/root         0 2024-01-01 00:00 ./
drwxr-xr-x root/root         0 2024-01-01 00:00 ./boot/
-rw-r--r-- root/root   8000000 2024-01-01 00:00 ./boot/vmlinuz-6.1.0
-rwxr-xr-x root/root         1 2024-01-01 00:00 ./usr/bin/with blank
lrwxrwxrwx root/root         0 2024-01-01 00:00 ./usr/bin/link -> with blank
hrw-r--r-- root/root         0 2024-01-01 00:00 ./usr/bin/hard link to ./usr/bin/with blank
`;

test('a listing becomes what is written where, in whole blocks', () => {
  expect(parseContents(LISTING).filter(({ bytes }) => bytes > 4_096)).toEqual([
    { path: '/boot/vmlinuz-6.1.0', bytes: 8_003_584 },
  ]);
  expect(parseContents(LISTING).filter(({ path }) => path.startsWith('/usr'))).toEqual([
    { path: '/usr/bin/with blank', bytes: 4_096 },
    { path: '/usr/bin/link', bytes: 0 },
    { path: '/usr/bin/hard', bytes: 0 },
  ]);
});

test('a kernel brings its first file system along, and every transaction the package database', async () => {
  const run = async () => ({ code: 0, stdout: LISTING, stderr: '', timedOut: false });
  const writes = await footprint({ run, files: ['kernel.deb'] });
  expect(writes.find(({ path }) => path === '/boot/initrd.img')?.bytes).toBeGreaterThan(0);
  expect(writes.at(-1)?.path).toBe('/var/lib/dpkg/status');
});

test('a file that can not be listed is said', async () => {
  const run = async () => ({ code: 2, stdout: '', stderr: 'not a Debian archive', timedOut: false });
  await expect(footprint({ run, files: ['x.deb'] })).rejects.toThrow(/x\.deb: not a Debian archive/);
});
