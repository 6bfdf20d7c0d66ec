/**
 * What the executor needs of a package manager. One folder per provider. Every method may be called again after a crash
 * at any point and must then find out what is, rather than trust what was about to be.
 */
import type { InventoryRequest, OrderDocument } from '../../protocol/messages.js';
import type { Write } from '../system/mounts.js';

export type PackageUpdate = OrderDocument['updates'][number];
export type OldPackage = OrderDocument['previous'][number];

/** One package a transaction moves. `file` and `previousFile` are paths of files whose digest has been verified. */
export interface PackageChange {
  readonly name: string;
  readonly arch: string;
  /** Null: not installed before. */
  readonly from: string | null;
  readonly to: string;
  readonly source: string;
  readonly file: string;
  /** The file of version `from`; null when there is none, and so no way back. */
  readonly previousFile: string | null;
}

/** `forward` installs `to`; `back` puts `from` in its place again. */
export type Direction = 'forward' | 'back';

/** What one order does to the host. `dir` is the order's own folder, kept until the order is settled. */
export interface Transaction {
  readonly orderId: string;
  readonly dir: string;
  readonly changes: readonly PackageChange[];
}

export interface AlsoMoved {
  readonly name: string;
  readonly arch: string;
  readonly from: string | null;
  readonly to: string | null;
}

export interface InstalledPackage {
  readonly version: string;
  /** Properly installed: unpacked and configured. */
  readonly whole: boolean;
  /** The owner told the package manager to leave it alone. */
  readonly held: boolean;
}

/** An item of an order that this host can't do, or could not undo. Where items are {@link Provider.separable}, the others are done. */
export interface Declined {
  readonly name: string;
  readonly reason: string;
}

/** `decline`: not a contradiction to the plan, only nothing this host may do. */
export type Verdict = { readonly ok: true } | { readonly ok: false; readonly reason: string; readonly decline?: true };

/** `declined`: items to be left out; the transaction without them is what would be done. */
export type Simulated =
  | (Verdict & { readonly ok: false })
  | { readonly ok: true; readonly declined?: readonly Declined[] };

/** `notKept`: what of it would not come back, for people. */
export type SnapshotTaken =
  | { readonly ok: true; readonly notKept: readonly string[] }
  | { readonly ok: false; readonly reason: string };
export const KEPT: SnapshotTaken = { ok: true, notKept: [] };

export interface RunOutcome {
  /** The package manager or its runner died before it was done: repair, then run again. */
  readonly interrupted: boolean;
  /** The end of its output, for people. Its exit status proves nothing and is only shown. */
  readonly output: string;
  /** Why it never began, though it was to: nothing has been touched, and it may be started again as long as that is permitted. */
  readonly notBegun?: string;
  /** Why it stands still half way, where others have what it needs: run again later, it goes on with what is left. */
  readonly notYet?: string;
}

export interface RebootNeed {
  readonly required: boolean;
  readonly reasons: readonly string[];
  /** Services that still run replaced code. */
  readonly onOldCode: readonly string[];
}

/** The parts of an inventory that come from the package manager. */
export type PackageInventory = Pick<
  InventoryRequest,
  'complete' | 'incompleteReason' | 'provider' | 'indexAgeSeconds' | 'auditClean' | 'packages' | 'updates'
>;

export interface Provider {
  readonly name: string;
  /** An order's items have nothing to do with each other: each is judged by itself. Left out: all of them, or none. */
  readonly separable?: true;
  /** The same for one order, where its document says more than which packages. */
  forOrder?(doc: OrderDocument): Provider;
  /** How this provider's versions compare; null when one does not parse (fail closed). */
  compareVersions(a: string, b: string): -1 | 0 | 1 | null;
  /** What is installed of the named packages; absent: not installed. */
  installed(
    packages: readonly { readonly name: string; readonly arch: string }[],
  ): Promise<ReadonlyMap<string, InstalledPackage>>;
  /** The package database's own complaints; empty text: none. */
  audit(): Promise<string>;
  /** Whether the package manager, given only these files, would do exactly this transaction and nothing else. */
  simulate(tx: Transaction, direction: Direction): Promise<Simulated>;
  /** An old package's file from the package manager's own cache, copied into `dir`; null when it has none. */
  findOldFile(
    old: { readonly name: string; readonly arch: string; readonly version: string },
    dir: string,
  ): Promise<string | null>;
  /** Packages that move with it though the transaction does not name them; `to` null: removed. Known once it has been simulated. */
  alsoMoves?(tx: Transaction): readonly AlsoMoved[];
  /** What unpacking will write where; left out by providers that can't tell. The transaction's files are there. */
  footprint?(tx: Transaction, direction: Direction): Promise<readonly Write[]>;
  /** Keeps what `back` needs besides the old files (configuration). On disk when it returns. Where it can't, nothing is begun. */
  snapshot(tx: Transaction): Promise<SnapshotTaken>;
  /**
   * Starts the package manager so that it outlives us, or joins the run of this transaction that is there already, and
   * resolves when it has ended. A run that has ended is not repeated: its outcome is returned again, unless `again`, or it never began.
   */
  run(tx: Transaction, direction: Direction, options: { readonly again: boolean }): Promise<RunOutcome>;
  /** Who else is at work on the packages now, so that a run could not begin; null: nobody. Left out where that can't be. */
  othersAtWork?(tx: Transaction): Promise<string | null>;
  /** Whether a run of this transaction has ever begun here. */
  hasBegun(tx: Transaction, direction: Direction): Promise<boolean>;
  /** After an interruption: makes the package database whole again as far as the transaction's own files allow. */
  repair(tx: Transaction, direction: Direction): Promise<readonly string[]>;
  /** Whether the host is where the transaction wanted it: versions, whole packages, clean audit, and for `back` the configuration. */
  judge(tx: Transaction, direction: Direction): Promise<Verdict>;
  rebootNeed(tx: Transaction): Promise<RebootNeed>;
  /** `refresh`: fetch the package indexes first. */
  inventory(options: { readonly refresh: boolean }): Promise<PackageInventory>;
}

/** The key of `installed`: packages of all architectures take the place of native ones and the other way round. */
export function packageKey(p: { readonly name: string; readonly arch: string }, native: string): string {
  return `${p.name}:${p.arch === 'all' ? native : p.arch}`;
}
