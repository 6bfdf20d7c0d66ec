// Debian 12's own security baseline, for tests: bookworm's package has none for bookworm, the next release's has.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { labCacheDir } from './base.js';
import { withLock } from './lock.js';
import { mustRun } from './process.js';
import { archiveKeyring, LabUnavailable } from './requirements.js';
import { hostUpstreams } from './sources.js';

/** The release whose `ssg-debian` has content for the hosts' release. */
const RELEASE = 'trixie';
const PACKAGE = 'ssg-debian';
const CONTENT = 'usr/share/xml/scap/ssg/content/ssg-debian12-ds.xml';

/**
 * Path of the SCAP data stream, fetched once by this machine's own apt (signed indexes, as ever) and only unpacked.
 * @throws LabUnavailable when this machine's mirror does not have it
 */
export async function scapDataStream(): Promise<string> {
  const dir = join(labCacheDir(), 'scap-content');
  const file = join(dir, CONTENT);
  if (existsSync(file)) return file;
  return withLock(join(labCacheDir(), '.scap-lock'), async () => {
    if (existsSync(file)) return file;
    const work = mkdtempSync(join(labCacheDir(), '.unfinished-'));
    try {
      const mirror = (await hostUpstreams()).get('debian');
      for (const name of ['lists/partial', 'archives/partial', 'root'])
        mkdirSync(join(work, name), { recursive: true });
      writeFileSync(join(work, 'sources'), `deb [signed-by=${archiveKeyring}] ${mirror} ${RELEASE} main\n`);
      const options = [
        `Dir::Etc::SourceList=${join(work, 'sources')}`,
        'Dir::Etc::SourceParts=/dev/null',
        `Dir::State::Lists=${join(work, 'lists')}`,
        `Dir::Cache=${work}`,
        'APT::Sandbox::User=root',
        'Acquire::Languages=none',
        'APT::Update::Error-Mode=any',
      ].flatMap((option) => ['-o', option]);
      await mustRun(['apt-get', '-qq', ...options, 'update'], { cwd: work, timeoutMs: 180_000 });
      await mustRun(['apt-get', '-qq', ...options, 'download', PACKAGE], { cwd: work, timeoutMs: 180_000 });
      const deb = readdirSync(work).find((name) => name.startsWith(`${PACKAGE}_`) && name.endsWith('.deb'));
      if (deb === undefined) throw new LabUnavailable(`apt has no ${PACKAGE} in ${RELEASE}`);
      await mustRun(['dpkg-deb', '-x', join(work, deb), join(work, 'root')]);
      rmSync(dir, { recursive: true, force: true });
      renameSync(join(work, 'root'), dir);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
    return file;
  });
}
