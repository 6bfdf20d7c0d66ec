import { describe, expect, test } from '@jest/globals';
import { cgroupRoots } from './cgroups.js';

const line = (path: string, kind: string) => `30 20 0:26 / ${path} rw,relatime shared:4 - ${kind}`;

describe('control group hierarchies', () => {
  test.each([
    ['unified', [line('/sys/fs/cgroup', 'cgroup2 cgroup2 rw')], ['/sys/fs/cgroup']],
    [
      'hybrid',
      [
        line('/sys/fs/cgroup', 'tmpfs tmpfs rw'),
        line('/sys/fs/cgroup/cpu', 'cgroup cgroup rw,cpu'),
        line('/sys/fs/cgroup/systemd', 'cgroup cgroup rw,xattr,name=systemd'),
        line('/sys/fs/cgroup/unified', 'cgroup2 cgroup2 rw'),
      ],
      ['/sys/fs/cgroup/systemd', '/sys/fs/cgroup/unified'],
    ],
    ['none of ours', [line('/run/elsewhere', 'cgroup2 cgroup2 rw')], []],
  ])('%s', (_, lines, roots) => expect(cgroupRoots(lines.join('\n'))).toEqual(roots));
});
