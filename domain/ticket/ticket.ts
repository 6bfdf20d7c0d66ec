/** What tickets are to Ringmaster, whatever system keeps them. */

/** Where a ticket is: not looked at, worked on, finished, or given up. Each provider maps its own words to these. */
export const TICKET_STATES = ['open', 'working', 'done', 'cancelled'] as const;
export type TicketState = (typeof TICKET_STATES)[number];

export const isClosed = (state: TicketState): boolean => state === 'done' || state === 'cancelled';

/** Ways in which a ticket is not as it was set. The latter four: it is not where it was, so what people write there may not be heard. */
export const ATTENTIONS = [
  'closedByHand',
  'reopenedByHand',
  'movedByHand',
  'mergedByHand',
  'deletedByHand',
  'unseen',
] as const;
export type Attention = (typeof ATTENTIONS)[number];
export type Astray = Exclude<Attention, 'closedByHand' | 'reopenedByHand'>;

/** @param about the queue, or the other ticket */
export function attentionInWords(attention: Attention, about: string | null): string {
  switch (attention) {
    case 'closedByHand':
      return 'closed by hand';
    case 'reopenedByHand':
      return 'opened again by hand';
    case 'movedByHand':
      return `moved by hand to ${about ?? 'another queue'}`;
    case 'mergedByHand':
      return `merged by hand into ${about ?? 'another ticket'}`;
    case 'deletedByHand':
      return 'deleted by hand';
    case 'unseen':
      return 'not to be seen there any more';
  }
}

export interface NewTicket {
  /** What it is found by: `change/<id>`, `work/<id>`. Lower-case letters, digits, dashes and slashes only. */
  readonly key: string;
  readonly subject: string;
  /** Plain text. */
  readonly text: string;
  /** Of the plan it is about; null: of none. */
  readonly planDigest: string | null;
  /** Where it can be looked at in the console. */
  readonly link: string;
}

/** Something a person did in a ticket, as the tracker tells it. */
export interface TicketEvent {
  /** The tracker's own id of it: hearing it again is hearing it once. */
  readonly externalId: string;
  readonly key: string | null;
  readonly ref: string | null;
  readonly type: 'comment' | 'state';
  /** As named there; null: nobody can tell. */
  readonly author: string | null;
  /** The tracker itself knows the author: signed in there, not a mail's From line. */
  readonly vouched: boolean;
  readonly state: TicketState | null;
  /** Plain text, as far as it could be read; null for a change of state. */
  readonly text: string | null;
  readonly at: number;
}

const KEY = /^[a-z]{1,20}\/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Whether a text from outside is a key of ours. */
export const isTicketKey = (text: string): boolean => KEY.test(text);
