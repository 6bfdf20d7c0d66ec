// The agent's files as a host gets them, in a folder.
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

/** Files that are the administrator's to edit: kept over upgrades (Debian Policy 10.7, rpm's noreplace). */
export const CONFIG_FILES = ['/etc/ringmaster-agent/limits.json'];
/** There from the start, so that their owner and mode are right before anybody puts something in. Mode by path. */
export const FOLDERS = {
  '/etc/ringmaster-agent': 0o755,
  '/etc/ringmaster-agent/hooks.d': 0o755,
  '/etc/ringmaster-agent/checks.d': 0o755,
  '/var/lib/ringmaster-agent': 0o711,
};

const COPYRIGHT = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: Ringmaster

Files: *
Copyright: The Ringmaster founders
License: Apache-2.0
 On Debian systems, the full text of the Apache License 2.0 is in
 /usr/share/common-licenses/Apache-2.0.

Files: usr/lib/ringmaster-agent/node
Copyright: Node.js contributors
License: Expat and others
 See the LICENSE file of Node.js, beside this file as LICENSE.node.
`;

/**
 * Writes everything below `root` and returns the files, absolute as on a host.
 * @param {{ root: string, runtime: string, runtimeLicense: string, bundle: string, version: string, date: Date,
 *   unit: string, launcher: string }} parts
 */
export function writeTree(parts) {
  const files = [];
  const put = (path, content, mode) => {
    const to = join(parts.root, path);
    mkdirSync(dirname(to), { recursive: true, mode: 0o755 });
    writeFileSync(to, content);
    chmodSync(to, mode);
    files.push(path);
  };
  const copy = (path, from, mode) => {
    const to = join(parts.root, path);
    mkdirSync(dirname(to), { recursive: true, mode: 0o755 });
    copyFileSync(from, to);
    chmodSync(to, mode);
    files.push(path);
  };
  for (const [path, mode] of Object.entries(FOLDERS)) {
    mkdirSync(join(parts.root, path), { recursive: true });
    chmodSync(join(parts.root, path), mode);
  }
  copy('/usr/lib/ringmaster-agent/node', parts.runtime, 0o755);
  copy('/usr/lib/ringmaster-agent/ringmaster-agent.mjs', parts.bundle, 0o644);
  put('/usr/lib/ringmaster-agent/launch', parts.launcher, 0o755);
  put('/usr/bin/ringmaster-agent', '#!/bin/sh\nexec /usr/lib/ringmaster-agent/launch "$@"\n', 0o755);
  put('/usr/lib/systemd/system/ringmaster-agent.service', parts.unit, 0o644);
  put('/etc/ringmaster-agent/limits.json', '{}\n', 0o644);
  put('/usr/share/doc/ringmaster-agent/copyright', COPYRIGHT, 0o644);
  put(
    '/usr/share/doc/ringmaster-agent/LICENSE.node.gz',
    gzipSync(readFileSync(parts.runtimeLicense), { level: 9 }),
    0o644,
  );
  const stamp = parts.date.toUTCString().replace('GMT', '+0000');
  const changelog = `ringmaster-agent (${parts.version}) stable; urgency=medium

  * Release ${parts.version}.

 -- Ringmaster <ringmaster@localhost>  ${stamp}
`;
  put('/usr/share/doc/ringmaster-agent/changelog.gz', gzipSync(changelog, { level: 9 }), 0o644);
  return files;
}
