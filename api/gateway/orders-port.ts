/** What the gateway needs of the orders' owner (db/orders), injected by the composition root. */
import type { Pool } from 'pg';
import type { OpenOrder } from '../../db/orders/open-orders.js';
import type { OrderKind, OrderState } from '../../domain/order/index.js';
import type { EpochMs } from '../../domain/time.js';
import type { Envelope } from '../../protocol/envelope.js';
import type { PollRequest } from '../../protocol/messages.js';

export interface OrdersPort {
  /**
   * Takes the reports of these polls in, at most one poll of each endpoint; may halt rings in the same transaction. One entry
   * per poll, in order. Violations are refused reports, with their reasons.
   */
  readonly takeReportBatch: (
    pool: Pool,
    args: {
      readonly polls: readonly {
        readonly endpointId: string;
        readonly reports: PollRequest['reports'];
        readonly open: PollRequest['open'];
        /** The earliest server time at which the endpoint can have written this: what it says about permits is as old. */
        readonly heardAt: EpochMs;
      }[];
      readonly now: EpochMs;
      /** Their endpoints' open orders, just read. */
      readonly open: readonly OpenOrder[];
    },
  ) => Promise<
    readonly {
      readonly acks: readonly { readonly orderId: string; readonly seq: number }[];
      readonly violations: readonly unknown[];
      readonly moved: readonly { readonly orderId: string; readonly kind: OrderKind; readonly state: OrderState }[];
    }[]
  >;
  /** Hands out what these endpoints may have now; those that get nothing are left out. */
  readonly takeOfferBatch: (
    pool: Pool,
    args: {
      readonly polls: readonly {
        readonly endpointId: string;
        readonly open: PollRequest['open'];
        /** It may not be talked with now. */
        readonly silent: boolean;
      }[];
      readonly now: EpochMs;
      readonly open: readonly OpenOrder[];
    },
  ) => Promise<ReadonlyMap<string, readonly { readonly order: Envelope; readonly permit: Envelope | null }[]>>;
}
