/** `staged` → `applying` → applied; and the same run for the way back. */
import { mkdirSync } from 'node:fs';
import { stoppedBy } from '../hooks/hooks.js';
import { type Direction, KEPT, type RunOutcome, type Transaction } from '../providers/provider.js';
import { clockObjection } from '../transport/clock.js';
import { startObjection } from './admission.js';
import {
  afterHooks,
  type ExecutorDeps,
  GO,
  noteOnce,
  problemsOf,
  STEP,
  type StepDeps,
  type StepResult,
  transactionOf,
  waitFor,
  waitForOthers,
} from './context.js';
import { prepare } from './staging.js';

/** How often an interrupted package manager is started again before that counts as a failure. */
const MAX_RUNS = 3;
/** How a note begins of an order that is announced and waits for others. */
const NOT_YET = 'announced, but not started yet: ';
const PROGRESS_MS = 10 * 60_000;

/** Why a staged order can't start now; null when it can. The owner's own windows have their say here, too. */
export function notNow(deps: ExecutorDeps, orderId: string): string | null {
  const { permit } = deps.ledger.entry(orderId);
  const objection = startObjection({ permit, order: deps.ledger.doc(orderId), clock: deps.clock });
  return objection ?? ownObjection(deps);
}

/** What this endpoint, not the server, has against a start now. */
export function ownObjection(deps: ExecutorDeps): string | null {
  return clockObjection(deps.clock) ?? (deps.ownWindowOpen() ? null : "outside the owner's own windows");
}

/** Everything that has to be true at the last moment, in this order; the permit is looked at again at the very end. */
export async function stepStaged(deps: StepDeps, orderId: string): Promise<StepResult> {
  const early = notNow(deps, orderId);
  if (early !== null) return waitFor(early);
  const prepared = await prepare(deps, orderId);
  if (prepared.kind === 'wait' || prepared.kind === 'yield') return prepared;
  if (prepared.kind === 'ended') return GO;
  const { tx, declined } = prepared;
  const doc = deps.ledger.doc(orderId);

  mkdirSync(tx.dir, { recursive: true, mode: 0o755 });
  // A revert order goes back to a package's own old configuration; there is nothing of now to come back to.
  const taken = doc.kind === 'change' ? await deps.provider.snapshot(tx) : KEPT;
  if (!taken.ok) {
    deps.ledger.report(orderId, { type: 'decline', reason: taken.reason.slice(0, 1_900) });
    return GO;
  }
  deps.ledger.step(orderId, STEP.transaction, { changes: tx.changes });
  const baseline = (await deps.runChecks(doc.healthChecks)).filter((result) => result.problem !== '');
  deps.ledger.step(orderId, STEP.baseline, baseline);

  if (doc.hooks.some((hook) => hook.when === 'before')) {
    deps.ledger.step(orderId, STEP.hooked, true);
    const results = await deps.runHooks(doc.hooks, 'before', { orderId, outcome: 'pending' });
    const stopped = stoppedBy(results);
    if (stopped !== null) {
      await afterHooks(deps, orderId, 'notStarted');
      deps.ledger.report(orderId, { type: 'failed', cause: `before the start, ${stopped}` });
      return GO;
    }
  }
  const others = await waitForOthers(deps, tx);
  if (others !== null) {
    await afterHooks(deps, orderId, 'notStarted');
    if (deps.ledger.entry(orderId).steps[STEP.hooked] === true) deps.ledger.step(orderId, STEP.hooked, false);
    return others;
  }
  const late = notNow(deps, orderId);
  if (late !== null) {
    // The hooks are undone by the executor, as after a crash at this point.
    noteOnce(deps, orderId, `not started: ${late} while the start was being prepared`);
    return waitFor(late);
  }
  const also = deps.provider.alsoMoves?.(tx) ?? [];
  const detail = {
    packages: tx.changes.map(({ name, arch, from, to }) => ({ name, arch, from, to })),
    ...(baseline.length > 0 ? { failingBefore: baseline } : {}),
    ...(also.length > 0 ? { alsoPackages: also } : {}),
    ...(declined.length > 0 ? { declined } : {}),
    ...(taken.notKept.length > 0 ? { notKept: taken.notKept } : {}),
  };
  deps.ledger.report(
    orderId,
    doc.kind === 'revert' ? { type: 'revertBegun', cause: 'ordered', detail } : { type: 'apply', detail },
  );
  return GO;
}

/** Of an order that is announced, or a revert that is to begin: others keep it from that. */
export function notYet(deps: ExecutorDeps, orderId: string, reason: string): StepResult {
  noteOnce(deps, orderId, `${NOT_YET}${reason}`);
  return waitFor(reason);
}

export async function stepApplying(deps: ExecutorDeps, orderId: string): Promise<StepResult> {
  const tx = transactionOf(deps, orderId);
  if (!(await deps.provider.hasBegun(tx, 'forward'))) {
    // We may have been dead since we announced it, or others were at the packages: then the start is still to come, and must be covered now.
    const { permit, steps } = deps.ledger.entry(orderId);
    const late = notNow(deps, orderId);
    const latest = deps.clock.latest();
    if (late !== null && (latest === null || latest <= (permit?.startBy ?? 0))) return waitFor(late);
    if (late !== null) {
      await afterHooks(deps, orderId, 'notStarted');
      const noted = String(steps[STEP.waiting] ?? '');
      const why = noted.startsWith(NOT_YET) ? ` (${noted.slice(NOT_YET.length)})` : '';
      deps.ledger.report(orderId, { type: 'failed', cause: `announced, but not started in time: ${late}${why}` });
      return GO;
    }
  }
  const outcome = await runToEnd(deps, tx, 'forward');
  if (outcome.notBegun !== undefined) return notYet(deps, orderId, outcome.notBegun);
  const verdict = await deps.provider.judge(tx, 'forward');
  if (!verdict.ok) return giveUp(deps, orderId, `${verdict.reason}; ${lastLines(outcome)}`);
  const doc = deps.ledger.doc(orderId);
  const need = await deps.provider.rebootNeed(tx);
  const rebootRequired = doc.reboot === 'always' || (doc.reboot === 'ifNeeded' && need.required);
  deps.ledger.report(orderId, {
    type: 'applied',
    rebootRequired,
    detail: {
      ...(need.reasons.length > 0 ? { rebootReasons: need.reasons } : {}),
      ...(need.onOldCode.length > 0 ? { servicesOnOldCode: need.onOldCode } : {}),
      output: outcome.output,
    },
  });
  return GO;
}

/**
 * Runs the package manager until a run ended by itself. Joins one that outlived us; repairs and starts again after one
 * that was cut short (killed, or the power went), because half an upgrade is worse than either version.
 */
export async function runToEnd(deps: ExecutorDeps, tx: Transaction, direction: Direction): Promise<RunOutcome> {
  const counter = `${STEP.runs}-${direction}`;
  const stop = progressNotes(deps, tx.orderId, direction);
  try {
    let outcome = await deps.provider.run(tx, direction, { again: false });
    while (outcome.interrupted) {
      const runs = Number(deps.ledger.entry(tx.orderId).steps[counter] ?? 1);
      const repaired = await deps.provider.repair(tx, direction);
      deps.ledger.report(tx.orderId, {
        type: 'note',
        text: `the package manager was cut short; repaired: ${repaired.join('; ') || 'nothing'}`,
      });
      if (runs >= MAX_RUNS || (await deps.provider.judge(tx, direction)).ok) return outcome;
      deps.ledger.step(tx.orderId, counter, runs + 1);
      outcome = await deps.provider.run(tx, direction, { again: true });
    }
    return outcome;
  } finally {
    stop();
  }
}

/** Something went wrong after the start: back, if there is a way back. */
export async function giveUp(deps: ExecutorDeps, orderId: string, cause: string): Promise<StepResult> {
  const tx = transactionOf(deps, orderId);
  const stuck = tx.changes.filter((change) => change.from !== null && change.previousFile === null);
  if (stuck.length === 0) {
    deps.ledger.report(orderId, { type: 'revertBegun', cause });
    return GO;
  }
  const hooks = problemsOf(await afterHooks(deps, orderId, 'failed'));
  const names = stuck.map((change) => change.name).join(', ');
  deps.ledger.report(orderId, {
    type: 'failed',
    cause: `${cause.slice(0, 1_400)}; not reverted: no old file of ${names.slice(0, 300)}`,
    ...(hooks === '' ? {} : { detail: { hooks } }),
  });
  return GO;
}

export const lastLines = (outcome: RunOutcome): string => outcome.output.slice(-600);

function progressNotes(deps: ExecutorDeps, orderId: string, direction: Direction): () => void {
  const started = deps.mono();
  const timer = setInterval(() => {
    const minutes = Math.round((deps.mono() - started) / 60_000);
    const what = direction === 'forward' ? 'installing' : 'going back';
    deps.ledger.report(orderId, { type: 'note', text: `still ${what} after ${minutes} minutes` });
  }, PROGRESS_MS);
  timer.unref();
  return () => clearInterval(timer);
}
