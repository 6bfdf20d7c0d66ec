/** What a verified index says about one package file: the only ground on which a digest is trusted (design §5). */
import { isSha256 } from './canonical.js';
import { parseDebVersion } from './deb-version.js';
import type { Stanza } from './deb822.js';
import { isSafeRelativePath } from './release.js';

/** Which stream of a distribution a package comes from. */
export type Pocket = 'release' | 'security' | 'updates' | 'proposed' | 'backports';

export interface CatalogueEntry {
  readonly repositoryId: string;
  readonly suite: string;
  readonly pocket: Pocket;
  readonly component: string;
  readonly origin: string | null;
  readonly name: string;
  readonly arch: string;
  readonly version: string;
  readonly source: string;
  readonly sourceVersion: string;
  /** Lower-case hex. */
  readonly sha256: string;
  /** Bytes of the package file. */
  readonly size: number;
  /** Path below the repository's base; checked to stay below it. */
  readonly filename: string;
  readonly section: string | null;
  readonly priority: string | null;
  readonly essential: boolean;
  readonly protected: boolean;
  /** Space needed once installed, in KiB, as the package estimates it. */
  readonly installedKiB: number | null;
  readonly summary: string | null;
  /** Pre-Depends and Depends, as one list (`relations.ts`); empty: it needs nothing. */
  readonly depends: string;
  /** Provides; empty: nothing but itself. */
  readonly provides: string;
}

/** Raised whenever more of an index is kept than before: one that was read by less is read anew, whether it changed or not. */
export const INDEX_READING = 2;

/** What all entries of one index have in common. */
export interface CatalogueContext {
  readonly repositoryId: string;
  readonly suite: string;
  readonly pocket: Pocket;
  readonly component: string;
  readonly origin: string | null;
}

export type CatalogueEntryResult = { ok: true; entry: CatalogueEntry } | { ok: false; reason: string };

/** Debian Policy 5.6.1 and 5.6.7. */
export const PACKAGE_NAME = /^[a-z0-9][a-z0-9+.-]{0,127}$/;
const ARCHITECTURE = /^[a-z0-9][a-z0-9-]{0,31}$/;
const SOURCE = /^([a-z0-9][a-z0-9+.-]{0,127})(?: \(([^() ]+)\))?$/;

/** The pocket a suite is, by the naming that Debian, Ubuntu and their derivatives share; anything else is `release`. */
export function pocketOf(suite: string, label: string | null = null): Pocket {
  const name = suite.replace(/\/+$/, '').toLowerCase();
  if (/-security$|\/updates$|-security\/updates$/.test(name) || label === 'Debian-Security') return 'security';
  if (/-proposed(-updates)?$|^proposed-updates$/.test(name)) return 'proposed';
  if (/-backports(-sloppy)?$/.test(name)) return 'backports';
  return /-updates$/.test(name) ? 'updates' : 'release';
}

/** Turns a paragraph of a Packages index into an entry; refuses it, naming the field, when one is missing or wrong. */
export function catalogueEntry(stanza: Stanza, context: CatalogueContext): CatalogueEntryResult {
  const field = (name: string): string => stanza.fields.get(name) ?? '';
  const refuse = (name: string, why: string): CatalogueEntryResult => ({
    ok: false,
    reason: `${field('package') || 'a package'} (line ${stanza.line}): ${name} ${why}`,
  });
  const name = field('package');
  if (!PACKAGE_NAME.test(name)) return refuse('Package', 'is missing or not a package name');
  const arch = field('architecture');
  if (!ARCHITECTURE.test(arch)) return refuse('Architecture', 'is missing or not an architecture');
  const version = parseDebVersion(field('version'));
  if (!version.ok) return refuse('Version', version.reason);
  const source = SOURCE.exec(field('source') || name);
  if (source === null) return refuse('Source', 'is not a source package');
  const sourceVersion = parseDebVersion(source[2] ?? field('version'));
  if (!sourceVersion.ok) return refuse('Source', sourceVersion.reason);
  const sha256 = field('sha256');
  if (!isSha256(sha256)) return refuse('SHA256', 'is missing or not a digest');
  const size = wholeNumber(field('size'));
  if (size === null || size === 0) return refuse('Size', 'is missing or not a number of bytes');
  const filename = field('filename').replace(/^\.\//, '');
  if (!isSafeRelativePath(filename)) return refuse('Filename', 'is missing or leaves the repository');
  return {
    ok: true,
    entry: {
      ...context,
      name,
      arch,
      version: version.version.text,
      source: source[1] as string,
      sourceVersion: sourceVersion.version.text,
      sha256,
      size,
      filename,
      section: field('section') || null,
      priority: field('priority') || null,
      essential: field('essential') === 'yes',
      protected: field('protected') === 'yes' || field('important') === 'yes',
      installedKiB: wholeNumber(field('installed-size')),
      summary: field('description').split('\n')[0]?.slice(0, 200) || null,
      depends: ['pre-depends', 'depends'].flatMap((name) => oneLine(field(name)) || []).join(', '),
      provides: oneLine(field('provides')),
    },
  };
}

/** A field that may be folded (Debian Policy 5.1). */
const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim();

function wholeNumber(text: string): number | null {
  const value = Number(text);
  return /^[0-9]+$/.test(text) && Number.isSafeInteger(value) ? value : null;
}
