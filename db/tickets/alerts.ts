/** Mails about tickets that are not as Ringmaster set them. */

import { type Attention, attentionInWords } from '../../domain/ticket/ticket.js';
import { REQUESTER } from '../approvals/people.js';
import type { Mail } from '../mail/outbox.js';
import type { Queryable } from '../pool.js';

const ASTRAY =
  'What people write there is not heard, decisions neither. The change goes on: have the ticket put back, or stop the change.';
/** What follows from it. */
const THEREFORE: Readonly<Record<Attention, string>> = {
  closedByHand: 'The change is not confirmed, and goes on: stop it in Ringmaster if it must not.',
  reopenedByHand: 'The change is over: somebody sees something that scans do not.',
  movedByHand: ASTRAY,
  mergedByHand: ASTRAY,
  deletedByHand: ASTRAY,
  unseen: ASTRAY,
};

/** To whoever requested the change and whoever was asked to approve it: one each. */
export async function loadAlertMails(
  db: Queryable,
  args: {
    readonly changeId: string;
    readonly event: {
      /** Of what happened: a mail is sent once. */
      readonly key: string;
      readonly systemName: string;
      readonly ref: string | null;
      readonly author: string | null;
    };
    readonly what: { readonly attention: Attention; readonly about: string | null };
    readonly publicUrl: string;
  },
): Promise<readonly Mail[]> {
  const { changeId, event, what } = args;
  const { rows } = await db.query<{ id: string; email: string; name: string; priority: number }>(
    `SELECT a.id, a.email, c.name, c.priority FROM change c JOIN account a
         ON a.id::text = ${REQUESTER} OR a.id IN (SELECT p.account_id FROM approval_person p JOIN approval_request r ON r.id = p.request_id
                                                  WHERE r.change_id = c.id)
      WHERE c.id = $1 AND a.disabled_at IS NULL`,
    [changeId],
  );
  const words = attentionInWords(what.attention, what.about);
  return rows.map(({ id, email, name, priority }) => {
    const by = event.author === null ? '' : ` by ${event.author}`;
    const said = `Ticket ${event.ref ?? ''} in ${event.systemName}, of the change “${name}”, is ${words}. ${THEREFORE[what.attention]}`;
    const text = `${said}\n\nDone${by}. Look at the change: ${args.publicUrl}/changes/${changeId}\n`;
    return {
      key: `ticket/${event.key}/${id}`,
      recipient: email,
      subject: `Ticket ${words}: ${name}`.replace(/[\r\n]+/g, ' '),
      text,
      html: `<p>${escapeHtml(text).replace(/\n\n/g, '</p><p>')}</p>`,
      priority,
    };
  });
}

const escapeHtml = (text: string): string => text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
