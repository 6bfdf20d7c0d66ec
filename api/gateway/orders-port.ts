/** What the gateway needs of the orders' owner (db/orders), injected by the composition root. */
import type { Pool } from 'pg';
import type { EpochMs } from '../../domain/time.js';
import type { Envelope } from '../../protocol/envelope.js';
import type { PollRequest } from '../../protocol/messages.js';

export interface OrdersPort {
  /** Takes the reports in; may halt rings in the same transaction. Violations are refused reports, with their reasons. */
  readonly takeReports: (
    pool: Pool,
    args: {
      endpointId: string;
      reports: PollRequest['reports'];
      open: PollRequest['open'];
      /** The earliest server time at which the endpoint can have written this: what it says about permits is as old. */
      heardAt: EpochMs;
      now: EpochMs;
    },
  ) => Promise<{
    readonly acks: readonly { readonly orderId: string; readonly seq: number }[];
    readonly violations: readonly unknown[];
  }>;
  /** Hands out what the endpoint may have now. */
  readonly takeOffers: (
    pool: Pool,
    args: { endpointId: string; open: PollRequest['open']; now: EpochMs },
  ) => Promise<readonly { readonly order: Envelope; readonly permit: Envelope | null }[]>;
}
