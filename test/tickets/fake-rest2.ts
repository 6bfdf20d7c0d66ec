/**
 * A fake that speaks as much of RT's REST 2.0 as Ringmaster uses, in memory. For faults that a real one can't be had to make in
 * a test's time; what the real one does is in request-tracker.test.ts.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Json } from '../helpers/agent-client.js';

interface Ticket {
  readonly id: number;
  readonly fields: Record<string, string[]>;
  status: string;
  merged: number | null;
  readonly history: { id: number; type: string; by: string; value: string; text: string }[];
}

export interface FakeTracker {
  readonly url: string;
  readonly tickets: Ticket[];
  /** Those that are not part of another one. */
  readonly standing: () => Ticket[];
  readonly close: () => Promise<void>;
}

export async function startFakeTracker(): Promise<FakeTracker> {
  const tickets: Ticket[] = [];
  let lastId = 0;
  const standing = () => tickets.filter((ticket) => ticket.merged === null);
  const note = (ticket: Ticket, type: string, value: string, text: string) => {
    lastId += 1;
    ticket.history.push({ id: lastId, type, by: 'ringmaster', value, text });
  };
  const shown = (ticket: Ticket): Json => ({
    id: ticket.id,
    Status: ticket.status,
    LastUpdated: new Date().toISOString(),
    LastUpdatedBy: { id: 'ringmaster' },
    CustomFields: Object.entries(ticket.fields).map(([name, values]) => ({ name, values })),
  });

  const answer = (method: string, url: URL, body: Json): { status: number; json: Json; etag?: string } => {
    const path = url.pathname.replace('/REST/2.0', '');
    const query = url.searchParams.get('query') ?? '';
    const page = (items: Json[]) => ({
      status: 200,
      json: { items: url.searchParams.get('page') === '1' ? items : [], pages: null },
    });
    if (path.startsWith('/queue/')) {
      return {
        status: 200,
        json: { Name: 'Patching', Disabled: '0', TicketCustomFields: [{ name: 'RingmasterKey' }] },
      };
    }
    if (path === '/tickets') {
      const key = /CF\.\{RingmasterKey\} = '([^']+)'/.exec(query)?.[1];
      return page(
        standing()
          .filter((t) => key === undefined || t.fields.RingmasterKey?.[0] === key)
          .map(shown),
      );
    }
    if (method === 'POST' && path === '/ticket') {
      const fields = Object.fromEntries(
        Object.entries(body.CustomFields as Record<string, string>).map(([k, v]) => [k, [v]]),
      );
      const ticket: Ticket = { id: tickets.length + 1, fields, status: 'new', merged: null, history: [] };
      tickets.push(ticket);
      note(ticket, 'Create', '', body.Content);
      return { status: 201, json: { id: ticket.id } };
    }
    const transaction = /^\/transaction\/(\d+)\/attachments$/.exec(path)?.[1];
    if (transaction !== undefined) {
      const one = tickets.flatMap((t) => t.history).find(({ id }) => id === Number(transaction));
      return page([{ id: 1, ContentType: 'text/plain', Headers: 'X-RT-Interface: REST', Content: one?.text }]);
    }
    if (path === '/transactions') {
      const ref = /TicketId = (\d+)/.exec(query)?.[1];
      const among = ref === undefined ? standing() : tickets.filter((t) => t.id === Number(ref));
      const all = among.flatMap((t) => t.history.map((one) => ({ ...one, ticket: t.id })));
      const wanted = all.filter(
        (one) =>
          query.includes(`'${one.type}'`) && query.includes(`Creator != 'ringmaster'`) === (one.by !== 'ringmaster'),
      );
      return page(
        wanted.map(({ id, type, by, value, ticket }) => ({
          ...{
            id,
            Type: type,
            Creator: { id: by },
            Created: new Date().toISOString(),
            Field: type,
            NewValue: value,
            ObjectId: ticket,
          },
        })),
      );
    }
    const whole = /^\/ticket\/(\d+)\/attachments$/.exec(path)?.[1];
    if (whole !== undefined) {
      const all = tickets[Number(whole) - 1]?.history ?? [];
      return page(all.map(({ id, by, text }) => ({ id, Creator: { id: by }, Content: text })));
    }
    const [, id, comment] = /^\/ticket\/(\d+)(\/comment)?$/.exec(path) ?? [];
    const ticket = tickets[Number(id) - 1];
    if (ticket === undefined) return { status: 404, json: { message: 'Not Found' } };
    if (comment !== undefined) {
      note(ticket, 'Comment', '', body.Content);
      return { status: 201, json: ['Comments added'] };
    }
    if (method === 'PUT') {
      if (body.Status !== undefined) {
        ticket.status = body.Status;
        note(ticket, 'Status', body.Status, '');
      }
      if (body.MergeInto !== undefined) ticket.merged = body.MergeInto;
      return { status: 200, json: ['ok'] };
    }
    return { status: 200, json: shown(ticket), etag: `"${ticket.history.at(-1)?.id}"` };
  };

  const server = createServer((req, res) => {
    const parts: Buffer[] = [];
    req.on('data', (part: Buffer) => parts.push(part));
    req.on('end', () => {
      const text = Buffer.concat(parts).toString();
      const { status, json, etag } = answer(
        req.method ?? '',
        new URL(req.url ?? '/', 'http://fake'),
        text === '' ? null : JSON.parse(text),
      );
      res.writeHead(status, { 'content-type': 'application/json', ...(etag === undefined ? {} : { etag }) });
      res.end(JSON.stringify(json));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    tickets,
    standing,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
