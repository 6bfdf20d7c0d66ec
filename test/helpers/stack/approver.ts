/** A person of a {@link Stack} who approves rings in a browser's session, again and again until it is heard. */
import type { ApprovalRule } from '../../../domain/approval/rule.js';
import { Browser, type Page } from '../browser.js';
import { approvalRule } from '../scripted-activities.js';
import type { Stack } from '../stack.js';

const PASSWORD = 'a long enough password';

export interface Approver {
  /** Asks this person, and nobody else. */
  readonly rule: ApprovalRule;
  /** Whether a request of the change is open. */
  asked(changeId: string): Promise<boolean>;
  /** Signed in. */
  readonly browser: Browser;
  /** Approves the change's open request on the page its mail leads to, once. */
  decideOnPage(changeId: string): Promise<Page>;
  /** Approves the change's open request. Done once the decision is on record, whoever was killed meanwhile. */
  approve(changeId: string): Promise<void>;
}

export async function addApprover(stack: Stack, name: string): Promise<Approver> {
  const email = `${name.toLowerCase()}@example.test`;
  const person = await stack.api('POST', '/v1/accounts', { name, email, roles: ['Manager'], password: PASSWORD });
  if (person.status !== 201) throw new Error(`account refused: ${JSON.stringify(person.body)}`);
  const browser = new Browser(stack.apiUrl);
  const signIn = await browser.get('/sign-in');
  await browser.post('/sign-in', { email, password: PASSWORD, _csrf: signIn.field('_csrf') });

  const openRequest = async (changeId: string): Promise<{ id: string; plan_digest: string } | undefined> =>
    (
      await stack.rows(`SELECT id, plan_digest FROM approval_request WHERE change_id = $1 AND state = 'open'`, [
        changeId,
      ])
    )[0];
  return {
    rule: approvalRule({ from: { accounts: [person.body.id] } }),
    asked: async (changeId) => (await openRequest(changeId)) !== undefined,
    browser,
    decideOnPage: async (changeId) => {
      const [{ locator }] = await stack.rows(
        `SELECT p.locator FROM approval_request r JOIN approval_person p ON p.request_id = r.id
          WHERE r.change_id = $1 AND r.state = 'open' AND p.account_id = $2`,
        [changeId, person.body.id],
      );
      const path = `/approvals/${locator}`;
      const page = await browser.get(path);
      const fields = { _csrf: page.field('_csrf'), planDigest: page.field('planDigest') };
      return browser.post(path, { ...fields, decision: 'approve', comment: '', code: '' });
    },
    approve: async (changeId) => {
      const request = await openRequest(changeId);
      if (request === undefined) throw new Error(`nobody is asked about ${changeId}`);
      const body = JSON.stringify({ decision: 'approve', planDigest: request.plan_digest });
      const headers = { 'content-type': 'application/json', origin: stack.apiUrl };
      for (let tries = 1; ; tries++) {
        const answer = await browser
          .send('POST', `/v1/approvals/${request.id}/decisions`, { body, headers })
          .catch((error: Error) => ({ status: 599, text: error.message }));
        // 409: an earlier try got through, its answer did not.
        if ([201, 202, 409].includes(answer.status)) return;
        if (answer.status < 500 || tries === 200) throw new Error(`approval: ${answer.status} ${answer.text}`);
        await new Promise((resolve) => setTimeout(resolve, 150));
      }
    },
  };
}
