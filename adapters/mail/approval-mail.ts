/** The mails of an approval: the request itself (what, why, where, when, risk, test, left out), and the one-time code. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import Handlebars from 'handlebars';
import { type Evidence, endpointsInWords } from '../../domain/approval/evidence.js';

export interface MailText {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

export interface ApprovalMailView {
  readonly evidence: Evidence;
  readonly who: string;
  readonly via: string;
  readonly url: string;
  /** With its zone, in the reader's: "Mon 30 Nov 2026 09:00 Europe/Berlin". */
  readonly expires: string;
  readonly highRisk: boolean;
  /** How this person's one-time code travels; null: it can't. */
  readonly codeWay: 'secondChannel' | 'mailbox' | null;
  readonly reminder: boolean;
}

export interface CodeMailView {
  readonly who: string;
  readonly change: string;
  readonly ring: number;
  readonly code: string;
  readonly digest: string;
}

const template = (name: string, escapes: boolean) => {
  const source = readFileSync(fileURLToPath(new URL(`./templates/${name}.hbs`, import.meta.url)), 'utf8');
  const handlebars = Handlebars.create();
  handlebars.registerHelper('count', endpointsInWords);
  return handlebars.compile(source, { noEscape: !escapes, strict: false });
};

const approvalText = template('approval.txt', false);
const approvalHtml = template('approval.html', true);
const codeText = template('code.txt', false);
const codeHtml = template('code.html', true);

/** Line ends of every kind, and what turns the reading direction round: text that shows other than it is. */
const UNSEEN = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gu;

/** Header values hold one line, whatever a change is called. */
const oneLine = (text: string) => text.replace(UNSEEN, ' ').slice(0, 200);

/** The same for every text of the evidence: no name and no endpoint's own words may look like a section of ours. */
function flat<T>(value: T): T {
  const replaced = (_: string, one: unknown) => (typeof one === 'string' ? one.replace(UNSEEN, ' ') : one);
  return JSON.parse(JSON.stringify(value, replaced)) as T;
}

export function renderApprovalMail(view: ApprovalMailView): MailText {
  const e = flat(view.evidence);
  const data = {
    ...view,
    e,
    moreEndpoints: e.ring.endpoints - e.endpointNames.length,
    moreUpdates: e.totals.updates - e.updates.length,
    moreLeftOut: e.totals.leftOut - e.leftOut.length,
    code: codeSentence(view),
  };
  return {
    subject: oneLine(
      `${view.reminder ? 'Reminder: ' : ''}Approve or reject: ${e.change.name}, ring ${e.ring.ordinal} (${e.ring.name})`,
    ),
    text: approvalText(data),
    html: approvalHtml(data),
  };
}

function codeSentence({ highRisk, codeWay }: ApprovalMailView): string {
  if (codeWay === 'secondChannel') {
    return highRisk
      ? 'This is a high-risk change. The page asks for the one-time code that was sent to your second channel.'
      : 'The page asks you to sign in, or for the one-time code that was sent to your second channel.';
  }
  if (highRisk) {
    return 'This is a high-risk change, and you have no second channel for the one-time code it needs: you can read, but not decide. An administrator can set one; it holds from the next request on.';
  }
  return 'The page asks you to sign in, or for the one-time code that comes in a mail of its own.';
}

export function renderCodeMail(view: CodeMailView): MailText {
  return { subject: oneLine(`One-time code for ${view.change}`), text: codeText(view), html: codeHtml(view) };
}
