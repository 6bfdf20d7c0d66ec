/** Tickets in a real Request Tracker 5. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import type { TicketSystem } from '../../adapters/tickets/port.js';
import { TICKET_PROVIDERS } from '../../adapters/tickets/registry.js';
import type { Json } from '../helpers/agent-client.js';
import { type SeededAccount, seedAccount, seedChange, seedEndpoint } from '../helpers/seed-change.js';
import { TicketRig } from './rig.js';
import { describeRequestTracker, passwordOf, type RequestTracker, startRequestTracker } from './rt/request-tracker.js';

jest.setTimeout(120_000);

describeRequestTracker('Request Tracker 5', () => {
  let rt: RequestTracker;
  let rig: TicketRig;
  let requester: SeededAccount;
  let alice: SeededAccount;
  let system: Json;

  beforeAll(async () => {
    [rt, rig] = await Promise.all([startRequestTracker(), TicketRig.start()]);
    requester = await seedAccount(rig.db.pool, { name: 'Requester', roles: ['Manager'] });
    alice = await seedAccount(rig.db.pool, { name: 'Alice', roles: ['Manager'] });
    system = await rig.makeSystem({
      name: 'RT',
      provider: 'request-tracker',
      settings: { url: rt.url, user: 'ringmaster', queue: 'Patching', digestField: 'PlanDigest' },
      secret: passwordOf('ringmaster'),
      policy: { approvals: 'inTicket', people: [{ author: 'alice', accountId: alice.id }] },
    });
  });
  afterAll(async () => {
    await rig?.stop();
    await rt?.stop();
  });

  const change = async () => {
    const test = await seedEndpoint(rig.db.pool, { name: `test-${randomUUID().slice(0, 8)}` });
    const seeded = await seedChange(rig.db.pool, {
      requestedBy: requester.id,
      rings: [
        {
          name: 'test',
          endpoints: [test],
          updates: [{ name: 'curl', from: '8.0-1', to: '8.0-2', cves: ['CVE-2026-1'] }],
        },
      ],
    });
    await rig.freeze(seeded.changeId);
    return { ...seeded, endpointId: test };
  };
  const texts = async (ref: string): Promise<string[]> => {
    const { json } = await rt.as('root', 'GET', `/ticket/${ref}/attachments?fields=Content&per_page=100`);
    return json.items.map((item: Json) => item.Content as string);
  };

  it('opens a change’s ticket with plan and evidence, comments at each stage, and closes it when it is confirmed', async () => {
    const { changeId, planDigest } = await change();
    await rig.deliver();
    const [ticket] = await rig.tickets(changeId);
    expect(ticket).toMatchObject({ state: 'open', ref: expect.stringMatching(/^\d+$/), waiting: 0 });
    const { json } = await rt.as('root', 'GET', `/ticket/${ticket?.ref}`);
    expect(json).toMatchObject({ Status: 'new', Subject: 'Patch cycle: November' });
    expect(json.CustomFields.map((f: Json) => [f.name, f.values])).toEqual(
      expect.arrayContaining([
        ['RingmasterKey', [`change/${changeId}`]],
        ['PlanDigest', [planDigest]],
      ]),
    );
    const [first] = await texts(ticket?.ref);
    for (const part of [planDigest, 'requested by Requester', 'curl 8.0-1 → 8.0-2', 'CVE-2026-1', 'monthly'])
      expect(first).toContain(part);

    await rig.project(changeId, 'deploy', 'Ring 0 waits for hours of operation');
    await rig.project(changeId, 'confirm');
    await rig.deliver();
    expect((await rt.as('root', 'GET', `/ticket/${ticket?.ref}`)).json.Status).toBe('new');
    await rig.close(changeId, 'completed', { confirmed: 1 });
    await rig.deliver();
    const said = await texts(ticket?.ref);
    expect(said.map((text) => text.split('\n')[0]?.replace(/^.* UTC · /, ''))).toEqual([
      expect.stringContaining('requested by Requester'),
      'Stage deploy; waits: Ring 0 waits for hours of operation',
      'Stage confirm',
      'The change is closed: completed',
    ]);
    expect((await rt.as('root', 'GET', `/ticket/${ticket?.ref}`)).json.Status).toBe('resolved');
    expect((await rig.tickets(changeId))[0]).toMatchObject({ state: 'done', wanted: 'done', attention: null });
  });
});
