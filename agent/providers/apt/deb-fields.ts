import type { Run } from '../../system/run.js';

export interface DebFields {
  readonly name: string;
  readonly version: string;
  readonly arch: string;
  readonly source: string;
}

/** What a package's file says it is; null when it can't be read. */
export async function debFields(run: Run, file: string): Promise<DebFields | null> {
  const shown = await run(['dpkg-deb', '-f', file, 'Package', 'Version', 'Architecture', 'Source']);
  const field = (name: string) => new RegExp(`^${name}: (\\S+)`, 'm').exec(shown.stdout)?.[1];
  const [name, version, arch] = [field('Package'), field('Version'), field('Architecture')];
  if (shown.code !== 0 || name === undefined || version === undefined || arch === undefined) return null;
  return { name, version, arch, source: field('Source') ?? name };
}
