/** Takes a poll's reply into the journal: acknowledgements, orders, permits. */
import { isMutating } from '../../domain/order/index.js';
import type { OrderDocument, PollReply } from '../../protocol/messages.js';
import { type AdmissionContext, admitOrder, admitPermit } from './admission.js';
import { isBegun, isOpen, knows, openOrders, unheard } from './book.js';
import type { Ledger } from './ledger.js';

export type IntakeContext = AdmissionContext;

/** Returns what could not be trusted, for people to see; nothing of it was taken in. */
export function takeReply(
  ledger: Ledger,
  reply: Pick<PollReply, 'acks' | 'orders'>,
  context: IntakeContext,
): readonly string[] {
  for (const { orderId, seq } of reply.acks) takeAck(ledger, orderId, seq);
  return reply.orders.flatMap(({ order, permit }) => {
    const admitted = admitOrder(order, context);
    if (admitted.kind === 'untrusted') return [admitted.reason];
    if (admitted.kind === 'refused') {
      if (!knows(ledger.book, admitted.orderId)) {
        ledger.take({ orderId: admitted.orderId, kind: admitted.orderKind, doc: null });
        ledger.report(admitted.orderId, { type: 'refuse', reason: admitted.reason });
      }
      // Known already and refused now (expired since, say): what the journal says of it stands.
      if (ledger.book.orders[admitted.orderId]?.doc == null) return [];
    }
    const orderId = admitted.kind === 'order' ? admitted.doc.orderId : admitted.orderId;
    if (admitted.kind === 'order') takeOrder(ledger, admitted.doc);
    const entry = ledger.book.orders[orderId];
    if (permit === null || entry === undefined || entry.doc === null || !isOpen(entry)) return [];
    const permitted = admitPermit(permit, entry.doc, context);
    if (permitted.kind === 'untrusted') return [permitted.reason];
    const { startBy, rebootBy } = permitted.permit;
    if (entry.permit?.startBy !== startBy || entry.permit.rebootBy !== rebootBy) ledger.permit(permitted.permit);
    return [];
  });
}

function takeAck(ledger: Ledger, orderId: string, seq: number): void {
  const entry = ledger.book.orders[orderId];
  if (entry === undefined) return;
  if (seq > entry.core.seq) {
    ledger.quarantine(
      `the server holds report ${seq} of order ${orderId}, this journal only ${entry.core.seq}: it was put back`,
    );
    return;
  }
  ledger.acked(orderId, seq);
}

function takeOrder(ledger: Ledger, doc: OrderDocument): void {
  const known = ledger.book.orders[doc.orderId];
  if (known !== undefined) {
    // Offered again although it is done: the server lost what we said, so all of it is said again.
    if (!isOpen(known) && known.dropped === null && unheard(known).length === 0) ledger.acked(doc.orderId, 0);
    // It never began, and its server (restored from a backup) does not know that it was taken back: it goes on where it was.
    if (known.dropped !== null && known.doc !== null) ledger.undrop(doc.orderId);
    return;
  }
  if (knows(ledger.book, doc.orderId)) return;
  if (isMutating(doc.kind)) {
    // The server lets out one changing order per endpoint, so one that has not begun has been taken back.
    for (const other of openOrders(ledger.book)) {
      const waits = !isBegun(other.core.state) && other.core.state !== 'awaitingReboot';
      if (isMutating(other.kind) && waits) ledger.drop(other.orderId, `the server let out ${doc.orderId} instead`);
    }
  }
  ledger.take({ orderId: doc.orderId, kind: doc.kind, doc });
}
