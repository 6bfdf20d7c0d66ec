import type { EpochMs } from '../time.js';

/** What the server does to an order. */
export type ServerEvent =
  /** The pump lets it out, under budgets, in a window. */
  | { readonly type: 'release' }
  /** Never handed out after all (endpoint away, pump stopped): back in the queue. */
  | { readonly type: 'recall' }
  /** A poll reply that holds the order is about to leave. */
  | { readonly type: 'offer' }
  /** Permission to start is handed out, valid for starts up to `until` (server time). */
  | { readonly type: 'permit'; readonly until: EpochMs }
  /** The endpoint was heard at `heardAt`, after its permit ended, and had not started. */
  | { readonly type: 'permitLapsed'; readonly heardAt: EpochMs }
  | { readonly type: 'withdraw' }
  | { readonly type: 'supersede' }
  | { readonly type: 'skip'; readonly reason: string }
  /** A hook on the server that must succeed before it did not. */
  | { readonly type: 'gateFailed'; readonly reason: string }
  /** The order's deadline went by before the endpoint began. */
  | { readonly type: 'expire' }
  /** The endpoint began and went quiet for longer than the state allows. */
  | { readonly type: 'silence' }
  /** The change closes or the endpoint is retired: nobody waits for a report any more. */
  | { readonly type: 'abandon'; readonly reason: string };

/** What an agent reports. `seq` numbers the reports of one order from 1 without gaps. */
export type AgentEvent = { readonly seq: number; readonly at: EpochMs } & (
  | { readonly type: 'accept' }
  /** The order must not be carried out as it stands (simulation differs, content differs, malformed …). */
  | { readonly type: 'refuse'; readonly reason: string }
  /** The endpoint's owner says no (hold, never-touch list): not a failure. */
  | { readonly type: 'decline'; readonly reason: string }
  /** Everything asked for is there already, in the planned version or a newer one. */
  | { readonly type: 'satisfied' }
  /** A revert that finds something else installed than what its change installed. */
  | { readonly type: 'moot'; readonly reason: string }
  | { readonly type: 'staged' }
  | { readonly type: 'scanned' }
  /** The last moment before the package manager starts; `at` is the agent's upper estimate of server time. */
  | { readonly type: 'apply' }
  | { readonly type: 'applied'; readonly rebootRequired: boolean }
  | { readonly type: 'reboot' }
  /** The reboot that was announced did not happen, and is not covered any more: it waits for a permit again. */
  | { readonly type: 'notRebooted'; readonly reason: string }
  | { readonly type: 'booted' }
  | { readonly type: 'healthy' }
  | { readonly type: 'revertBegun'; readonly cause: string }
  /** The revert that was ordered and announced did not begin, and is not covered any more: it waits for a permit again. */
  | { readonly type: 'notBegun'; readonly reason: string }
  | { readonly type: 'failed'; readonly cause: string }
  | { readonly type: 'reverted' }
  | { readonly type: 'revertFailed'; readonly cause: string }
  /** Something worth showing that changes no state. */
  | { readonly type: 'note'; readonly text: string }
);

export type OrderEvent = ServerEvent | AgentEvent;
export type OrderEventType = OrderEvent['type'];

/** Agents number their reports; the server's own events carry no number. */
export function isAgentEvent(event: OrderEvent): event is AgentEvent {
  return 'seq' in event;
}
