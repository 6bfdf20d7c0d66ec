/** `accepted` → `staged`: files on this host, and a simulation that equals the plan. */
import { mkdirSync } from 'node:fs';
import type { Declined, PackageChange, Transaction } from '../providers/provider.js';
import { spaceObjection } from '../system/mounts.js';
import { ContentDiffers, type ContentFile } from '../transport/content.js';
import { isPassing } from '../transport/gateway-client.js';
import { GO, type StepDeps, type StepResult, type Wait, waitForOthers } from './context.js';
import { type ChangePlan, inWords, planChange, planRevert, type Replaced } from './plan.js';

/** Of one item that is left out; there may be hundreds. */
const MAX_REASON = 500;
const short = ({ name, reason }: Declined): Declined => ({ name, reason: reason.slice(0, MAX_REASON) });

/** What an order would do now, or the report that ends it. */
export type Prepared =
  | {
      readonly kind: 'transaction';
      readonly tx: Transaction;
      readonly notes: readonly string[];
      /** Of the order, but not of the transaction. */
      readonly declined: readonly Declined[];
    }
  | { readonly kind: 'ended' }
  | { readonly kind: 'yield' }
  | Wait;

/** Does all that `stage` means. Safe to repeat: called once for `staged`, and again right before the start. */
export async function prepare(deps: StepDeps, orderId: string): Promise<Prepared> {
  const { hold } = deps.limits();
  const { quarantine } = deps.ledger.book;
  const { kind } = deps.ledger.entry(orderId);
  const no = quarantine ?? (deps.scanOnly ? 'this endpoint only scans' : kind === 'stage' ? null : hold);
  if (no !== null) {
    deps.ledger.report(
      orderId,
      quarantine === null ? { type: 'decline', reason: no } : { type: 'refuse', reason: `quarantined: ${no}` },
    );
    return { kind: 'ended' };
  }
  try {
    return kind === 'revert' ? await prepareRevert(deps, orderId) : await prepareChange(deps, orderId);
  } catch (error) {
    if (error instanceof ContentDiffers) {
      deps.ledger.report(orderId, { type: 'refuse', reason: error.message });
      return { kind: 'ended' };
    }
    if (isPassing(error)) return { kind: 'wait', reason: `content: ${(error as Error).message}` };
    throw error;
  }
}

export async function stepAccepted(deps: StepDeps, orderId: string): Promise<StepResult> {
  const prepared = await prepare(deps, orderId);
  if (prepared.kind === 'wait' || prepared.kind === 'yield') return prepared;
  if (prepared.kind === 'transaction') {
    deps.ledger.report(orderId, {
      type: 'staged',
      detail: {
        packages: prepared.tx.changes.length,
        ...(prepared.notes.length > 0 ? { notes: prepared.notes } : {}),
        ...(prepared.declined.length > 0 ? { declined: prepared.declined } : {}),
      },
    });
  }
  return GO;
}

async function prepareChange(deps: StepDeps, orderId: string): Promise<Prepared> {
  const doc = deps.ledger.doc(orderId);
  const installed = await deps.provider.installed(doc.updates);
  const plan = planChange({
    updates: doc.updates,
    installed,
    limits: deps.limits(),
    compare: deps.provider.compareVersions,
    separable: deps.provider.separable,
  });
  if (plan.kind !== 'do') return endChange(deps, orderId, plan);
  const dir = deps.orderDir(orderId);
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  const others = await waitForOthers(deps, { orderId, dir, changes: [] });
  if (others !== null) return others;
  const audit = await deps.provider.audit();
  if (audit !== '')
    return fail(deps, orderId, `the package database has complaints of its own: ${audit.slice(0, 500)}`);

  const old = doc.previous.filter((o) => plan.updates.some((u) => u.name === o.name && u.from === o.version));
  const space = deps.content.spaceObjection([...plan.updates, ...old.filter((o) => deps.content.has(o))]);
  if (space !== null) return fail(deps, orderId, space);
  const changes: PackageChange[] = [];
  const notes: string[] = [];
  for (const update of plan.updates) {
    if (deps.givesWay(orderId)) return { kind: 'yield' };
    const file = await fetch(deps, orderId, update);
    const previousFile =
      update.from === null
        ? null
        : await oldFile({ deps, orderId, name: update.name, arch: update.arch, version: update.from, dir });
    if (update.from !== null && previousFile === null)
      notes.push(`no way back for ${update.name}: no file of ${update.from}`);
    const { name, arch, from, to, source } = update;
    changes.push({ name, arch, from, to, source, file, previousFile });
  }
  const tx: Transaction = { orderId, dir, changes };
  const room = spaceObjection((await deps.provider.footprint?.(tx, 'forward')) ?? []);
  if (room !== null) return fail(deps, orderId, room);
  const simulated = await deps.provider.simulate(tx, 'forward');
  if (!simulated.ok) {
    const { reason, decline } = simulated;
    deps.ledger.report(
      orderId,
      decline === true
        ? { type: 'decline', reason: reason.slice(0, 1_900) }
        : { type: 'refuse', reason: `the simulation differs from the plan: ${reason}` },
    );
    return { kind: 'ended' };
  }
  return leaveOut(deps, { tx, notes, declined: [...plan.declined, ...(simulated.declined ?? [])] });
}

/** What is left of a transaction; an order of which nothing is left is declined whole. */
function leaveOut(
  deps: StepDeps,
  args: { readonly tx: Transaction; readonly notes: readonly string[]; readonly declined: readonly Declined[] },
): Prepared {
  const names = new Set(args.declined.map(({ name }) => name));
  const changes = args.tx.changes.filter(({ name }) => !names.has(name));
  if (changes.length === 0)
    return endChange(deps, args.tx.orderId, {
      kind: 'decline',
      reason: inWords(args.declined),
      declined: args.declined,
    });
  return {
    kind: 'transaction',
    tx: { ...args.tx, changes },
    notes: args.notes,
    declined: args.declined.map(short),
  };
}

async function prepareRevert(deps: StepDeps, orderId: string): Promise<Prepared> {
  const doc = deps.ledger.doc(orderId);
  const replaced = replacedBy(deps, doc.reverts);
  const installed = await deps.provider.installed(replaced ?? doc.updates);
  const plan = planRevert({ doc, replaced, installed, limits: deps.limits() });
  if (plan.kind !== 'do') {
    deps.ledger.report(
      orderId,
      plan.kind === 'failed' ? { type: 'failed', cause: plan.reason } : { type: plan.kind, reason: plan.reason },
    );
    return { kind: 'ended' };
  }
  const space = deps.content.spaceObjection(plan.packages.map((p) => p.old));
  if (space !== null) return fail(deps, orderId, space);
  const dir = deps.orderDir(orderId);
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  const changes: PackageChange[] = [];
  for (const { old, ...rest } of plan.packages) {
    const previousFile = await fetch(deps, orderId, old);
    changes.push({ ...rest, file: previousFile, previousFile });
  }
  const tx: Transaction = { orderId, dir, changes };
  const room = spaceObjection((await deps.provider.footprint?.(tx, 'back')) ?? []);
  if (room !== null) return fail(deps, orderId, room);
  const simulated = await deps.provider.simulate(tx, 'back');
  if (!simulated.ok) return fail(deps, orderId, `going back would do something else: ${simulated.reason}`);
  return { kind: 'transaction', tx, notes: plan.left, declined: [] };
}

/** What the change really replaced here: less than it was asked to where some of it was there already. */
function replacedBy(deps: StepDeps, changeOrderId: string | null): readonly Replaced[] | null {
  const entry = changeOrderId === null ? undefined : deps.ledger.book.orders[changeOrderId];
  if (entry === undefined) return null;
  // Prepared but never begun: whatever is installed now, this order did not do it.
  if (!entry.reports.some((report) => report.type === 'apply')) return [];
  return (entry.steps.transaction as Pick<Transaction, 'changes'> | undefined)?.changes ?? [];
}

function endChange(deps: StepDeps, orderId: string, plan: Exclude<ChangePlan, { kind: 'do' }>): Prepared {
  if (plan.kind === 'satisfied') deps.ledger.report(orderId, { type: 'satisfied' });
  else {
    const { kind: type, reason, declined } = plan;
    const detail = declined === undefined ? {} : { detail: { declined: declined.map(short) } };
    deps.ledger.report(orderId, { type, reason: reason.slice(0, 1_900), ...detail });
  }
  return { kind: 'ended' };
}

function fail(deps: StepDeps, orderId: string, cause: string): Prepared {
  deps.ledger.report(orderId, { type: 'failed', cause });
  return { kind: 'ended' };
}

function fetch(deps: StepDeps, orderId: string, file: ContentFile): Promise<string> {
  const { sha256, size } = file;
  return deps.content.ensure({ sha256, size }, { bytesPerSecond: deps.ledger.doc(orderId).rateLimit });
}

/** The old version's file: from the server by digest, else from the package manager's own cache; null: no way back. */
async function oldFile(args: {
  readonly deps: StepDeps;
  readonly orderId: string;
  readonly name: string;
  readonly arch: string;
  readonly version: string;
  readonly dir: string;
}): Promise<string | null> {
  const { deps, orderId, name, version, arch } = args;
  const known = deps.ledger.doc(orderId).previous.find((o) => o.name === name && o.version === version);
  if (known !== undefined) {
    try {
      return await fetch(deps, orderId, known);
    } catch (error) {
      if (isPassing(error)) throw error;
      deps.log('an old file can not be had from the server', {
        order: orderId,
        package: name,
        reason: (error as Error).message,
      });
    }
  }
  return deps.provider.findOldFile({ name, arch, version }, args.dir);
}
