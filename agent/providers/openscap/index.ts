/**
 * Rules of a security baseline as something that is put right like packages: `0-fail` is what is installed, a fix script takes it to
 * `1-pass`, and only the scanner's own word after it counts. The way back is the snapshot taken before, less what others changed since.
 */
import { copyFileSync, existsSync, linkSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { FAILS, OPENSCAP, PASSES } from '../../../domain/baseline/rule-name.js';
import { compareDebVersionTexts } from '../../../domain/content/deb-version.js';
import type { OrderDocument } from '../../../protocol/messages.js';
import { attributeAccess } from '../../system/attributes.js';
import { joinRun, latestRun, startRun, waitForNobody } from '../../system/detached-run.js';
import { readTextIfThere, writeFileDurably } from '../../system/files.js';
import { flagAccess } from '../../system/inode-flags.js';
import { type Run, tail } from '../../system/run.js';
import type { ContentCache } from '../../transport/content.js';
import { noProvider } from '../none.js';
import type { Declined, Direction, InstalledPackage, Provider, RunOutcome, Transaction, Verdict } from '../provider.js';
import { evaluate, type RuleResults } from './oscap.js';
import type { PackageDeps } from './package-files.js';
import { withLists } from './package-lists.js';
import { packageFixesOf } from './package-plan.js';
import {
  BACK,
  backObjection,
  judgePackagesBack,
  othersAtPackages,
  type PackageWork,
  packageMoves,
  packagesBack,
  packagesBackBegun,
  packagesBegun,
  preparePackages,
  readPackagePlan,
  repairPackages,
  runPackages,
} from './packages.js';
import { putRunningStateBack, type RunningState, readRunningState } from './running-state.js';
import {
  asFixesLeftThem,
  forgetWayBack,
  goBackTo,
  hasSnapshot,
  noteAfter,
  type SnapshotDeps,
  takeSnapshot,
  wayBack,
  wentBackUnderEarlierAgent,
} from './snapshot.js';
import { HOST_ROOTS, type Roots } from './tree.js';

/** Fixed text; the scripts are arguments. Each gets ten minutes, and its end is written down: it proves nothing, but tells people. */
const FIXES = 'for fix in "$@"; do echo "== $fix"; timeout -k 10 600 /bin/bash "$fix" </dev/null; echo "exit $?"; done';
const OURS = new Set(['ringmaster-agent.service']);

export interface OpenscapDeps {
  readonly run: Run;
  readonly content: Pick<ContentCache, 'ensure'>;
  /** The folder of an order. */
  readonly orderDir: (orderId: string) => string;
  /** For fixes that move packages. Null: this host has no apt. */
  readonly packages:
    | (Omit<PackageDeps, 'run'> & {
        /** What is installed is no longer what the last inventory says. */
        readonly moved: () => void;
      })
    | null;
  /** A folder of ours on the same filesystem as the orders', for snapshots of large files. */
  readonly largeDir: string;
  /** What fixes may touch; default: this host's own. */
  readonly roots?: Roots;
  readonly log: (message: string, fields?: Readonly<Record<string, unknown>>) => void;
}

/** What was put back, as it is written down once it is done. */
interface Restored {
  readonly paths: number;
  readonly foreign: readonly string[];
  /** Still not as before; left out by agents before this one. */
  readonly wrong?: readonly string[];
  readonly notes: readonly string[];
}

export function createOpenscapProvider(deps: OpenscapDeps): Provider {
  return {
    ...noProvider,
    name: OPENSCAP,
    compareVersions,
    forOrder: (doc) => (doc.baseline === undefined ? createOpenscapProvider(deps) : ofOrder(deps, doc, doc.baseline)),
  };
}

function compareVersions(a: string, b: string): -1 | 0 | 1 | null {
  const compared = compareDebVersionTexts(a, b);
  return compared.ok ? compared.order : null;
}

type Scope = NonNullable<OrderDocument['baseline']>;

function ofOrder(deps: OpenscapDeps, doc: OrderDocument, baseline: Scope): Provider {
  const { run } = deps;
  const wanted = new Map(
    doc.updates.flatMap(({ name, installs }) => (installs === undefined ? [] : [[name, installs]])),
  );
  const idOf = new Map(baseline.rules.map(({ name, id }) => [name, id]));
  const ids = (names: readonly string[]): string[] =>
    names.map((name) => {
      const id = idOf.get(name);
      if (id === undefined) throw new Error(`the order does not say which rule ${name} is`);
      return id;
    });

  /** @throws Error when the scanner gives no answer: nothing may be concluded then */
  const test = async (names: readonly string[]): Promise<ReadonlyMap<string, RuleResults[string]>> => {
    const options = { bytesPerSecond: doc.rateLimit };
    const dataStream = await deps.content.ensure(baseline.dataStream, options);
    const tailoring = baseline.tailoring === null ? null : await deps.content.ensure(baseline.tailoring, options);
    const found = await evaluate(run, {
      dataStream,
      tailoring,
      profile: baseline.profile,
      rules: ids(names),
      arf: null,
    });
    if (!found.ok) throw new Error(found.reason);
    return new Map(
      names.flatMap((name) => {
        const result = found.results[idOf.get(name) ?? ''];
        return result === undefined ? [] : [[name, result] as const];
      }),
    );
  };

  const snapshots: SnapshotDeps = {
    run,
    attributes: attributeAccess(run),
    flags: flagAccess(run),
    roots: deps.roots ?? HOST_ROOTS,
    large: deps.largeDir,
  };
  /** Of this order alone: what an earlier one put back says nothing of it. */
  const goingBack = (tx: Transaction) => join(tx.dir, 'going-back');
  const wentBack = (tx: Transaction) =>
    existsSync(goingBack(tx)) || packagesBackBegun(tx) || wentBackUnderEarlierAgent(tx.dir);
  const snapshotDir = (tx: Transaction) => join(home(tx), 'snapshot');
  const read = <T>(tx: Transaction, file: string): T | null => {
    const text = readTextIfThere(join(snapshotDir(tx), file));
    return text === null ? null : (JSON.parse(text) as T);
  };
  const write = (tx: Transaction, file: string, value: unknown) =>
    writeFileDurably(join(snapshotDir(tx), file), JSON.stringify(value));

  const packages = deps.packages === null ? null : { run, ...deps.packages };
  /** A revert takes back what the change it names has done. */
  const home = (tx: Transaction) =>
    doc.kind === 'revert' && doc.reverts !== null ? deps.orderDir(doc.reverts) : tx.dir;
  const workOf = (tx: Transaction): PackageWork => ({ home: home(tx), tx });

  const judge = async (tx: Transaction, direction: Direction): Promise<Verdict> => {
    if (direction === 'back') {
      const restored = read<Restored>(tx, 'restored.json');
      if (restored === null) return { ok: false, reason: 'nothing has been put back' };
      const { ours } = await wayBack(snapshots, { dir: snapshotDir(tx), at: tx.dir });
      const again = await asFixesLeftThem(snapshots, { dir: snapshotDir(tx), paths: ours });
      const wrong = [...(restored.wrong ?? []), ...again];
      if (wrong.length > 0) return { ok: false, reason: `not as before: ${wrong.slice(0, 10).join(', ')}` };
      return packages === null ? { ok: true } : judgePackagesBack(packages, workOf(tx));
    }
    const names = tx.changes.map((change) => change.name);
    const results = await test(names);
    const bad = names.filter((name) => results.get(name) !== 'pass' && results.get(name) !== 'fixed');
    if (bad.length === 0) return { ok: true };
    const said = readTextIfThere(join(tx.dir, 'fix-exits.txt')) ?? '';
    const list = bad.map((name) => `${name}: ${results.get(name) ?? 'no result'}`).slice(0, 10);
    return {
      ok: false,
      reason: `after the fix, the scanner says ${list.join(', ')}${said === '' ? '' : ` (${said})`}`,
    };
  };

  const runFixes = async (tx: Transaction, again: boolean): Promise<RunOutcome> => {
    // First what other fixes may configure. If it does not end as planned, they have nothing to go by, and everything goes back.
    const moved = packages === null ? null : await runPackages(packages, workOf(tx), again);
    if (moved?.interrupted === true || moved?.notBegun !== undefined) return moved;
    if (moved !== null) deps.packages?.moved();
    if (moved?.whole === false) {
      await noteAfter(snapshots, snapshotDir(tx));
      return moved;
    }
    const earlier = latestRun(tx.dir, 'forward');
    let outcome: RunOutcome;
    if (earlier !== null && !again) outcome = await joinRun(tx.dir, earlier);
    else {
      await waitForNobody(tx.dir);
      const scripts = tx.changes.filter((change) => packageFixesOf([change]).length === 0);
      const argv = ['/bin/sh', '-c', FIXES, 'ringmaster-fix', ...scripts.map((change) => linked(tx, change))];
      outcome = await startRun({ txDir: tx.dir, name: 'forward', argv });
    }
    if (!outcome.interrupted) {
      await noteAfter(snapshots, snapshotDir(tx));
      const exits = [...outcome.output.matchAll(/^exit (\d+)$/gm)].map((match) => match[1]);
      writeFileDurably(join(tx.dir, 'fix-exits.txt'), `exit status of the fixes: ${tail(exits.join(' '), 200)}`);
    }
    return moved === null ? outcome : { ...outcome, output: tail(`${moved.output}\n${outcome.output}`) };
  };
  const goBack = async (tx: Transaction): Promise<RunOutcome> => {
    // What is cut short in the middle is noticed and done again: putting back twice is putting back once.
    await waitForNobody(tx.dir);
    const begun = doc.kind !== 'revert' || wentBack(tx);
    if (begun) writeFileDurably(goingBack(tx), '');
    else forgetWayBack(tx.dir);
    const place = { dir: snapshotDir(tx), at: tx.dir };
    const { ours, foreign } = await wayBack(snapshots, place);
    const went = packages === null ? BACK : await packagesBack(packages, workOf(tx), { begun });
    if (packagesBegun(home(tx))) deps.packages?.moved();
    if (went.interrupted) return { interrupted: true, output: went.problems.join('; ') };
    if (went.lockedOut !== null) {
      const output = went.problems.join('; ');
      return begun || wentBack(tx)
        ? { interrupted: false, output, notYet: went.lockedOut }
        : { interrupted: false, output, notBegun: went.lockedOut };
    }
    writeFileDurably(goingBack(tx), '');
    const wrong = [...went.problems, ...(await goBackTo(snapshots, place))];
    const state = read<RunningState>(tx, 'running.json');
    const notes = state === null ? [] : await putRunningStateBack(run, state, OURS);
    write(tx, 'restored.json', { paths: ours.length, foreign, wrong, notes } satisfies Restored);
    const left =
      foreign.length === 0 ? [] : [`changed by others since and left alone: ${foreign.slice(0, 10).join(', ')}`];
    return { interrupted: false, output: [`${ours.length} paths put back`, ...notes, ...left].join('; ') };
  };

  return {
    name: OPENSCAP,
    compareVersions,
    separable: true,
    async installed(packages) {
      const results = await test(packages.map(({ name }) => name));
      return new Map(
        packages.flatMap(({ name, arch }): [string, InstalledPackage][] => {
          const result = results.get(name);
          if (result === undefined) return [];
          // Neither, as the scanner calls it: below what passes, and not what was planned.
          const version = result === 'pass' || result === 'fixed' ? PASSES : result === 'fail' ? FAILS : `0-${result}`;
          return [[`${name}:${arch}`, { version, whole: true, held: false }]];
        }),
      );
    },
    audit: async () => '',
    async simulate(tx, direction) {
      if (direction === 'back') {
        if (!hasSnapshot(snapshotDir(tx))) return { ok: false, reason: 'there is no snapshot to go back to' };
        const objection = packages === null ? null : await backObjection(packages, workOf(tx));
        return objection === null ? { ok: true } : { ok: false, reason: objection };
      }
      const declined: Declined[] = [];
      for (const { name, file } of tx.changes) {
        const parsed = await run(['/bin/bash', '-n', file], { timeoutMs: 10_000 });
        if (parsed.code !== 0) declined.push({ name, reason: `its fix is no script: ${tail(parsed.stderr, 200)}` });
      }
      const fixes = packageFixesOf(tx.changes, wanted);
      if (packages === null) {
        const reason = 'its fix moves a package, and this host has no apt';
        return { ok: true, declined: [...declined, ...fixes.map(({ rule }) => ({ name: rule, reason }))] };
      }
      const listed = await withLists(deps.content, { fixes, bytesPerSecond: doc.rateLimit });
      const prepared = await preparePackages(packages, workOf(tx), {
        fixes: listed.fixes,
        bytesPerSecond: doc.rateLimit,
      });
      if (!prepared.ok) return { ...prepared, decline: true };
      return { ok: true, declined: [...declined, ...listed.declined, ...(prepared.declined ?? [])] };
    },
    findOldFile: async () => null,
    async snapshot(tx) {
      const taken = await takeSnapshot(snapshots, snapshotDir(tx));
      if (taken.ok) write(tx, 'running.json', await readRunningState(run));
      return taken;
    },
    run: (tx, direction, { again }) => (direction === 'forward' ? runFixes(tx, again) : goBack(tx)),
    othersAtWork: async (tx) => (packages === null ? null : othersAtPackages(packages, workOf(tx))),
    hasBegun: async (tx, direction) =>
      direction === 'forward' ? latestRun(tx.dir, 'forward') !== null || packagesBegun(tx.dir) : wentBack(tx),
    repair: async (tx) => (packages === null ? [] : repairPackages(packages, workOf(tx))),
    alsoMoves: (tx) => packageMoves(readPackagePlan(home(tx))),
    judge,
    rebootNeed: async () => ({ required: false, reasons: [], onOldCode: [] }),
    inventory: noProvider.inventory,
  };
}

/** The verified script under the order's own folder, where a run's command line shows whose it is. */
function linked(tx: Transaction, change: Transaction['changes'][number]): string {
  const dir = join(tx.dir, 'fixes');
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  const link = join(dir, `${change.name}.sh`);
  rmSync(link, { force: true });
  try {
    linkSync(change.file, link);
  } catch {
    copyFileSync(change.file, link);
  }
  return link;
}
