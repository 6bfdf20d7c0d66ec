/** A real Request Tracker 5 that is away, broken or slow, behind a proxy: no ticket and no comment is lost or doubled. */
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { MINUTE, SECOND } from '../../domain/time.js';
import type { Json } from '../helpers/agent-client.js';
import { seedAccount, seedChange, seedEndpoint } from '../helpers/seed-change.js';
import { type Fault, type FaultyProxy, startFaultyProxy } from './faulty-proxy.js';
import { TicketRig } from './rig.js';
import { describeRequestTracker, passwordOf, type RequestTracker, startRequestTracker } from './rt/request-tracker.js';

jest.setTimeout(300_000);

/** With the tracker's answers. RT itself takes half a second for a ticket, and on a busy machine two. */
const PATIENCE_SECONDS = 4;
const TOO_LATE = { ms: PATIENCE_SECONDS * SECOND + 300 };
const FAULTS: readonly Fault[] = [
  { kind: 'status', status: 500 },
  { kind: 'loseAnswer' },
  { kind: 'lateAnswer', ...TOO_LATE },
  { kind: 'lateWork', ...TOO_LATE },
];
const REQUESTS = [/^POST .*\/ticket$/, /^POST .*\/comment$/, /^PUT .*\/ticket\/\d+$/];

describeRequestTracker('Request Tracker 5 with faults', () => {
  let rt: RequestTracker;
  let proxy: FaultyProxy;
  let rig: TicketRig;
  let systemId: string;
  let requestedBy: string;
  let endpointId: string;

  beforeAll(async () => {
    [rt, rig] = await Promise.all([startRequestTracker(), TicketRig.start()]);
    proxy = await startFaultyProxy(rt.url);
    requestedBy = (await seedAccount(rig.db.pool, { name: 'Requester' })).id;
    endpointId = await seedEndpoint(rig.db.pool, { name: 'web' });
    const settings = { url: proxy.url, user: 'ringmaster', queue: 'Patching', timeoutSeconds: PATIENCE_SECONDS };
    const system = { name: 'RT', provider: 'request-tracker', settings, secret: passwordOf('ringmaster') };
    systemId = (await rig.makeSystem(system)).id;
  });
  afterAll(async () => {
    await rig?.stop();
    await proxy?.close();
    await rt?.stop();
  });

  const startChanges = (count: number): Promise<string[]> =>
    Promise.all(
      Array.from({ length: count }, async () => {
        const rings = [{ name: 'all', endpoints: [endpointId] }];
        const { changeId } = await seedChange(rig.db.pool, { requestedBy, rings });
        await rig.freeze(changeId);
        return changeId;
      }),
    );
  const goOn = async (changes: readonly string[]) => {
    for (const id of changes) {
      await rig.project(id, 'deploy');
      await rig.close(id, 'completed');
    }
  };
  const waiting = async (): Promise<number> =>
    (await rig.api.call('GET', `/v1/ticket-systems/${systemId}`)).body.waiting;
  /** Minute by minute, until nothing waits. A minute is longer than what the proxy holds back. */
  const waitOut = async () => {
    for (let minute = 0; minute < 60; minute += 1) {
      await rig.deliver();
      await proxy.settled();
      if ((await waiting()) === 0) return;
      rig.skip(MINUTE);
    }
    throw new Error('something is never delivered');
  };
  /** Everything RT has, its merged and deleted tickets as well: it numbers them from 1. */
  const allTickets = async (): Promise<Json[]> => {
    const found: Json[] = [];
    for (let n = 1; ; n += 1) {
      const { status, json } = await rt.as('root', 'GET', `/ticket/${n}`);
      if (status === 404) return found;
      found.push(json);
    }
  };
  const keyOf = (ticket: Json): string =>
    ticket.CustomFields.find(({ name }: Json) => name === 'RingmasterKey').values[0];
  const expectAllToldOnce = async (changes: readonly string[]) => {
    // A merged one is answered for by the one it became part of.
    const tickets = new Map((await allTickets()).map((ticket) => [String(ticket.id), ticket]));
    const byKey = new Map([...tickets.values()].map((ticket) => [keyOf(ticket), ticket]));
    expect([tickets.size, [...byKey.keys()].sort()]).toEqual([
      changes.length,
      changes.map((id) => `change/${id}`).sort(),
    ]);
    for (const ticket of byKey.values()) {
      const { json } = await rt.as('root', 'GET', `/ticket/${ticket.id}/attachments?fields=Content&per_page=100`);
      const said = json.items.flatMap(({ Content }: Json) => /(Stage \w+|is closed)/.exec(Content)?.[0] ?? []);
      expect([ticket.Status, said]).toEqual(['resolved', ['Stage deploy', 'is closed']]);
    }
  };
  const all: string[] = [];

  it('answers 500, loses answers, answers too late and works too late, at each kind of request: told once', async () => {
    for (const fits of REQUESTS) for (const fault of FAULTS) proxy.once(fits, fault);
    const changes = await startChanges(FAULTS.length);
    all.push(...changes);
    await goOn(changes);
    await waitOut();
    // Each fault happened. What was done is found and not asked for again; what was not is.
    for (const request of REQUESTS)
      expect(proxy.seen.filter((one) => request.test(one)).length).toBeGreaterThan(FAULTS.length);
    await expectAllToldOnce(all);
  });

  it('is away for an hour while changes go on: everything is told afterwards, in order, and it was not stormed', async () => {
    const before = await startChanges(1);
    await rig.deliver();
    proxy.always(/./, { kind: 'cut' });
    const during = await startChanges(2);
    await goOn([...before, ...during]);
    proxy.seen.length = 0;
    for (let minute = 0; minute < 60; minute += 1) {
      await rig.hear();
      rig.skip(MINUTE);
    }
    expect(proxy.seen.length).toBeLessThan(300);
    const away = (await rig.api.call('GET', `/v1/ticket-systems/${systemId}`)).body;
    expect(away).toMatchObject({ failingSince: expect.any(String), lastError: expect.any(String), waiting: 11 });
    proxy.mend();
    await rig.hear();
    await waitOut();
    all.push(...before, ...during);
    await expectAllToldOnce(all);
    const back = (await rig.api.call('GET', `/v1/ticket-systems/${systemId}`)).body;
    expect(back).toMatchObject({ failingSince: null, waiting: 0 });
  });
});
