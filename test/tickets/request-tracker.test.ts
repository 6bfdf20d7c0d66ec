/** Tickets in a real Request Tracker 5. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { MINUTE } from '../../domain/time.js';
import type { Json } from '../helpers/agent-client.js';
import { type SeededAccount, seedAccount, seedChange, seedEndpoint, seedOutcome } from '../helpers/seed-change.js';
import { type FaultyProxy, startFaultyProxy } from './faulty-proxy.js';
import { TicketRig } from './rig.js';
import { describeRequestTracker, passwordOf, type RequestTracker, startRequestTracker } from './rt/request-tracker.js';

jest.setTimeout(300_000);

describeRequestTracker('Request Tracker 5', () => {
  let rt: RequestTracker;
  let proxy: FaultyProxy;
  let rig: TicketRig;
  let requester: SeededAccount;
  let alice: SeededAccount;

  beforeAll(async () => {
    [rt, rig] = await Promise.all([startRequestTracker(), TicketRig.start()]);
    proxy = await startFaultyProxy(rt.url);
    requester = await seedAccount(rig.db.pool, { name: 'Requester', roles: ['Manager'] });
    alice = await seedAccount(rig.db.pool, { name: 'Alice', roles: ['Manager'] });
    await rig.makeSystem({
      name: 'RT',
      provider: 'request-tracker',
      settings: {
        url: proxy.url,
        user: 'ringmaster',
        queue: 'Patching',
        digestField: 'PlanDigest',
        timeoutSeconds: 20,
      },
      secret: passwordOf('ringmaster'),
      policy: {
        approvals: 'inTicket',
        people: [
          { author: 'alice', accountId: alice.id },
          { author: 'bob', accountId: requester.id },
        ],
      },
    });
  });
  afterAll(async () => {
    await rig?.stop();
    await proxy?.close();
    await rt?.stop();
  });

  const change = async () => {
    const endpointId = await seedEndpoint(rig.db.pool, { name: `test-${randomUUID().slice(0, 8)}` });
    const updates = [{ name: 'curl', from: '8.0-1', to: '8.0-2', cves: ['CVE-2026-1'] }];
    const rings = [{ name: 'test', endpoints: [endpointId], updates }];
    const seeded = await seedChange(rig.db.pool, { requestedBy: requester.id, rings });
    await rig.freeze(seeded.changeId);
    return { ...seeded, endpointId };
  };
  const opened = async () => {
    const made = await change();
    await rig.deliver();
    const [ticket] = await rig.tickets(made.changeId);
    return { ...made, ref: ticket?.ref as string };
  };
  const texts = async (ref: string): Promise<string[]> => {
    const { json } = await rt.as('root', 'GET', `/ticket/${ref}/attachments?fields=Content&per_page=100`);
    return json.items.map((item: Json) => item.Content as string);
  };
  const status = async (ref: string): Promise<string> => (await rt.as('root', 'GET', `/ticket/${ref}`)).json.Status;
  const setStatus = (user: string, ref: string, Status: string) => rt.as(user, 'PUT', `/ticket/${ref}`, { Status });
  const write = (user: string, ref: string, Content: string, ContentType = 'text/plain') =>
    rt.as(user, 'POST', `/ticket/${ref}/comment`, { Content, ContentType });
  const withKey = async (key: string): Promise<string[]> => {
    const query = encodeURIComponent(`CF.{RingmasterKey} = '${key}'`);
    return (await rt.as('root', 'GET', `/tickets?query=${query}`)).json.items.map((item: Json) => String(item.id));
  };

  it('opens a change’s ticket with plan and evidence, comments at each stage, and closes it when it is confirmed', async () => {
    const { changeId, planDigest, ref } = await opened();
    const { json } = await rt.as('root', 'GET', `/ticket/${ref}`);
    expect(json).toMatchObject({ Status: 'new', Subject: 'Patch cycle: November' });
    expect(json.CustomFields.map((f: Json) => [f.name, f.values])).toEqual(
      expect.arrayContaining([
        ['RingmasterKey', [`change/${changeId}`]],
        ['PlanDigest', [planDigest]],
      ]),
    );
    const [first] = await texts(ref);
    for (const part of [planDigest, 'requested by Requester', 'curl 8.0-1 → 8.0-2', 'CVE-2026-1', 'monthly'])
      expect(first).toContain(part);

    await rig.project(changeId, 'deploy', 'Ring 0 waits for hours of operation');
    await rig.project(changeId, 'confirm');
    await rig.deliver();
    expect(await status(ref)).toBe('new');
    await rig.close(changeId, 'completed', { confirmed: 1 });
    await rig.deliver();
    expect((await texts(ref)).map((text) => text.split('\n')[0]?.replace(/^.* UTC · /, ''))).toEqual([
      expect.stringContaining('requested by Requester'),
      'Stage deploy; waits: Ring 0 waits for hours of operation',
      'Stage confirm',
      'The change is closed: completed',
    ]);
    expect(await status(ref)).toBe('resolved');
    expect((await rig.tickets(changeId))[0]).toMatchObject({
      state: 'done',
      wanted: 'done',
      attention: null,
      waiting: 0,
    });

    // Opened again by hand: noticed, on record, told.
    await setStatus('alice', ref, 'open');
    await rig.hear();
    expect((await rig.tickets(changeId))[0]).toMatchObject({
      state: 'working',
      attention: 'reopenedByHand',
      attentionBy: 'alice',
    });
    expect(
      await rig.rows(
        `SELECT action, actor FROM audit_entry WHERE subject = $1 AND action LIKE 'ticket.%' ORDER BY id`,
        [`change/${changeId}`],
      ),
    ).toEqual([
      { action: 'ticket.opened', actor: 'worker' },
      { action: 'ticket.closed', actor: 'worker' },
      { action: 'ticket.reopenedByHand', actor: 'ticket-system/RT/alice' },
    ]);
    expect(await rig.rows('SELECT recipient FROM mail WHERE subject LIKE $1', ['%opened again by hand%'])).toEqual([
      { recipient: requester.email },
    ]);
  });

  it('a ticket closed by hand stays closed, and is noticed; the change goes on', async () => {
    const { changeId, ref } = await opened();
    await setStatus('alice', ref, 'rejected');
    await rig.hear();
    expect((await rig.tickets(changeId))[0]).toMatchObject({
      state: 'cancelled',
      attention: 'closedByHand',
      attentionBy: 'alice',
    });
    await rig.close(changeId, 'completed', { confirmed: 1 });
    await rig.deliver();
    expect(await status(ref)).toBe('rejected');
    expect((await rig.tickets(changeId))[0]).toMatchObject({ state: 'cancelled', attention: 'closedByHand' });
  });

  it('a ticket moved to another queue, merged, deleted or hidden is noticed and told; put back, it is as before', async () => {
    const lost = async () => (await opened()) as { readonly changeId: string; readonly ref: string };
    const [moved, merged, deleted, hidden] = [await lost(), await lost(), await lost(), await lost()];
    const root = async (method: string, path: string, body: object) => {
      const reply = await rt.as('root', method, path, body);
      expect([reply.status, JSON.stringify(reply.json)]).toEqual([
        expect.any(Number),
        expect.not.stringMatching(/denied/),
      ]);
      return reply.json;
    };
    await root('POST', '/queue', { Name: 'Secret' });
    const { id: other } = await root('POST', '/ticket', { Queue: 'Patching', Subject: 'somebody else’s' });
    await root('PUT', `/ticket/${moved.ref}`, { Queue: 'Bare' });
    await root('PUT', `/ticket/${merged.ref}`, { MergeInto: Number(other) });
    await root('PUT', `/ticket/${deleted.ref}`, { Status: 'deleted' });
    await root('PUT', `/ticket/${hidden.ref}`, { Queue: 'Secret' });
    const look = async () => {
      rig.skip(2 * MINUTE);
      await rig.hear();
    };
    await look();
    await look();
    const said = async ({ changeId }: { readonly changeId: string }) => {
      const [{ attention, attentionAbout, attentionBy }] = (await rig.tickets(changeId)) as [Json];
      return [attention, attentionAbout, attentionBy];
    };
    expect([await said(moved), await said(merged), await said(deleted), await said(hidden)]).toEqual([
      ['movedByHand', 'queue Bare', 'root'],
      ['mergedByHand', `ticket ${other}`, 'root'],
      ['deletedByHand', null, 'root'],
      ['unseen', null, null],
    ]);
    const told = (sql: string, { changeId }: { readonly changeId: string }) => rig.rows(sql, [changeId]);
    for (const [one, action, actor] of [
      [moved, 'movedByHand', 'root'],
      [merged, 'mergedByHand', 'root'],
      [deleted, 'deletedByHand', 'root'],
      [hidden, 'unseen', 'unknown'],
    ] as const) {
      const audit = `SELECT action, actor FROM audit_entry WHERE subject = 'change/' || $1 AND action <> 'ticket.opened'`;
      expect(await told(audit, one)).toEqual([{ action: `ticket.${action}`, actor: `ticket-system/RT/${actor}` }]);
      const feed = `SELECT type FROM feed_event WHERE change_id = $1::uuid AND type LIKE 'ticket.%'`;
      expect(await told(feed, one)).toEqual([{ type: `ticket.${action}` }]);
      expect(
        await told('SELECT recipient FROM mail WHERE text_body LIKE $1', { changeId: `%${one.changeId}%` }),
      ).toEqual([{ recipient: requester.email }]);
    }

    await root('PUT', `/ticket/${moved.ref}`, { Queue: 'Patching' });
    await look();
    expect(await said(moved)).toEqual([null, null, null]);
    // What they were merged into is not ours to close.
    await rig.close(merged.changeId, 'completed', { confirmed: 1 });
    await rig.deliver();
    expect([await status(String(other)), (await said(merged))[0]]).toEqual(['new', 'mergedByHand']);
  });

  it('a change somebody made in between is not overwritten: 412, looked at again', async () => {
    const { changeId, ref } = await opened();
    await rig.close(changeId, 'completed', { confirmed: 1 });
    proxy.once(new RegExp(`^PUT /REST/2.0/ticket/${ref}$`), {
      kind: 'before',
      work: () => setStatus('alice', ref, 'stalled'),
    });
    proxy.seen.length = 0;
    await rig.deliver();
    expect(proxy.seen.filter((one) => one === `PUT /REST/2.0/ticket/${ref}`)).toHaveLength(2);
    const stale = await rt.as('ringmaster', 'PUT', `/ticket/${ref}`, { Status: 'open' }, { 'if-match': '"1"' });
    expect(stale.status).toBe(412);
    expect(await status(ref)).toBe('resolved');
  });

  it('an approval in the ticket is the approval: of exactly the plan, by a known person who was asked, who wrote it there', async () => {
    const { changeId, planDigest, ref } = await opened();
    const requestId = await rig.ask({ changeId, planDigest, rule: { from: { role: 'Manager' }, quorum: 1 } });
    await rig.deliver();
    expect((await texts(ref)).at(-1)).toContain(`approve ${planDigest}`);

    await write('mallory', ref, `approve ${planDigest}`);
    await write('bob', ref, `approve ${planDigest}`);
    await write('alice', ref, `approve ${'0'.repeat(64)}`);
    await write('alice', ref, `> approve ${planDigest}\nreally?`);
    rt.mail({ ticket: ref, from: 'alice@rt.test', text: `approve ${planDigest}` });
    await rig.hear();
    await rig.judge();
    expect(await rig.requestState(requestId)).toBe('open');
    expect(
      (await texts(ref)).filter((text) => text.startsWith('Not counted')).map((text) => text.split('\n')[0]),
    ).toEqual([
      'Not counted: mallory is nobody known here.',
      'Not counted: whoever requests a change does not approve it.',
      'Not counted: it does not name the plan that is asked about.',
      'Not counted: it came by mail, whose sender nobody can vouch for: write it in the ticket system itself.',
    ]);
    expect(await rig.rows('SELECT 1 FROM approval_decision WHERE request_id = $1', [requestId])).toEqual([]);

    await write('alice', ref, `<p>Looks good.</p><p>Approve <b>${planDigest}</b> go ahead</p>`, 'text/html');
    await rig.hear();
    await rig.judge();
    await rig.hear();
    expect(await rig.requestState(requestId)).toBe('approved');
    expect(
      await rig.rows('SELECT account_id, proof, state, comment FROM approval_decision WHERE request_id = $1', [
        requestId,
      ]),
    ).toEqual([{ account_id: alice.id, proof: 'ticket', state: 'counted', comment: 'go ahead' }]);
    expect((await texts(ref)).some((text) => text.includes('Alice decided on ring 0: approve: go ahead'))).toBe(true);
  });

  it('work said to be done is scanned: what is not comes back with the evidence, what is gets closed', async () => {
    const { changeId, endpointId, ref: changeRef } = await opened();
    await seedOutcome(rig.db.pool, { changeId, ring: 0, endpointId, state: 'verifying' });
    await rig.workerPool.query(
      `UPDATE order_state SET state = 'failed', reason = 'postinst failed' WHERE change_id = $1`,
      [changeId],
    );
    await rig.handle();
    const work = (await rig.tickets(changeId)).find((ticket) => ticket.workItemId !== null);
    expect(work).toMatchObject({ about: 'postinst failed', endpointId, state: 'open' });
    const ref = work?.ref as string;
    const { json } = await rt.as('root', 'GET', `/ticket/${ref}`);
    expect(JSON.stringify(json._hyperlinks)).toContain(`Display.html?id=${changeRef}`);

    await setStatus('alice', ref, 'resolved');
    await rig.hear();
    const wants = async () =>
      (await rig.rows('SELECT wants_scan FROM endpoint WHERE id = $1', [endpointId]))[0]?.wants_scan;
    expect(await wants()).toBe(true);
    await rig.scan(endpointId, { curl: '8.0-1' });
    await rig.handle();
    expect(await status(ref)).toBe('open');
    expect((await texts(ref)).some((text) => text.includes('curl: 8.0-1 is installed, older than 8.0-2'))).toBe(true);

    await setStatus('alice', ref, 'resolved');
    await rig.hear();
    await rig.scan(endpointId, { curl: '8.0-2' });
    await rig.handle();
    expect(await status(ref)).toBe('resolved');
    const { body } = await rig.api.call('GET', `/v1/work?endpoint=${endpointId}`);
    expect(body.items).toMatchObject([{ state: 'closed', closedReason: expect.stringContaining('proven by scan') }]);
  });

  it('a field that is not applied to the queue is told as such, and leaves no ticket behind', async () => {
    const field = { Name: 'Elsewhere', Type: 'Freeform', MaxValues: 1, LookupType: 'RT::Queue-RT::Ticket' };
    await rt.as('root', 'POST', '/customfield', field);
    const silent = await rt.as('ringmaster', 'POST', '/ticket', {
      Queue: 'Bare',
      Subject: 'x',
      CustomFields: { Elsewhere: 'x' },
    });
    expect(silent.status).toBe(201);
    const system = await rig.makeSystem({
      name: 'Bare',
      provider: 'request-tracker',
      settings: { url: rt.url, user: 'ringmaster', queue: 'Bare', keyField: 'Elsewhere' },
      secret: passwordOf('ringmaster'),
    });
    const { changeId } = await change();
    await rig.deliver();
    const { body } = await rig.api.call('GET', `/v1/ticket-systems/${system.id}`);
    expect(body).toMatchObject({
      works: false,
      problem: 'the custom field “Elsewhere” is not applied to tickets of the queue “Bare”, or the user may not see it',
      waiting: 1,
    });
    const all = await rt.as('root', 'GET', `/tickets?query=${encodeURIComponent(`Queue = 'Bare'`)}`);
    expect(all.json.total).toBe(1);
    await rig.api.call('DELETE', `/v1/ticket-systems/${system.id}`);
    expect((await rig.tickets(changeId)).filter((ticket) => ticket.system === 'RT')).toMatchObject([{ state: 'open' }]);
  });

  it('an answer that was lost makes no second ticket and no second comment', async () => {
    proxy.once(/^POST \/REST\/2.0\/ticket$/, { kind: 'loseAnswer' });
    const { changeId } = await change();
    await rig.deliver();
    expect((await rig.tickets(changeId))[0]).toMatchObject({ state: 'queued', ref: null, waiting: 1 });
    rig.skip(5_000);
    await rig.deliver();
    const [ticket] = await rig.tickets(changeId);
    expect(await withKey(`change/${changeId}`)).toEqual([ticket?.ref]);

    proxy.once(/^POST .*\/comment$/, { kind: 'loseAnswer' });
    await rig.project(changeId, 'deploy');
    await rig.deliver();
    rig.skip(5_000);
    await rig.deliver();
    expect((await texts(ticket?.ref)).filter((text) => text.includes('Stage deploy'))).toHaveLength(1);
  });

  it('a ticket that RT makes after we gave up waiting becomes part of the one there is', async () => {
    const { changeId } = await change();
    const key = `change/${changeId}`;
    // As if an earlier request, long given up, came through between our looking and our asking.
    proxy.once(/^POST \/REST\/2.0\/ticket$/, {
      kind: 'before',
      work: () =>
        rt.as('ringmaster', 'POST', '/ticket', {
          Queue: 'Patching',
          Subject: 'late',
          CustomFields: { RingmasterKey: key },
        }),
    });
    await rig.deliver();
    const [ticket] = await rig.tickets(changeId);
    expect(await withKey(key)).toEqual([ticket?.ref]);
  });
});
