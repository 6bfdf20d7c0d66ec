/** What planning a patch cycle looks at: inventories, the catalogue, and what changelogs said. */
import type { InstalledPackage, Pocket } from '../content/index.js';
import type { EpochMs } from '../time.js';

/** Endpoints that would make the same upgrades from the same state, and so share one decision. */
export interface WorkGroup {
  readonly endpointIds: readonly string[];
  /** Of their last complete scan: 'apt', … */
  readonly provider: string;
  /** Patterns the owners of these endpoints list as never to touch. */
  readonly neverTouch: readonly string[];
  readonly proposed: readonly {
    readonly name: string;
    readonly arch: string;
    readonly installed: string | null;
    readonly candidate: string;
  }[];
  /** Installed binaries that matter for reversibility: of the updated sources, and families like postgresql-15. */
  readonly installed: readonly InstalledPackage[];
}

/** What verified indexes say, or said, of one package version. */
export interface KnownPackage {
  readonly name: string;
  readonly arch: string;
  readonly version: string;
  readonly source: string;
  readonly sourceVersion: string;
  readonly sha256: string;
  readonly size: number;
  readonly pocket: Pocket;
  /** The origin its index claims: 'Debian', … */
  readonly vendor: string | null;
  /** When an index first named it. */
  readonly firstSeen: EpochMs;
  /** No index names it any more; it may still be good for a way back. */
  readonly withdrawn: boolean;
  /** Indexes disagree about its bytes: then nothing about it can be trusted. */
  readonly ambiguous: boolean;
  /** Why the file could not be had when it was last tried; null when that did not fail. */
  readonly refusal: string | null;
}

/** `name arch version`. */
export const packageKey = (p: { readonly name: string; readonly arch: string; readonly version: string }): string =>
  `${p.name} ${p.arch} ${p.version}`;

/** What one version of a source package fixed, by its own changelog. */
export interface SourceFix {
  readonly source: string;
  readonly version: string;
  readonly cves: readonly string[];
  readonly urgency: string | null;
  readonly releasedAt: EpochMs | null;
}
