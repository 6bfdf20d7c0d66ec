/** What tests of zero-days share: an expedite policy that asks nobody, and a look at what became of a change. */
import { Client, Connection, WorkflowNotFoundError } from '@temporalio/client';
import type { ExpeditePolicy } from '../../domain/zero-day/expedite-policy.js';
import { eventually } from '../helpers/api-process.js';
import { Browser } from '../helpers/browser.js';
import { ringOf, type Stack } from '../helpers/stack.js';

export const expeditePolicy = (over: Partial<ExpeditePolicy> = {}): ExpeditePolicy => ({
  rings: [ringOf({ name: 'everyone', maxInFlight: 50 })],
  deadlineMinutes: 600,
  offlineAfterMinutes: 60,
  dueMinutes: 120,
  override: null,
  ...over,
});

export async function putPolicy(stack: Stack, over: Partial<ExpeditePolicy> = {}): Promise<void> {
  const reply = await stack.api('PUT', '/v1/expedite-policy', expeditePolicy(over));
  if (reply.status !== 200) throw new Error(JSON.stringify(reply.body));
}

/** Of a workflow, as Temporal has it; waits for the relay to have started it, which it does after the reply. */
export async function describeWorkflow(stack: Stack, id: string) {
  const connection = await Connection.connect({ address: stack.temporalAddress });
  try {
    const handle = new Client({ connection }).workflow.getHandle(id);
    const described = await eventually(
      () =>
        handle.describe().catch((error: unknown) => {
          if (error instanceof WorkflowNotFoundError) return null;
          throw error;
        }),
      (answer) => answer !== null,
    );
    if (described === null) throw new Error(`no workflow ${id}`);
    return described;
  } finally {
    await connection.close();
  }
}

export interface Manager {
  readonly id: string;
  readonly browser: Browser;
}

const PASSWORD = 'correct horse battery staple';

/** A second person, signed in with a browser. */
export async function addManager(stack: Stack, name: string): Promise<Manager> {
  const email = `${name}@example.test`;
  const made = await stack.api('POST', '/v1/accounts', { name, email, roles: ['Manager'], password: PASSWORD });
  if (made.status !== 201) throw new Error(JSON.stringify(made.body));
  const browser = new Browser(stack.apiUrl);
  const page = await browser.get('/sign-in');
  const reply = await browser.post('/sign-in', { _csrf: page.field('_csrf'), next: '/', email, password: PASSWORD });
  if (reply.status !== 303) throw new Error(`${name} can't sign in: ${reply.status}`);
  return { id: made.body.id, browser };
}

/** Waits for the request of a change's ring that has these words in its evidence, and decides on its page. @returns the page as it was before */
export async function decide(
  stack: Stack,
  args: {
    readonly changeId: string;
    readonly person: Manager;
    readonly decision: 'approve' | 'reject';
    readonly ring?: number;
  },
): Promise<string> {
  let locator = '';
  await stack.waitFor('the request', async () => {
    const rows = await stack.rows(
      `SELECT p.locator FROM approval_request r JOIN approval_person p ON p.request_id = r.id
        WHERE r.change_id = $1 AND r.ring = $2 AND r.state = 'open' AND p.account_id = $3`,
      [args.changeId, args.ring ?? 0, args.person.id],
    );
    locator = rows[0]?.locator ?? '';
    return locator !== '';
  });
  const path = `/approvals/${locator}`;
  const page = await args.person.browser.get(path);
  const reply = await args.person.browser.post(path, {
    _csrf: page.field('_csrf'),
    planDigest: page.field('planDigest'),
    decision: args.decision,
    comment: '',
  });
  if (reply.status !== 200) throw new Error(`deciding answered ${reply.status}: ${reply.text}`);
  return page.text;
}
