/**
 * What a simulated host does with its orders: the agent's own book, admission, plans and transition table, with the steps
 * between them done in memory. As far as nothing takes time, a whole order is done between two polls.
 */

import { NO_LIMITS } from '../agent/limits/limits.js';
import { rebootObjection, startObjection } from '../agent/orders/admission.js';
import { type OrderEntry, openOrders } from '../agent/orders/book.js';
import type { Ledger } from '../agent/orders/ledger.js';
import { planChange, planRevert, type Replaced } from '../agent/orders/plan.js';
import type { ServerClock } from '../agent/transport/clock.js';
import { compare, type Machine } from './machine.js';

export interface Host {
  readonly ledger: Ledger;
  readonly machine: Machine;
  readonly clock: ServerClock;
  /** When what an order is doing ends, by order (epoch ms). */
  readonly busyUntil: Map<string, number>;
}

export interface Advanced {
  /** When something under way ends; null: nothing is. */
  readonly nextAt: number | null;
  /** Orders that ask for an inventory now. */
  readonly scans: readonly string[];
}

type Step = 'again' | 'waits' | 'scan';

const TRANSACTION = 'transaction';

/** Takes every open order as far as it goes at `now` (epoch ms). */
export function advance(host: Host, now: number): Advanced {
  const scans: string[] = [];
  for (const { orderId } of openOrders(host.ledger.book)) {
    let step: Step = 'again';
    while (step === 'again') {
      const entry = host.ledger.entry(orderId);
      dropIfLate(host, entry);
      step = host.ledger.entry(orderId).dropped === null ? stepOf(host, entry, now) : 'waits';
    }
    if (step === 'scan') scans.push(orderId);
  }
  const times = [...host.busyUntil.values()];
  return { nextAt: times.length === 0 ? null : Math.min(...times), scans };
}

function stepOf(host: Host, entry: OrderEntry, now: number): Step {
  const { ledger, machine } = host;
  const { orderId } = entry;
  switch (entry.core.state) {
    case 'offered':
      ledger.report(orderId, { type: 'accept' });
      return 'again';
    case 'accepted':
      if (entry.kind === 'scan') return 'scan';
      if (prepare(host, orderId) !== null) ledger.report(orderId, { type: 'staged' });
      return 'again';
    case 'staged':
      return start(host, entry, now);
    case 'applying':
      return onceOver(host, orderId, now, () => applied(host, orderId));
    case 'awaitingReboot':
      if (rebootObjection({ permit: entry.permit, clock: host.clock }) !== null) return 'waits';
      ledger.report(orderId, { type: 'reboot' });
      host.busyUntil.set(orderId, now + machine.behaviour.rebootMs);
      return 'again';
    case 'rebooting':
      return onceOver(host, orderId, now, () => {
        machine.reboot();
        ledger.report(orderId, { type: 'booted' });
      });
    case 'verifying':
      if (machine.behaviour.unhealthyAfter) goBack(host, orderId, now, 'not healthy: simulated check');
      else
        ledger.report(orderId, {
          type: 'healthy',
          detail: { versions: changesOf(entry).map(({ name, arch, to }) => ({ name, arch, version: to })) },
        });
      return 'again';
    case 'reverting':
      return onceOver(host, orderId, now, () => reverted(host, orderId));
    default:
      return 'waits';
  }
}

/** What is to be changed now; null when the order ended instead. */
function prepare(host: Host, orderId: string): readonly Replaced[] | null {
  const { ledger, machine } = host;
  const doc = ledger.doc(orderId);
  if (doc.kind === 'revert') {
    const undone = doc.reverts === null ? undefined : ledger.book.orders[doc.reverts];
    const began = undone?.reports.some((report) => report.type === 'apply') === true;
    const replaced = undone === undefined ? null : began ? changesOf(undone) : [];
    const plan = planRevert({ doc, replaced, installed: machine.installed(doc.updates), limits: NO_LIMITS });
    if (plan.kind === 'do') return plan.packages;
    ledger.report(
      orderId,
      plan.kind === 'failed' ? { type: 'failed', cause: plan.reason } : { type: plan.kind, reason: plan.reason },
    );
    return null;
  }
  const plan = planChange({
    updates: doc.updates,
    installed: machine.installed(doc.updates),
    limits: NO_LIMITS,
    compare,
  });
  if (plan.kind === 'do') return plan.updates;
  ledger.report(orderId, plan.kind === 'satisfied' ? { type: 'satisfied' } : { type: plan.kind, reason: plan.reason });
  return null;
}

function start(host: Host, entry: OrderEntry, now: number): Step {
  const { ledger, machine } = host;
  const { orderId, permit, doc } = entry;
  if (doc === null || startObjection({ permit, order: doc, clock: host.clock }) !== null) return 'waits';
  const changes = prepare(host, orderId);
  if (changes === null) return 'again';
  ledger.step(orderId, TRANSACTION, { changes });
  const detail = { packages: changes.map(({ name, arch, from, to }) => ({ name, arch, from, to })) };
  if (entry.kind === 'revert') {
    ledger.report(orderId, { type: 'revertBegun', cause: 'ordered', detail });
    host.busyUntil.set(orderId, now + machine.behaviour.revertMs);
  } else {
    ledger.report(orderId, { type: 'apply', detail });
    host.busyUntil.set(orderId, now + machine.behaviour.applyMs);
  }
  return 'again';
}

function applied(host: Host, orderId: string): void {
  const { ledger, machine } = host;
  const { behaviour } = machine;
  const changes = changesOf(ledger.entry(orderId));
  for (const { name, to } of behaviour.failApply ? changes.slice(0, 1) : changes) machine.install(name, to);
  if (behaviour.failApply) {
    goBack(host, orderId, Date.now(), 'the package manager stopped half way (simulated)');
    return;
  }
  const { reboot } = ledger.doc(orderId);
  const rebootRequired = reboot === 'always' || (reboot === 'ifNeeded' && behaviour.rebootRequired);
  ledger.report(orderId, { type: 'applied', rebootRequired });
}

function goBack(host: Host, orderId: string, now: number, cause: string): void {
  host.ledger.report(orderId, { type: 'revertBegun', cause });
  host.busyUntil.set(orderId, now + host.machine.behaviour.revertMs);
}

function reverted(host: Host, orderId: string): void {
  const { ledger, machine } = host;
  if (machine.behaviour.failRevert) {
    ledger.report(orderId, { type: 'revertFailed', cause: 'the old files do not install any more (simulated)' });
    return;
  }
  for (const { name, from } of changesOf(ledger.entry(orderId))) if (from !== null) machine.install(name, from);
  ledger.report(orderId, { type: 'reverted' });
}

function changesOf(entry: OrderEntry): readonly Replaced[] {
  const noted = entry.steps[TRANSACTION] as { readonly changes: readonly Replaced[] } | undefined;
  return noted?.changes ?? [];
}

function onceOver(host: Host, orderId: string, now: number, then: () => void): Step {
  if ((host.busyUntil.get(orderId) ?? 0) > now) return 'waits';
  host.busyUntil.delete(orderId);
  then();
  return 'again';
}

/** An order that has not begun by its deadline never will; the server expires it by its own clock. */
function dropIfLate(host: Host, entry: OrderEntry): void {
  const latest = host.clock.latest();
  const waits = ['offered', 'accepted', 'staged'].includes(entry.core.state);
  if (waits && entry.doc !== null && latest !== null && latest >= entry.doc.expiresAt)
    host.ledger.drop(entry.orderId, 'its deadline passed before it began');
}
