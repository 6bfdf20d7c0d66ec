/**
 * What Ringmaster asks of a ticket system. Everything may be asked again: a provider looks, by the key it was given, whether it
 * has been done already, because an answer that was lost says nothing. docs/tickets.md shows how other systems fit.
 */
import type { z } from 'zod';
import type { Astray, NewTicket, TicketEvent, TicketState } from '../../domain/ticket/ticket.js';
import type { EpochMs } from '../../domain/time.js';

export interface TicketRef {
  /** Its number or id there. */
  readonly ref: string;
  /** For people; null: there is no such page. */
  readonly url: string | null;
}

export interface TicketView extends TicketRef {
  readonly state: TicketState;
  /** Who changed it last, as named there; null: unknown. */
  readonly lastBy: string | null;
}

/** What came of setting a state: as wanted, or a person had closed or reopened it and it stays so. */
export type Transitioned = { readonly kind: 'set' | 'already' } | { readonly kind: 'left'; readonly view: TicketView };

/** What people did since, and up to when that is complete. */
export interface Heard {
  readonly events: readonly TicketEvent[];
  /** Tickets by key that go by another number from now on. */
  readonly moved: ReadonlyMap<string, string>;
  readonly until: EpochMs;
}

/** A ticket that is where it was, or is not. */
export type Whereabouts =
  | { readonly kind: 'there'; readonly state: TicketState }
  | {
      readonly kind: Astray;
      /** Where it is, in words; null: that says it all. */
      readonly about: string | null;
      /** Who changed it last, as named there; null: unknown. */
      readonly by: string | null;
    };

export interface TicketSystem {
  /** What is wrong with how it is set up, in words for an administrator; null when it can be worked with. */
  check(): Promise<string | null>;
  /** Opens the ticket of that key, or finds the one there is. Never leaves two. */
  open(ticket: NewTicket): Promise<TicketView>;
  /** Adds a comment unless one with that key is there. */
  comment(args: {
    readonly ref: string;
    readonly ticketKey: string;
    readonly key: string;
    readonly text: string;
    /** It may be there: an earlier attempt was not answered. */
    readonly again: boolean;
  }): Promise<void>;
  /**
   * Sets the state. Where a person closed it meanwhile it is left so; never overwrites a change it has not seen.
   * @param args.reopen also from a closed state: told by evidence that what was said to be done is not.
   */
  transition(args: {
    readonly ref: string;
    readonly ticketKey: string;
    readonly key: string;
    readonly to: TicketState;
    readonly reopen: boolean;
  }): Promise<Transitioned>;
  /** As it is now; null where the system can't be asked, or has no such ticket. */
  read(ref: string): Promise<TicketView | null>;
  /** Notes that this ticket belongs to another page or ticket. */
  link(args: {
    readonly ref: string;
    readonly ticketKey: string;
    readonly key: string;
    readonly url: string;
    readonly title: string;
  }): Promise<void>;
  /**
   * Where these tickets are, by `ref`; left out of the answer: can't be told now. Left out as a whole: the system can't be asked.
   * @throws TrackerRefused when none can be seen: that is no matter of tickets
   */
  locate?(
    tickets: readonly { readonly ref: string; readonly ticketKey: string }[],
  ): Promise<ReadonlyMap<string, Whereabouts>>;
  /** How often it is to be asked what people did; left out: see `hear`. */
  readonly hearEveryMs?: number;
  /** Left out: the system tells by itself (a webhook). */
  hear?(args: {
    readonly since: EpochMs | null;
    readonly now: EpochMs;
    /** What we know tickets of these keys as; one that shows up under another number is a second one, and becomes part of the first. */
    readonly refsOf: (keys: readonly string[]) => Promise<ReadonlyMap<string, string>>;
    /** Which of these events need not be told again. */
    readonly known: (externalIds: readonly string[]) => Promise<ReadonlySet<string>>;
  }): Promise<Heard>;
}

export interface ProviderContext<S> {
  readonly settings: S;
  /** The password, token or signing secret; null: none was given. */
  readonly secret: string | null;
  readonly clock: () => EpochMs;
  /** Where Ringmaster itself is, without a trailing slash. */
  readonly publicUrl: string;
  readonly signal?: AbortSignal;
}

export interface TicketProvider<S = unknown> {
  readonly name: string;
  readonly settings: z.ZodType<S>;
  /** What the secret is, for the one who is asked for it; null: it takes none. */
  readonly secretIs: string;
  /** What is wrong with a secret; null when it may do. */
  checkSecret(secret: string): string | null;
  create(context: ProviderContext<S>): TicketSystem;
}

/** The tracker could not be reached, was too slow, or failed: nobody knows whether it was done. */
export class TrackerAway extends Error {
  constructor(
    message: string,
    /** So long it may still be at it: what is asked again sooner may find nothing, and be done twice. */
    readonly settleMs = 0,
  ) {
    super(message);
  }
}

/** The tracker understood and said no. */
export class TrackerRefused extends Error {
  constructor(
    message: string,
    readonly status: number | null = null,
  ) {
    super(message);
  }
}
