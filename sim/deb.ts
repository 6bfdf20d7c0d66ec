/** Small genuine Debian packages, made without any of Debian's tools: an ar archive of two compressed tar files. */
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';

export interface SimulatedDeb {
  readonly name: string;
  readonly version: string;
  readonly cves: readonly string[];
}

/** Nothing in a package tells when it was made, so that it has the same digest each time. */
const EPOCH = new Date(0);

/** @returns the file, and its control fields as an index lists them. */
export async function buildDeb(deb: SimulatedDeb, architecture: string): Promise<{ bytes: Buffer; control: string }> {
  const { name, version } = deb;
  const control = [
    `Package: ${name}`,
    `Version: ${version}`,
    `Architecture: ${architecture}`,
    'Maintainer: Ringmaster Simulator <simulator@example.invalid>',
    'Section: misc',
    'Priority: optional',
    'Description: a package of simulated hosts, of no use on real ones',
  ].join('\n');
  const controlTar = await tarball({ './control': `${control}\n` });
  const dataTar = await tarball({
    [`./usr/share/doc/${name}/changelog.Debian.gz`]: gzipSync(changelog(deb), { level: 9 }),
  });
  const bytes = Buffer.concat([
    Buffer.from('!<arch>\n'),
    member('debian-binary', Buffer.from('2.0\n')),
    member('control.tar.gz', controlTar),
    member('data.tar.gz', dataTar),
  ]);
  return { bytes, control };
}

function changelog({ name, version, cves }: SimulatedDeb): string {
  return [
    `${name} (${version}) simulated; urgency=${cves.length > 0 ? 'high' : 'medium'}`,
    '',
    ...(cves.length > 0 ? cves.map((cve) => `  * Fix ${cve}.`) : ['  * New version.']),
    '',
    ' -- Ringmaster Simulator <simulator@example.invalid>  Thu, 01 Jan 2026 00:00:00 +0000',
    '',
  ].join('\n');
}

async function tarball(files: Readonly<Record<string, string | Buffer>>): Promise<Buffer> {
  const tar = pack();
  for (const [name, content] of Object.entries(files)) tar.entry({ name, mode: 0o644, mtime: EPOCH }, content);
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  return gzipSync(Buffer.concat(chunks), { level: 9 });
}

function member(name: string, content: Buffer): Buffer {
  const head = `${name.padEnd(16)}${'0'.padEnd(12)}${'0'.padEnd(6)}${'0'.padEnd(6)}${'100644'.padEnd(8)}${String(content.length).padEnd(10)}\`\n`;
  return Buffer.concat([Buffer.from(head, 'latin1'), content, Buffer.alloc(content.length % 2, '\n')]);
}
