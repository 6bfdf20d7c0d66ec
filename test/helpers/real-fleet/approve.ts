/** A person who gets a mail, opens its link, and answers the page with the code that came another way. */
import { Browser } from '../browser.js';
import type { RealFleet } from '../real-fleet.js';

export interface Approver {
  readonly id: string;
  readonly email: string;
  readonly secondChannel: string;
}

export async function addApprover(fleet: RealFleet): Promise<Approver> {
  const email = 'approver@example.test';
  const secondChannel = 'approver-pager@example.test';
  const { id } = await fleet.api('POST', '/v1/accounts', {
    name: 'An approver',
    email,
    secondChannel,
    zone: 'Europe/Berlin',
    roles: ['Manager'],
  });
  return { id, email, secondChannel };
}

/** Waits for the mails, then POSTs the page's form. @returns what the mail and the page afterwards say */
export async function approveByMail(args: {
  readonly fleet: RealFleet;
  readonly approver: Approver;
  /** Name of the change. */
  readonly change: string;
}): Promise<{ mail: string; page: string }> {
  const { fleet, approver, change } = args;
  const mailTo = (address: string) =>
    fleet.waitFor(`a mail to ${address} about ${change}`, () =>
      fleet.mailbox.mails.find((mail) => mail.to === address && mail.subject.includes(change)),
    );
  const { text } = await mailTo(approver.email);
  const code = /^ +([0-9A-Z]{5}-[0-9A-Z]{5})$/m.exec((await mailTo(approver.secondChannel)).text)?.[1];
  const link = /^(http\S+\/approvals\/\S+)$/m.exec(text)?.[1];
  if (link === undefined || code === undefined) throw new Error(`no link or no code in the mails:\n${text}`);
  const browser = new Browser(fleet.apiUrl);
  const page = await browser.get(new URL(link).pathname);
  const answered = await browser.post(new URL(link).pathname, {
    _csrf: page.field('_csrf'),
    planDigest: page.field('planDigest'),
    decision: 'approve',
    comment: 'as tested',
    code,
  });
  if (answered.status !== 200) throw new Error(`the page answered ${answered.status}: ${answered.text}`);
  return { mail: text, page: answered.text };
}
