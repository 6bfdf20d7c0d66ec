/** The one way to change the book: on disk first, then in memory. */
import type { AgentReport, OrderDocument, PermitDocument } from '../../protocol/messages.js';
import type { Journal, StoredRecord } from '../journal/journal.js';
import { applyRecord, type Book, EMPTY_BOOK, nextCore, type OrderEntry, type OrderRecord, trimBook } from './book.js';

/** A report without what the ledger itself knows: number and time. */
export type ReportBody = AgentReport extends infer R ? (R extends unknown ? Omit<R, 'seq' | 'at'> : never) : never;

export interface Ledger {
  readonly book: Book;
  readonly journalSeq: number;
  entry(orderId: string): OrderEntry;
  /** What an order is asked to do. @throws Error for one that was refused as unreadable. */
  doc(orderId: string): OrderDocument;
  take(order: {
    readonly orderId: string;
    readonly kind: OrderDocument['kind'];
    readonly doc: OrderDocument | null;
  }): void;
  permit(permit: PermitDocument): void;
  /** Moves the order by the shared table and keeps the report until the server holds it. */
  report(orderId: string, body: ReportBody): void;
  step(orderId: string, name: string, data: unknown): void;
  acked(orderId: string, seq: number): void;
  drop(orderId: string, reason: string): void;
  undrop(orderId: string): void;
  quarantine(reason: string): void;
}

/** The journal can't be written: nothing may begin any more. The process ends, and its supervisor starts it again. */
export class JournalFailed extends Error {
  override readonly name = 'JournalFailed';
}

const COMPACT_ABOVE = 4 * 1024 * 1024;
/** Texts of the wire are at most 2,000 characters. */
const MAX_TEXT = 2_000;

export function createLedger(deps: {
  readonly journal: Journal;
  readonly records: readonly StoredRecord[];
  /** The latest the server's clock can show, epoch ms: the stamp of every report. */
  readonly now: () => number;
  /** Called after each change, with the order it is about. */
  readonly changed?: (orderId: string | null) => void;
}): Ledger {
  let book = deps.records.reduce<Book>(applyRecord, EMPTY_BOOK);
  let compactAbove = COMPACT_ABOVE;
  const write = (record: OrderRecord) => {
    try {
      deps.journal.append(record);
    } catch (cause) {
      throw new JournalFailed(`the journal can't be written: ${(cause as Error).message}`, { cause });
    }
    book = applyRecord(book, record);
    if (deps.journal.size > compactAbove) {
      book = trimBook(book);
      deps.journal.compact({ type: 'snapshot', book });
      compactAbove = Math.max(COMPACT_ABOVE, 2 * deps.journal.size);
    }
    deps.changed?.('orderId' in record ? record.orderId : null);
  };
  const entry = (orderId: string): OrderEntry => {
    const found = book.orders[orderId];
    if (found === undefined) throw new Error(`order ${orderId} is not in the journal`);
    return found;
  };
  return {
    get book() {
      return book;
    },
    get journalSeq() {
      return deps.journal.seq;
    },
    entry,
    doc(orderId) {
      const { doc } = entry(orderId);
      if (doc === null) throw new Error(`order ${orderId} has no document`);
      return doc;
    },
    take: (order) => write({ type: 'order', ...order }),
    permit: (permit) => write({ type: 'permit', orderId: permit.orderId, permit }),
    report(orderId, body) {
      const { core } = entry(orderId);
      const report = { ...shortened(body), seq: core.seq + 1, at: deps.now() } as AgentReport;
      nextCore(core, report);
      write({ type: 'report', orderId, report });
    },
    step: (orderId, name, data) => write({ type: 'step', orderId, name, data }),
    acked(orderId, seq) {
      if (entry(orderId).acked !== seq) write({ type: 'acked', orderId, seq });
    },
    drop: (orderId, reason) => write({ type: 'drop', orderId, reason }),
    undrop: (orderId) => write({ type: 'undrop', orderId }),
    quarantine(reason) {
      if (book.quarantine === null) write({ type: 'quarantine', reason });
    },
  };
}

function shortened(body: ReportBody): ReportBody {
  const copy: Record<string, unknown> = { ...body };
  for (const field of ['reason', 'cause', 'text']) {
    const value = copy[field];
    if (typeof value === 'string') copy[field] = value.slice(0, MAX_TEXT);
  }
  return copy as ReportBody;
}
