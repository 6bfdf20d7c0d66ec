import type { FileLocation } from '../db/catalogue/lookup.js';
import type { KindPlan } from './kinds/change-kind.js';
import type { Pace } from './pace.js';
import { whileBeating } from './pace.js';
import type { LoadedChange, StageDeps } from './stage-deps.js';
import { again, loadForStage, paceOf } from './stage-deps.js';
import type { Survey } from './survey.js';
import { survey } from './survey.js';

interface WantedFile {
  readonly sha256: string;
  readonly size: number;
  readonly what: string;
}

/** Codes that say nothing about the file, only that it can't be asked for just now. */
const WAITING = new Set(['unreachable', 'timedOut', 'noSpace', 'storeUnusable']);
/** A mirror in the middle of an update answers with yesterday's bytes; so one more look, a little later. */
const LOOKS = 3;
const PAUSE_MS = 2_000;
const AT_ONCE = 4;

/**
 * Fetches each file the change would need into the content store, once, and those needed for the way back; then reads
 * what the content says of itself. A file that can't be had, or whose digest differs, is refused and on record: the plan
 * then defers what needs it, or calls an update irreversible. Called again it fetches only what is missing.
 * @throws ApplicationFailure `noSpace`, `unreachable`, …: to be tried again; what was fetched stays.
 */
export async function obtainContent(
  deps: StageDeps,
  { changeId }: { readonly changeId: string },
): Promise<{ files: number; bytes: number }> {
  const loaded = await loadForStage(deps, changeId);
  const seen = await whileBeating(paceOf(deps), 'planning', () => survey(deps, loaded, deps.pool));
  const files = await obtainFor(deps, loaded, seen);
  return { files: files.length, bytes: files.reduce((sum, file) => sum + file.size, 0) };
}

/** {@link obtainContent} for these endpoints. @returns the files the change needs */
export async function obtainFor(deps: StageDeps, loaded: LoadedChange, seen: Survey): Promise<readonly WantedFile[]> {
  const { db, pool } = deps;
  const pace = paceOf(deps);
  // What was refused before gets another chance: the mirror may have been mended since.
  await db.forgetRefusals(pool);
  const context = loaded.context(pool);
  const plan = await whileBeating(pace, 'planning', () => loaded.kind.plan(context, seen.ids));
  await db.keepPackageLists(pool, plan.lists ?? [], deps.clock());
  const files = filesOf(plan);
  const missing = await makeOwn(deps, loaded, await missingFiles(deps, files));
  await deps.content
    .ensureSpace(missing.reduce((sum, file) => sum + file.size, 0))
    .catch((error: unknown) => Promise.reject(again(codeOf(error) ?? 'noSpace', messageOf(error))));
  await whileBeating(pace, 'fetching', () => fetchAll(deps, pace, missing));
  await whileBeating(pace, 'reading changelogs', () =>
    loaded.kind.study(context, {
      plan,
      readChangelog: async (file) => {
        if ((await deps.content.size(file.sha256)) === null) return null;
        // A package whose documentation can't be read is installed all the same.
        const found = await deps.content.readChangelog(file).catch(() => null);
        return found?.kind === 'changelog' ? found.text : null;
      },
    }),
  );
  return files;
}

function filesOf(plan: KindPlan): WantedFile[] {
  const files = new Map<string, WantedFile>();
  for (const { set, previous } of plan.works) {
    for (const { name, arch, to, sha256, size, installs } of set.updates) {
      files.set(sha256, { sha256, size, what: `${name} ${to} ${arch}` });
      const list = installs?.brings;
      if (list !== undefined) files.set(list.sha256, { ...list, what: `what ${installs?.name} may bring` });
    }
    for (const { name, arch, version, sha256, size } of previous) {
      files.set(sha256, { sha256, size, what: `${name} ${version} ${arch}` });
    }
  }
  return [...files.values()];
}

/** What is neither in the store nor only on record there. */
async function missingFiles(deps: StageDeps, files: readonly WantedFile[]): Promise<WantedFile[]> {
  const recorded = await deps.db.storedContent(
    deps.pool,
    files.map((file) => file.sha256),
  );
  const missing: WantedFile[] = [];
  for (const file of files) {
    // Used from now on: what was stored long ago and is wanted again must not be cleared away before it is in a plan.
    const there = (await deps.content.touch(file)) && recorded.has(file.sha256);
    if (!there) missing.push(file);
  }
  return missing;
}

/** Keeps what the kind makes itself. @returns what is left to be fetched */
async function makeOwn(deps: StageDeps, loaded: LoadedChange, missing: readonly WantedFile[]): Promise<WantedFile[]> {
  const digests = missing.map((file) => file.sha256);
  const made = (await loaded.kind.bytes?.(loaded.context(deps.pool), digests)) ?? new Map<string, Uint8Array>();
  const left: WantedFile[] = [];
  for (const file of missing) {
    const bytes = made.get(file.sha256);
    if (bytes === undefined) left.push(file);
    else {
      await deps.content.keep({ sha256: file.sha256, what: file.what, bytes });
      await deps.db.recordStored(deps.pool, { ...file, now: deps.clock() });
    }
  }
  return left;
}

async function fetchAll(deps: StageDeps, pace: Pace, missing: readonly WantedFile[]): Promise<void> {
  const places = await deps.db.locateFiles(
    deps.pool,
    missing.map((file) => file.sha256),
  );
  const queue = [...missing];
  let waiting: unknown = null;
  const work = async (): Promise<void> => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const trouble = await fetchOne({ deps, pace, file, places: places.get(file.sha256) ?? [] });
      waiting ??= trouble;
      pace.heartbeat({ left: queue.length });
      // Where a cancellation is noticed.
      await pace.sleep(1);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  if (waiting !== null) throw again(codeOf(waiting) ?? 'unreachable', messageOf(waiting));
}

/** Returns the error when the file may be had later; a refusal that is about the file itself is recorded. */
async function fetchOne(args: {
  readonly deps: StageDeps;
  readonly pace: Pace;
  readonly file: WantedFile;
  readonly places: readonly FileLocation[];
}): Promise<unknown> {
  const { deps, pace, file, places } = args;
  const { db, pool, clock } = deps;
  for (let look = 1; ; look++) {
    try {
      if ((await deps.content.size(file.sha256)) !== file.size) await deps.content.fetchPackage({ ...file, places });
      await db.recordStored(pool, { ...file, now: clock() });
      return null;
    } catch (error) {
      const code = codeOf(error);
      // Not one of the content adapters' errors: the database is away, or a mistake of ours. Neither is the file's fault.
      if (code === null) throw error;
      if (WAITING.has(code) || isServersTrouble(error)) return error;
      if (look === LOOKS || code === 'repositoryUnknown') {
        await db.recordRefusal(pool, { sha256: file.sha256, reason: messageOf(error), now: clock() });
        return null;
      }
      await pace.sleep(PAUSE_MS);
    }
  }
}

/** The code of a ContentError, recognised by shape: activities know the adapters' types only. */
function codeOf(error: unknown): string | null {
  return error instanceof Error && error.name === 'ContentError' && 'code' in error ? String(error.code) : null;
}

/** The server answers, but has trouble of its own (RFC 9110 15.6, RFC 6585 4): that says nothing about the file. */
function isServersTrouble(error: unknown): boolean {
  const { code, details } = error as { code?: unknown; details?: { status?: unknown } };
  const status = Number(details?.status);
  return code === 'httpStatus' && (status >= 500 || status === 429);
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
