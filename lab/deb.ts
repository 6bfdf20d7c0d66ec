// Tiny genuine Debian packages of a network service, in good and bad versions, for hosts to be patched with.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { mustRun } from './process.js';

/**
 * What is wrong with a version, if anything:
 * - `postinst-fail`: its configuration script exits 3, which leaves it half configured (dpkg's `iF`);
 * - `prerm-fail`: once installed it can be neither upgraded, downgraded nor removed;
 * - `bad-health`: installs well, but its service answers 503;
 * - `crash`: installs well, but its service exits at once;
 * - `slow`: its configuration script takes `slowSeconds`;
 * - `needs-reboot`: good, and asks for a reboot.
 */
export type DebMode = 'good' | 'postinst-fail' | 'prerm-fail' | 'bad-health' | 'crash' | 'slow' | 'needs-reboot';
export const debModes: readonly DebMode[] = [
  'good',
  'postinst-fail',
  'prerm-fail',
  'bad-health',
  'crash',
  'slow',
  'needs-reboot',
];

export type DebSpec = {
  /** Package, service and configuration folder, like `labapp`. */
  name: string;
  version: string;
  mode: DebMode;
  /** CVE ids its changelog says it fixes. */
  cves?: readonly string[];
  /** Further `Depends`, like `labdb (>= 2)`. */
  depends?: readonly string[];
  /** The source package, when several binaries come from one; its own name otherwise. */
  source?: string;
  /** For `slow`; 30 when not given. */
  slowSeconds?: number;
  /** TCP port its service answers HTTP on; `defaultPort(name)` when not given. */
  port?: number;
};

/** The port a package's service answers on: 8088 for labapp, 8089 for labdb, others by their name. */
export function defaultPort(name: string): number {
  if (name === 'labapp') return 8088;
  if (name === 'labdb') return 8089;
  return 8100 + [...name].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) % 800, 0);
}

/**
 * Builds `NAME_VERSION_all.deb` (without the version's epoch, as usual) in `dir`; returns its path and its control
 * fields in order. @throws RangeError when name or version are not ones Debian policy allows.
 */
export async function buildDeb(spec: DebSpec, dir: string): Promise<{ file: string; control: string }> {
  if (!/^[a-z0-9][a-z0-9+.-]+$/.test(spec.name)) throw new RangeError(`package name ${JSON.stringify(spec.name)}`);
  if (!/^(\d+:)?\d[A-Za-z0-9.+~-]*$/.test(spec.version))
    throw new RangeError(`version ${JSON.stringify(spec.version)}`);
  const root = mkdtempSync(join(tmpdir(), 'ringmaster-deb-'));
  try {
    const control = controlOf(spec);
    for (const [path, { content, mode }] of Object.entries(filesOf(spec, control))) {
      mkdirSync(dirname(join(root, path)), { recursive: true, mode: 0o755 });
      writeFileSync(join(root, path), content);
      chmodSync(join(root, path), mode);
    }
    chmodSync(root, 0o755);
    const file = join(dir, `${spec.name}_${spec.version.replace(/^\d+:/, '')}_all.deb`);
    await mustRun(['dpkg-deb', '--root-owner-group', '-Zgzip', '--build', root, file]);
    return { file, control };
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

function controlOf(spec: DebSpec): string {
  return [
    `Package: ${spec.name}`,
    ...(spec.source === undefined || spec.source === spec.name ? [] : [`Source: ${spec.source}`]),
    `Version: ${spec.version}`,
    'Architecture: all',
    'Maintainer: Ringmaster Lab <lab@example.invalid>',
    'Section: net',
    'Priority: optional',
    `Depends: ${['python3-minimal', ...(spec.depends ?? [])].join(', ')}`,
    `Description: a service of the lab (${spec.mode})`,
  ].join('\n');
}

type File = { content: string | Buffer; mode: number };

function filesOf(spec: DebSpec, control: string): Record<string, File> {
  const { name, version } = spec;
  const plain = (content: string | Buffer): File => ({ content, mode: 0o644 });
  const script = (content: string): File => ({ content, mode: 0o755 });
  return {
    'DEBIAN/control': plain(`${control}\n`),
    'DEBIAN/conffiles': plain(`/etc/${name}/${name}.conf\n`),
    'DEBIAN/postinst': script(postinst(spec)),
    'DEBIAN/postrm': script(
      `#!/bin/sh\nset -e\nif [ "$1" = remove ] && [ -d /run/systemd/system ]; then systemctl disable --now ${name}.service || true; systemctl daemon-reload; fi\n`,
    ),
    ...(spec.mode === 'prerm-fail'
      ? { 'DEBIAN/prerm': script('#!/bin/sh\necho "cannot leave now" >&2\nexit 4\n') }
      : {}),
    [`etc/${name}/${name}.conf`]: plain(`greeting=hello from ${version}\n`),
    [`usr/bin/${name}`]: script(service(spec)),
    [`lib/systemd/system/${name}.service`]: plain(
      `[Unit]\nDescription=${name} of the lab\n[Service]\nExecStart=/usr/bin/${name}\n[Install]\nWantedBy=multi-user.target\n`,
    ),
    [`usr/share/doc/${name}/changelog.Debian.gz`]: plain(gzipSync(changelog(spec), { level: 9 })),
  };
}

function changelog(spec: DebSpec): string {
  const changes = (spec.cves ?? []).map((cve) => `  * Fix ${cve}.`);
  return [
    `${spec.source ?? spec.name} (${spec.version}) lab; urgency=${changes.length > 0 ? 'high' : 'medium'}`,
    '',
    ...(changes.length > 0 ? changes : ['  * New version.']),
    '',
    ' -- Ringmaster Lab <lab@example.invalid>  Thu, 01 Jan 2026 00:00:00 +0000',
    '',
  ].join('\n');
}

function postinst(spec: DebSpec): string {
  const lines = ['#!/bin/sh', 'set -e', '[ "$1" = configure ] || exit 0'];
  if (spec.mode === 'postinst-fail') lines.push('echo "migration failed: schema 7" >&2', 'exit 3');
  if (spec.mode === 'slow') lines.push(`sleep ${spec.slowSeconds ?? 30}`);
  if (spec.mode === 'needs-reboot')
    lines.push('touch /run/reboot-required', `echo ${spec.name} >>/run/reboot-required.pkgs`);
  lines.push(
    'if [ -d /run/systemd/system ]; then',
    `  systemctl daemon-reload; systemctl enable --quiet ${spec.name}.service; systemctl restart ${spec.name}.service`,
    'fi',
  );
  return `${lines.join('\n')}\n`;
}

/** A whole HTTP server as small as it gets: python3-minimal has sockets, but no http module. */
function service(spec: DebSpec): string {
  if (spec.mode === 'crash') return '#!/bin/sh\necho "no such table" >&2\nexit 1\n';
  const status = spec.mode === 'bad-health' ? '503 Service Unavailable' : '200 OK';
  return `#!/usr/bin/python3
import socket
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("0.0.0.0", ${spec.port ?? defaultPort(spec.name)}))
server.listen(8)
while True:
    peer, _ = server.accept()
    try:
        peer.recv(4096)
        peer.sendall(b"HTTP/1.0 ${status}\\r\\nContent-Type: text/plain\\r\\n\\r\\n${spec.name} ${spec.version}\\n")
    except OSError:
        pass
    peer.close()
`;
}
