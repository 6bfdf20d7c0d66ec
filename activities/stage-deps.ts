import { ApplicationFailure } from '@temporalio/common';
import type { Pool } from 'pg';
import type { WantedPackage } from '../adapters/content/apt/fetch-package.js';
import type { PackageChangelog } from '../adapters/content/changelog.js';
import type { ChangeRow } from '../db/change/load.js';
import type { Queryable } from '../db/pool.js';
import type * as StageDb from '../db/stages.js';
import type { EpochMs } from '../domain/time.js';
import type { ChangeKind, ChangeKinds, KindContext, KindTiming } from './kinds/change-kind.js';
import type { Pace } from './pace.js';
import { temporalPace } from './pace.js';

/** Where bytes come from and where they are kept; composed of the content adapters. */
export interface ContentSource {
  fetchPackage(wanted: WantedPackage): Promise<{ readonly sha256: string; readonly size: number }>;
  /** Keeps bytes that are at hand. @throws as `fetchPackage` when they are not what their digest says */
  keep(file: { readonly sha256: string; readonly what: string; readonly bytes: Uint8Array }): Promise<void>;
  /** @throws an error with code `noSpace` that names the bytes needed and available. */
  ensureSpace(bytes: number): Promise<void>;
  /** Bytes, or null when not stored. */
  size(sha256: string): Promise<number | null>;
  /** Whether a file of that size is stored; if so it counts as used now. */
  touch(content: { readonly sha256: string; readonly size: number }): Promise<boolean>;
  readChangelog(file: { readonly sha256: string; readonly name: string }): Promise<PackageChangelog>;
}

export interface StageDeps {
  readonly pool: Pool;
  readonly db: typeof StageDb;
  readonly kinds: ChangeKinds;
  readonly content: ContentSource;
  readonly clock: () => EpochMs;
  /** Brings the catalogue up to date where it is old; failures are kept with the repository, never thrown. */
  readonly refreshCatalogue?: () => Promise<unknown>;
  /** Left out: that of the running Temporal activity. */
  readonly pace?: () => Pace;
  /** The id of the workflow that carries out a change. */
  readonly changeWorkflowId: (changeId: string) => string;
}

export const paceOf = (deps: StageDeps): Pace => (deps.pace ?? temporalPace)();

/** A change with its kind, its parameters read. */
export interface LoadedChange {
  readonly change: ChangeRow;
  readonly kind: ChangeKind;
  readonly timing: KindTiming;
  context(client: Queryable): KindContext<unknown>;
}

/** @throws ApplicationFailure, not to be retried, when the change, its kind or its parameters can't be worked with. */
export async function loadForStage(deps: StageDeps, changeId: string): Promise<LoadedChange> {
  const change = await deps.db.loadChange(deps.pool, { changeId });
  if (change === null) throw hopeless('changeUnknown', `there is no change ${changeId}`);
  const kind = deps.kinds.get(change.kind);
  if (kind === undefined) {
    throw hopeless('kindUnknown', `kind: ${change.kind} is not one of ${[...deps.kinds.keys()].join(', ')}`);
  }
  const parsed = kind.parse(change.spec.parameters);
  if (!parsed.ok) {
    const problems = parsed.problems.map(({ path, reason }) => `${path}: ${reason}`).join('; ');
    throw hopeless('parametersMalformed', problems);
  }
  const now = deps.clock();
  const read = new WeakMap<readonly string[], Promise<unknown>>();
  const once: KindContext<unknown>['once'] = async <T>(about: readonly string[], look: () => Promise<T>) => {
    const known = read.get(about) ?? look();
    read.set(about, known);
    return known as Promise<T>;
  };
  return {
    change,
    kind,
    timing: kind.timing(parsed.value),
    context: (client) => ({ db: deps.db, client, changeId, parameters: parsed.value, now, once }),
  };
}

/** An error that another attempt can't mend. */
export const hopeless = (type: string, message: string): ApplicationFailure =>
  ApplicationFailure.nonRetryable(message, type);

/** An error that another attempt may well mend. */
export const again = (type: string, message: string): ApplicationFailure => ApplicationFailure.retryable(message, type);
