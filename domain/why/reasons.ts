/** Every reason an endpoint may have, in the order in which they decide. One function each; they know nothing of one another. */
import { BEFORE_APPLY } from '../order/index.js';
import { formatInstant } from '../schedule/index.js';
import { type EpochMs, MINUTE } from '../time.js';
import type { WhyFacts } from './facts.js';
import type { Reason, ReasonCode } from './reason.js';

type Look = (facts: WhyFacts) => Reason | null;

/** Agents refuse to apply beyond this (docs/order-protocol.md). */
export const MAX_SKEW_MS = 2 * MINUTE;
/** Silent for this long, and asked to speak before: offline. */
export const SILENT_MS = 15 * MINUTE;
/** What it may come later than it was told to. */
export const NEXT_POLL_GRACE_MS = MINUTE;

const none = (given: string | null): string => given ?? 'no reason given';
const at = (facts: WhyFacts, time: EpochMs, zone = facts.endpoint.zone): string => formatInstant({ at: time, zone });

const retired: Look = ({ endpoint }) =>
  endpoint.state === 'retired' ? { code: 'retired', text: `it is retired: ${none(endpoint.stateReason)}` } : null;

const quarantined: Look = ({ endpoint }) =>
  endpoint.state === 'quarantined'
    ? { code: 'quarantined', text: `it is quarantined: ${none(endpoint.stateReason)}` }
    : null;

const scanOnly: Look = ({ endpoint }) =>
  endpoint.scanOnly ? { code: 'scanOnly', text: 'its owner lets it be scanned only' } : null;

const neverScanned: Look = ({ endpoint }) => {
  if (endpoint.scannedAt !== null) return null;
  const how =
    endpoint.incompleteReason === null
      ? 'it was never scanned'
      : `no scan of it was complete: ${endpoint.incompleteReason}`;
  return { code: 'neverScanned', text: `${how}, so nobody knows what is missing` };
};

const nothingMissing: Look = (facts) => {
  const { updates, endpoint, about } = facts;
  if (updates.length > 0 || facts.vulnerable || endpoint.scannedAt === null || isWorking(facts)) return null;
  const what = about === null ? 'nothing is missing' : `nothing of ${about} is missing`;
  return {
    code: 'nothingMissing',
    text: `${what} by its scan of ${at(facts, endpoint.scannedAt)}`,
    since: endpoint.scannedAt,
  };
};

const WORKING: readonly string[] = ['applying', 'rebooting', 'verifying', 'reverting', 'awaitingReboot'];
const isWorking = ({ order }: WhyFacts): boolean => order !== null && WORKING.includes(order.state);

const awaitingReboot: Look = (facts) => {
  const { order, now } = facts;
  if (order?.state !== 'awaitingReboot') return null;
  const later = order.nextOpen !== null && order.nextOpen > now;
  const when = later ? `, in the window that opens ${at(facts, order.nextOpen as number)}` : '';
  return {
    code: 'awaitingReboot',
    text: `its updates are installed and it has to reboot${when}`,
    ...(later && { until: order.nextOpen as number }),
  };
};

const DOING: Readonly<Record<string, string>> = {
  applying: 'is being installed',
  rebooting: 'is rebooting',
  verifying: 'is installed and being checked',
  reverting: 'is being put back',
};

const underWay: Look = (facts) => {
  const { order, change } = facts;
  const doing = order === null ? undefined : DOING[order.state];
  if (order === null || doing === undefined) return null;
  const since = order.startedAt === null ? {} : { since: order.startedAt };
  return { code: 'underWay', text: `change “${change?.name}” ${doing} there right now`, ...since };
};

const mayStart: Look = (facts) => {
  const { order, now } = facts;
  if (order === null || !BEFORE_APPLY.includes(order.state) || order.state === 'pending') return null;
  if (order.permitUntil !== null && order.permitUntil > now) {
    return {
      code: 'mayStart',
      text: `its order is there (${order.state}) and may still start until ${at(facts, order.permitUntil)}`,
      until: order.permitUntil,
    };
  }
  const open = order.nextOpen !== null && order.nextOpen <= now && (order.nextClose ?? 0) > now;
  return open ? { code: 'mayStart', text: `its order is on its way (${order.state})` } : null;
};

const ENDED_BADLY: Readonly<Record<string, string>> = {
  failed: 'failed there',
  reverted: 'failed there and was put back',
  revertFailed: 'failed there and could not be put back',
  stalled: 'began there and was not heard of again',
};

const failed: Look = (facts) => {
  const { order, change } = facts;
  const how = order === null ? undefined : ENDED_BADLY[order.state];
  if (order === null || how === undefined) return null;
  const when = order.settledAt === null ? '' : ` ${at(facts, order.settledAt)}`;
  return {
    code: 'failed',
    text: `change “${change?.name}” ${how}${when}: ${none(order.reason)}`,
    ...(order.settledAt !== null && { since: order.settledAt }),
  };
};

const superseded: Look = ({ order, change }) =>
  order?.state === 'superseded'
    ? {
        code: 'superseded',
        text: `its order of “${change?.name}” gave way to something more urgent: ${none(order.reason)}`,
      }
    : null;

const skipped: Look = ({ order, change }) => {
  if (change !== null && change.skippedBy !== null)
    return {
      code: 'skipped',
      text: `it was taken out of “${change.name}” by ${change.skippedBy}: ${none(change.planReason)}`,
    };
  return order?.state === 'skipped'
    ? { code: 'skipped', text: `its order of “${change?.name}” was skipped: ${none(order.reason)}` }
    : null;
};

const hold: Look = (facts) => {
  const { holdUntil, holdReason } = facts.endpoint;
  if (holdUntil === null || holdUntil <= facts.now) return null;
  return { code: 'hold', text: `it is on hold until ${at(facts, holdUntil)}: ${none(holdReason)}`, until: holdUntil };
};

const noPolicy: Look = ({ policy }) =>
  policy.kind === 'none' ? { code: 'noPolicy', text: `it gets no change: ${policy.reason}` } : null;

/** Only where nothing at all is left to do: some of several updates left out hold nobody up. */
const leftOut: Look = (facts) => {
  const { updates } = facts;
  const out = updates.flatMap((update) => (update.leftOut === null ? [] : [{ ...update.leftOut, name: update.name }]));
  const [first] = out;
  if (first === undefined || out.length < updates.length || isWorking(facts)) return null;
  const rest = out.length > 1 ? ` (and ${out.length - 1} more)` : '';
  const until = first.until === undefined ? '' : ` until ${at(facts, first.until)}`;
  const by = first.by === undefined ? '' : ` by ${first.by}`;
  return {
    code: first.how,
    text: `${first.name}${rest} is ${first.how}${until}${by}: ${first.reason}`,
    ...(first.until !== undefined && { until: first.until }),
  };
};

const excluded: Look = ({ change }) =>
  change !== null && change.outcome === null && change.ring === null && change.skippedBy === null
    ? { code: 'excluded', text: `“${change.name}” leaves it out: ${none(change.planReason)}` }
    : null;

const notInChange: Look = ({ change, order }) => {
  if (change === null) return { code: 'notInChange', text: 'no change has it in its plan' };
  if (change.outcome === null || (order !== null && order.state in ENDED_BADLY)) return null;
  return {
    code: 'notInChange',
    text: `no open change has it in its plan; the last, “${change.name}”, ended as ${change.outcome}`,
  };
};

const PREPARING = ['requested', 'discover', 'obtain'];

const preparing: Look = ({ change }) =>
  change !== null && change.outcome === null && PREPARING.includes(change.stage)
    ? {
        code: 'preparing',
        text: `“${change.name}” is being prepared${change.waitingFor === null ? '' : `: ${change.waitingFor}`}`,
      }
    : null;

const halted: Look = ({ change }) => {
  if (change === null || change.outcome !== null) return null;
  if (change.halted)
    return {
      code: 'halted',
      text: `“${change.name}” is stopped (${change.haltVerb ?? 'stop'} by ${change.haltedBy ?? 'somebody'})`,
    };
  const { ring } = change;
  if (ring?.halted)
    return {
      code: 'halted',
      text: `ring ${ring.ordinal} (${ring.name}) of “${change.name}” is halted by ${ring.haltedBy ?? 'somebody'}: ${none(ring.haltReason)}`,
    };
  return null;
};

const isWaiting = (facts: WhyFacts): boolean =>
  facts.change !== null && facts.change.outcome === null && facts.change.ring?.state === 'waiting';

const approval: Look = (facts) => {
  const [first] = facts.change?.ring?.approvals ?? [];
  if (first === undefined || facts.change === null || facts.change.ring === null) return null;
  const { ring, name } = facts.change;
  const who = first.people.length === 0 ? 'nobody may give it yet' : first.people.slice(0, 5).join(', ');
  return {
    code: 'approval',
    text: `ring ${ring.ordinal} (${ring.name}) of “${name}” waits for approval since ${at(facts, first.since)}, of ${who}`,
    since: first.since,
    until: first.expiresAt,
  };
};

const earlierRing: Look = (facts) => {
  const earlier = facts.change?.ring?.earlier;
  if (!isWaiting(facts) || facts.change === null || earlier === undefined || earlier === null) return null;
  if (earlier.state === 'soaking' && !earlier.halted) return null;
  const state = earlier.halted ? 'halted' : earlier.state;
  return {
    code: 'earlierRing',
    text: `it is in ring ${facts.change.ring?.ordinal} of “${facts.change.name}”, and ring ${earlier.ordinal} (${earlier.name}) comes first (${state})`,
  };
};

const soak: Look = (facts) => {
  const earlier = facts.change?.ring?.earlier;
  if (!isWaiting(facts) || earlier === undefined || earlier === null || earlier.state !== 'soaking' || earlier.halted)
    return null;
  return {
    code: 'soak',
    text: `ring ${earlier.ordinal} (${earlier.name}) of “${facts.change?.name}” soaks before the next one opens`,
  };
};

const offline: Look = (facts) => {
  const { lastSeen, nextPollAt } = facts.endpoint;
  if (lastSeen === null) return { code: 'offline', text: 'it has never been heard of since it enrolled' };
  const expected = Math.max(lastSeen + SILENT_MS, (nextPollAt ?? 0) + NEXT_POLL_GRACE_MS);
  return expected < facts.now
    ? { code: 'offline', text: `it is offline since ${at(facts, lastSeen)}`, since: lastSeen }
    : null;
};

const clockSkew: Look = ({ endpoint }) =>
  Math.abs(endpoint.clockSkewMs) > MAX_SKEW_MS
    ? {
        code: 'clockSkew',
        text: `its clock is off by ${Math.round(Math.abs(endpoint.clockSkewMs) / 1_000)} s, so it refuses to change anything`,
      }
    : null;

const localLimits: Look = (facts) => {
  const { hold: held, windows, malformed } = facts.endpoint.limits;
  if (malformed !== null)
    return {
      code: 'localLimits',
      text: `its owner’s file of limits can’t be read, which counts as a hold: ${malformed}`,
    };
  if (held !== null) return { code: 'localLimits', text: `its owner holds it on the machine itself: ${held}` };
  return windows === null
    ? null
    : { code: 'localLimits', text: `its owner lets it be changed only ${windows}, by its own clock` };
};

/** An order whose window was resolved, with whatever was approved to be set aside, knows better than the policy alone. */
const orderOpen = ({ order, now }: WhyFacts): boolean =>
  order !== null && order.nextOpen !== null && order.nextOpen <= now && (order.nextClose ?? 0) > now;

const frozen: Look = (facts) => {
  const { policy } = facts;
  if (policy.kind === 'none' || policy.frozen === null || orderOpen(facts)) return null;
  const { until, label, calendars } = policy.frozen;
  const of = `${label === null ? '' : ` (${label})`} by calendar ${calendars.join(', ')}`;
  return { code: 'frozen', text: `it is frozen until ${at(facts, until, policy.zone)}${of}`, until };
};

const noWindow: Look = (facts) => {
  const { policy } = facts;
  if (policy.kind === 'none' || orderOpen(facts)) return null;
  return 'never' in policy.opening
    ? { code: 'noWindow', text: `policy set ${policy.name} never opens for it: ${policy.opening.never}` }
    : null;
};

/** The hours of communication alone: it is left alone until then, whatever it may be changed in. */
const silent: Look = (facts) => {
  const { policy } = facts;
  if (policy.kind === 'none' || policy.silentUntil === null || orderOpen(facts)) return null;
  const until = policy.silentUntil;
  return {
    code: 'silent',
    text: `it may not be talked with before ${at(facts, until, policy.zone)} (hours of communication of policy set ${policy.name})`,
    until,
  };
};

const closed: Look = (facts) => {
  const { policy, now } = facts;
  if (policy.kind === 'none' || 'never' in policy.opening || policy.opening.opens <= now || orderOpen(facts))
    return null;
  const { opens } = policy.opening;
  return {
    code: 'closed',
    text: `its hours of operation (policy set ${policy.name}) open ${at(facts, opens, policy.zone)}`,
    until: opens,
  };
};

const otherOrder: Look = ({ holder }) =>
  holder === null
    ? null
    : {
        code: 'otherOrder',
        text: `“${holder.change}” (priority ${holder.priority}) is at work there (${holder.state}), and one change at a time may be`,
      };

const passedOver: Look = ({ order }) =>
  order !== null && order.stragglerReason !== null && BEFORE_APPLY.includes(order.state)
    ? { code: 'passedOver', text: `its ring passed it over: ${order.stragglerReason}` }
    : null;

const ended =
  (state: 'expired' | 'withdrawn', code: ReasonCode, words: string): Look =>
  ({ order, change }) =>
    order?.state === state ? { code, text: `its order of “${change?.name}” ${words}: ${none(order.reason)}` } : null;

const turn: Look = (facts) => {
  const { order, change } = facts;
  if (order?.state !== 'pending' || change === null || change.ring === null) return null;
  return {
    code: 'turn',
    text: `its turn in ring ${change.ring.ordinal} (${change.ring.name}) of “${change.name}” has not come; ${change.ring.concurrency} go at once now`,
  };
};

/** `ends`: with this one nothing after it matters. */
export const REASONS: readonly { readonly look: Look; readonly ends?: true }[] = [
  { look: retired, ends: true },
  { look: quarantined },
  { look: scanOnly },
  { look: neverScanned },
  { look: nothingMissing, ends: true },
  { look: awaitingReboot },
  { look: underWay, ends: true },
  { look: mayStart },
  { look: failed },
  { look: superseded },
  { look: skipped },
  { look: hold },
  { look: noPolicy },
  { look: leftOut },
  { look: excluded },
  { look: notInChange },
  { look: preparing },
  { look: halted },
  { look: approval },
  { look: earlierRing },
  { look: soak },
  { look: offline },
  { look: clockSkew },
  { look: localLimits },
  { look: frozen },
  { look: noWindow },
  { look: silent },
  { look: closed },
  { look: otherOrder },
  { look: passedOver },
  { look: ended('expired', 'expired', 'was not begun in time') },
  { look: ended('withdrawn', 'withdrawn', 'was taken back') },
  { look: turn },
];
