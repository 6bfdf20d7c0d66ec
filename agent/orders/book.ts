/** The journal folded up: every order this endpoint was given, where it stands, and what the server has not heard yet. */
import {
  type OrderCore,
  type OrderKind,
  type OrderState,
  offeredOrder,
  reduceOrder,
  STATE_TRAITS,
} from '../../domain/order/index.js';
import type { AgentReport, OrderDocument, PermitDocument } from '../../protocol/messages.js';
import type { RecordBody } from '../journal/journal.js';

export interface OrderEntry {
  readonly orderId: string;
  readonly kind: OrderKind;
  /** Null only for an order that was refused because it could not be read. */
  readonly doc: OrderDocument | null;
  readonly core: OrderCore;
  /** What was or will be reported, seq 1 first. Empty when the order is done, heard, and long ago. */
  readonly reports: readonly AgentReport[];
  /** The last report the server holds, as far as we know. */
  readonly acked: number;
  readonly permit: PermitDocument | null;
  /** What the executor noted down for itself, by name. */
  readonly steps: Readonly<Record<string, unknown>>;
  /** Why it will never begin here although no report ended it: taken back, or its deadline passed. */
  readonly dropped: string | null;
}

export type OrderRecord =
  | { readonly type: 'order'; readonly orderId: string; readonly kind: OrderKind; readonly doc: OrderDocument | null }
  | { readonly type: 'report'; readonly orderId: string; readonly report: AgentReport }
  | { readonly type: 'permit'; readonly orderId: string; readonly permit: PermitDocument }
  | { readonly type: 'step'; readonly orderId: string; readonly name: string; readonly data: unknown }
  | { readonly type: 'acked'; readonly orderId: string; readonly seq: number }
  | { readonly type: 'drop'; readonly orderId: string; readonly reason: string }
  /** Offered again after it had been dropped: its server was put back to an earlier time. */
  | { readonly type: 'undrop'; readonly orderId: string }
  | { readonly type: 'quarantine'; readonly reason: string }
  | { readonly type: 'snapshot'; readonly book: Book };

export interface Book {
  readonly orders: Readonly<Record<string, OrderEntry>>;
  /** Ids of orders so old that only this is left of them: they are never begun again. */
  readonly forgotten: readonly string[];
  /** Why this endpoint must not change anything until a person looked at it. */
  readonly quarantine: string | null;
}

export const EMPTY_BOOK: Book = { orders: {}, forgotten: [], quarantine: null };

/** How many settled orders keep their reports, so that the same order offered again is answered from the journal. */
const KEEP_SETTLED = 200;

/** One record taken in. Records of a kind we do not know (a newer agent's) change nothing. */
export function applyRecord(book: Book, record: OrderRecord | RecordBody): Book {
  const known = record as OrderRecord;
  switch (known.type) {
    case 'snapshot':
      return known.book;
    case 'quarantine':
      return { ...book, quarantine: known.reason };
    case 'order':
      return withEntry(book, {
        orderId: known.orderId,
        kind: known.kind,
        doc: known.doc,
        core: offeredOrder(known.kind),
        reports: [],
        acked: 0,
        permit: null,
        steps: {},
        dropped: null,
      });
    case 'report':
    case 'permit':
    case 'step':
    case 'acked':
    case 'undrop':
    case 'drop': {
      const entry = book.orders[known.orderId];
      return entry === undefined ? book : withEntry(book, changeEntry(entry, known));
    }
    default:
      return book;
  }
}

/** Whether anything is left to do for it here. */
export function isOpen(entry: OrderEntry): boolean {
  return !STATE_TRAITS[entry.core.state].final && entry.dropped === null;
}

export function openOrders(book: Book): OrderEntry[] {
  return Object.values(book.orders).filter(isOpen);
}

/** Reports the server does not hold yet, in order. */
export function unheard(entry: OrderEntry): readonly AgentReport[] {
  return entry.reports.filter((report) => report.seq > entry.acked);
}

export function knows(book: Book, orderId: string): boolean {
  return book.orders[orderId] !== undefined || book.forgotten.includes(orderId);
}

/** The same book with less to it: settled and heard orders lose their documents, the oldest of them all but their id. */
export function trimBook(book: Book): Book {
  const entries = Object.values(book.orders);
  const settled = entries.filter((entry) => !isOpen(entry) && unheard(entry).length === 0);
  const gone = new Set(settled.slice(0, Math.max(0, settled.length - KEEP_SETTLED)).map((entry) => entry.orderId));
  const kept = entries.filter((entry) => !gone.has(entry.orderId));
  return {
    quarantine: book.quarantine,
    forgotten: [...book.forgotten, ...gone],
    orders: Object.fromEntries(kept.map((entry) => [entry.orderId, settled.includes(entry) ? slim(entry) : entry])),
  };
}

/** `transaction` stays: a later revert order asks what this one really replaced. */
function slim(entry: OrderEntry): OrderEntry {
  const { transaction } = entry.steps;
  return {
    ...entry,
    doc: null,
    permit: null,
    steps: transaction === undefined ? {} : { transaction },
    reports: entry.reports.map(({ detail: _, ...report }) => report as AgentReport),
  };
}

function changeEntry(
  entry: OrderEntry,
  record: Exclude<OrderRecord, { type: 'order' | 'quarantine' | 'snapshot' }>,
): OrderEntry {
  switch (record.type) {
    case 'report':
      return { ...entry, core: nextCore(entry.core, record.report), reports: [...entry.reports, record.report] };
    case 'permit':
      return { ...entry, permit: record.permit };
    case 'step':
      return { ...entry, steps: { ...entry.steps, [record.name]: record.data } };
    case 'acked':
      return { ...entry, acked: record.seq };
    case 'drop':
      return { ...entry, dropped: record.reason };
    case 'undrop':
      return { ...entry, dropped: null };
  }
}

/**
 * Where a report leads, by the shared table.
 * @throws Error when the table refuses it: we would be telling the server something it can't take in.
 */
export function nextCore(core: OrderCore, report: AgentReport): OrderCore {
  const result = reduceOrder(core, report);
  if (result.kind !== 'moved') {
    throw new Error(
      `report ${report.seq} ${report.type} in ${core.state}: ${result.kind === 'refused' ? result.reason : result.kind}`,
    );
  }
  return result.order;
}

/** States the agent itself moves an order out of, without waiting for anybody. */
export function isBegun(state: OrderState): boolean {
  return ['applying', 'rebooting', 'verifying', 'reverting'].includes(state);
}

function withEntry(book: Book, entry: OrderEntry): Book {
  return { ...book, orders: { ...book.orders, [entry.orderId]: entry } };
}
