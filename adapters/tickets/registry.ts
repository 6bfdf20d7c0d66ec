/** Every ticket system that can be worked with: a folder each, and one line here. */
import type { TicketProvider } from './port.js';
import { requestTracker } from './request-tracker/index.js';
import { webhook } from './webhook/index.js';

export const TICKET_PROVIDERS: ReadonlyMap<string, TicketProvider> = new Map(
  [requestTracker as TicketProvider<never>, webhook as TicketProvider<never>].map((p) => [p.name, p as TicketProvider]),
);
