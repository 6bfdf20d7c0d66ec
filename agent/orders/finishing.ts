/** After the package manager: reboot, proof, or the way back. */
import { stoppedBy } from '../hooks/hooks.js';
import type { Transaction } from '../providers/provider.js';
import { rebootObjection } from './admission.js';
import { giveUp, lastLines, notNow, notYet, runToEnd } from './applying.js';
import {
  afterHooks,
  type ExecutorDeps,
  GO,
  noteOnce,
  problemsOf,
  STEP,
  type StepResult,
  transactionOf,
  waitFor,
} from './context.js';

/** A reboot is its own step with its own latest start; it stays pending as long as none is permitted. */
export async function stepAwaitingReboot(deps: ExecutorDeps, orderId: string): Promise<StepResult> {
  const early = bootedSince(deps, orderId) ? null : noReboot(deps, orderId);
  if (early !== null) return waitFor(early);
  if (!bootedSince(deps, orderId)) deps.ledger.step(orderId, STEP.bootId, deps.bootId);
  deps.ledger.report(orderId, { type: 'reboot' });
  return GO;
}

/**
 * Each try has to be covered when it is made, not only when it was announced: in between we may have been dead, or the host may have
 * refused to go down. One that is not covered any more is taken back, and waits for a permit again.
 *
 * @throws Error when the host refuses to go down: the caller tries again after a while, and then takes the announcement back.
 */
export async function stepRebooting(deps: ExecutorDeps, orderId: string): Promise<StepResult> {
  if (bootedSince(deps, orderId)) {
    deps.ledger.report(orderId, { type: 'booted' });
    return GO;
  }
  // Without the server's time nothing is known of the permit, so nothing is said of it.
  if (deps.clock.latest() === null) return waitFor(noReboot(deps, orderId) ?? '');
  let late = noReboot(deps, orderId);
  if (late === null) {
    await deps.tellServer();
    late = noReboot(deps, orderId);
  }
  if (late !== null) {
    deps.ledger.report(orderId, { type: 'notRebooted', reason: late });
    return GO;
  }
  try {
    await deps.reboot();
  } catch (error) {
    noteOnce(deps, orderId, `not rebooted yet: ${(error as Error).message}`);
    throw error;
  }
  return waitFor('the host is going down');
}

/** Why a reboot now is not covered, or not wanted by the endpoint's owner; null when it may be. */
function noReboot(deps: ExecutorDeps, orderId: string): string | null {
  const { permit } = deps.ledger.entry(orderId);
  const objection = rebootObjection({ permit, clock: deps.clock });
  return objection ?? (deps.ownWindowOpen() ? null : "outside the owner's own windows");
}

/** Whether the host has come up again since a reboot for this order was announced; whoever made it do so, one is enough. */
export function bootedSince(deps: Pick<ExecutorDeps, 'ledger' | 'bootId'>, orderId: string): boolean {
  const before = deps.ledger.entry(orderId).steps[STEP.bootId];
  return before !== undefined && before !== deps.bootId;
}

/** Proof: the planned versions, a clean package database, and every check that passed before. */
export async function stepVerifying(deps: ExecutorDeps, orderId: string): Promise<StepResult> {
  const tx = transactionOf(deps, orderId);
  const verdict = await deps.provider.judge(tx, 'forward');
  if (!verdict.ok) return giveUp(deps, orderId, verdict.reason);
  const health = await waitForHealth(deps, orderId);
  if (health.failing.length > 0) return giveUp(deps, orderId, `not healthy: ${health.failing.join('; ')}`);
  const hooks = await afterHooks(deps, orderId, 'succeeded');
  const stopped = stoppedBy(hooks);
  if (stopped !== null) return giveUp(deps, orderId, `after the change, ${stopped}`);
  const ignored = problemsOf(hooks);
  deps.ledger.report(orderId, {
    type: 'healthy',
    detail: {
      versions: tx.changes.map(({ name, arch, to }) => ({ name, arch, version: to })),
      audit: 'clean',
      ...(health.failingBefore.length > 0 ? { failedBeforeAlready: health.failingBefore } : {}),
      ...(ignored === '' ? {} : { hooks: ignored }),
    },
  });
  return GO;
}

/**
 * An endpoint that undoes its own change is covered by what that change began under: it is repaired, whenever that is. A revert that was
 * ordered has to be covered when it begins, not only when it was announced; once begun it goes on to its end.
 */
export async function stepReverting(deps: ExecutorDeps, orderId: string): Promise<StepResult> {
  const tx = transactionOf(deps, orderId);
  let verdict = await deps.provider.judge(tx, 'back');
  let output = '';
  if (!verdict.ok) {
    if (await isToBegin(deps, tx)) {
      const early = await readyToBegin(deps, tx);
      if (early !== null) return early;
    } else await putRight(deps, tx);
    const outcome = await runToEnd(deps, tx, 'back');
    if (outcome.notBegun !== undefined) return notYet(deps, orderId, outcome.notBegun);
    if (outcome.notYet !== undefined) {
      noteOnce(deps, orderId, `going back waits: ${outcome.notYet}`);
      return waitFor(outcome.notYet);
    }
    output = lastLines(outcome);
    verdict = await deps.provider.judge(tx, 'back');
  }
  const hooks = problemsOf(await afterHooks(deps, orderId, verdict.ok ? 'reverted' : 'failed'));
  const detail = {
    versions: tx.changes.map(({ name, arch, from }) => ({ name, arch, version: from })),
    ...(hooks === '' ? {} : { hooks }),
  };
  if (!verdict.ok) {
    deps.ledger.report(orderId, { type: 'revertFailed', cause: `${verdict.reason}; ${output}`, detail });
    return GO;
  }
  const health = await waitForHealth(deps, orderId);
  deps.ledger.report(orderId, {
    type: 'reverted',
    detail: { ...detail, ...(health.failing.length > 0 ? { stillFailing: health.failing } : {}) },
  });
  return GO;
}

/** Whether it is a revert that was ordered, and nothing of it has been begun. */
async function isToBegin(deps: ExecutorDeps, tx: Transaction): Promise<boolean> {
  return deps.ledger.entry(tx.orderId).kind === 'revert' && !(await deps.provider.hasBegun(tx, 'back'));
}

/**
 * The last look before an ordered revert begins; null when it may. What others left half done is put right first, which may wait for them
 * until the permit has ended: so that is asked again at the very end. A repair that we died in is finished, covered or not.
 */
async function readyToBegin(deps: ExecutorDeps, tx: Transaction): Promise<StepResult | null> {
  const { orderId } = tx;
  const repairing = deps.ledger.entry(orderId).steps[STEP.repairing] === true;
  const early = repairing ? null : notCovered(deps, orderId);
  if (early !== null) return early;
  const others = (await deps.provider.othersAtWork?.(tx)) ?? null;
  if (others !== null) return notYet(deps, orderId, others);
  if (!repairing) deps.ledger.step(orderId, STEP.repairing, true);
  await putRight(deps, tx);
  deps.ledger.step(orderId, STEP.repairing, false);
  return notCovered(deps, orderId);
}

/** Whatever the way there, or others, left half done; this also ends a run that is still going. */
async function putRight(deps: ExecutorDeps, tx: Transaction): Promise<void> {
  const noted = await deps.provider.repair(tx, 'back');
  if (noted.length > 0)
    deps.ledger.report(tx.orderId, { type: 'note', text: `before going back: ${noted.join('; ')}` });
}

/** What becomes of an ordered revert that is still to begin and not covered now; null when it may go on. */
function notCovered(deps: ExecutorDeps, orderId: string): StepResult | null {
  const late = notNow(deps, orderId);
  if (late === null) return null;
  // Without the server's time nothing is known of the permit, so nothing is said of it.
  if (deps.clock.latest() === null) return waitFor(late);
  deps.ledger.report(orderId, { type: 'notBegun', reason: late });
  return GO;
}

/**
 * Checks again and again until all pass that passed before the change, or the grace is over. Those that failed before
 * are reported and do not count: the change can't have broken them.
 */
async function waitForHealth(
  deps: ExecutorDeps,
  orderId: string,
): Promise<{ readonly failing: readonly string[]; readonly failingBefore: readonly string[] }> {
  const { healthChecks } = deps.ledger.doc(orderId);
  const baseline = deps.ledger.entry(orderId).steps[STEP.baseline] as readonly { check: string }[] | undefined;
  const failingBefore = (baseline ?? []).map((result) => result.check);
  const deadline = deps.mono() + deps.healthGraceMs;
  for (;;) {
    const results = await deps.runChecks(healthChecks);
    const failing = results
      .filter((r) => r.problem !== '' && !failingBefore.includes(r.check))
      .map((r) => `${r.check} ${r.problem}`);
    if (failing.length === 0 || deps.mono() >= deadline) return { failing, failingBefore };
    await deps.sleep(1_000);
  }
}
