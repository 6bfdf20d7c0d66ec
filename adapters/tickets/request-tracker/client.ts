/** RT's REST 2.0 interface (docs.bestpractical.com/rt/5.0.3/RT/REST2.html), as far as it is needed; answers are read strictly. */
import { z } from 'zod';
import { type HttpReply, type HttpRequest, request } from '../http.js';
import { type ProviderContext, TrackerAway, TrackerRefused } from '../port.js';
import type { RtSettings } from './settings.js';

const id = z.union([z.string(), z.number()]).transform(String);
const user = z.looseObject({ id: z.string() }).transform((one) => one.id);
const customField = z.looseObject({ name: z.string(), values: z.array(z.string()).nullish() });

export const rtTicket = z.looseObject({
  id,
  Status: z.string(),
  LastUpdated: z.string(),
  LastUpdatedBy: user.nullish(),
  Queue: z.looseObject({ id }).nullish(),
  CustomFields: z.array(customField).nullish(),
});
export type RtTicket = z.output<typeof rtTicket>;

const found = z.looseObject({
  id,
  Status: z.string(),
  LastUpdated: z.string(),
  CustomFields: z.array(customField).nullish(),
});
export type RtFound = z.output<typeof found>;

const transaction = z.looseObject({
  id,
  Type: z.string(),
  Creator: user,
  Created: z.string(),
  ObjectId: id.nullish(),
  Field: z.string().nullish(),
  NewValue: z.string().nullish(),
});
export type RtTransaction = z.output<typeof transaction>;

const attachment = z.looseObject({
  id,
  ContentType: z.string().nullish(),
  Headers: z.string().nullish(),
  Content: z.string().nullish(),
  Creator: user.nullish(),
});
export type RtAttachment = z.output<typeof attachment>;

const queue = z.looseObject({
  Name: z.string(),
  Disabled: z.union([z.string(), z.number()]).nullish(),
  TicketCustomFields: z.array(z.looseObject({ name: z.string() })).nullish(),
});

const page = <T extends z.ZodType>(item: T) => z.looseObject({ items: z.array(item), pages: z.number().nullish() });

const PER_PAGE = 100;
const MOST_PAGES = 200;

export interface RtClient {
  readQueue(): Promise<z.output<typeof queue> | null>;
  /** The name of a queue by its number; null: it may not be seen. */
  queueName(queueId: string): Promise<string | null>;
  search(query: string): Promise<readonly RtFound[]>;
  create(ticket: Readonly<Record<string, unknown>>): Promise<string>;
  /** With the tag to give back when changing it; null: no such ticket, or it may not be seen. One that was merged is the other one. */
  readTicket(ref: string): Promise<{ readonly ticket: RtTicket; readonly etag: string } | null>;
  /** @returns false when the ticket is not any more as the tag says */
  update(args: { readonly ref: string; readonly etag: string | null; readonly fields: object }): Promise<boolean>;
  comment(args: { readonly ref: string; readonly text: string }): Promise<void>;
  /** By a search in RT's words, oldest first; `ObjectId` is the ticket. */
  transactions(query: string): Promise<readonly RtTransaction[]>;
  attachments(transactionId: string): Promise<readonly RtAttachment[]>;
  /** Of a whole ticket. */
  attachmentsOf(ref: string): Promise<readonly RtAttachment[]>;
}

export function createRtClient(context: ProviderContext<RtSettings>): RtClient {
  const { settings, secret } = context;
  const base = `${settings.url.replace(/\/+$/, '')}/REST/2.0`;
  const authorization =
    settings.auth === 'token'
      ? `token ${secret ?? ''}`
      : `Basic ${Buffer.from(`${settings.user}:${secret ?? ''}`).toString('base64')}`;

  const send = (
    method: HttpRequest['method'],
    path: string,
    options: { body?: object; headers?: Record<string, string>; expected?: readonly number[] } = {},
  ): Promise<HttpReply> =>
    request({
      url: base + path,
      method,
      headers: {
        authorization,
        accept: 'application/json',
        ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...options.headers,
      },
      timeoutMs: settings.timeoutSeconds * 1_000,
      signal: context.signal,
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      ...(options.expected === undefined ? {} : { expected: options.expected }),
    });

  const all = async <T extends z.ZodType>(item: T, path: string): Promise<z.output<T>[]> => {
    const items: z.output<T>[] = [];
    for (let n = 1; n <= MOST_PAGES; n += 1) {
      const reply = await send('GET', `${path}&per_page=${PER_PAGE}&page=${n}`);
      const read = readAs(page(item), reply);
      items.push(...(read.items as z.output<T>[]));
      // RT's count of pages is null where its rights have to be looked at row by row.
      if (read.items.length < PER_PAGE) return items;
    }
    throw new TrackerRefused(`GET ${path.split('?')[0]}: more than ${MOST_PAGES * PER_PAGE} entries`);
  };

  return {
    async readQueue() {
      const reply = await send('GET', `/queue/${encodeURIComponent(settings.queue)}`, { expected: [404] });
      return reply.status === 404 ? null : readAs(queue, reply);
    },
    async queueName(queueId) {
      const reply = await send('GET', `/queue/${encodeURIComponent(queueId)}`, { expected: [403, 404] });
      return reply.status === 200 ? readAs(queue, reply).Name : null;
    },
    search: (query) =>
      all(
        found,
        `/tickets?query=${encodeURIComponent(query)}&fields=Status,LastUpdated,CustomFields&orderby=id&order=ASC`,
      ),
    async create(ticket) {
      const reply = await send('POST', '/ticket', { body: ticket });
      return readAs(z.looseObject({ id }), reply).id;
    },
    async readTicket(ref) {
      const reply = await send('GET', `/ticket/${encodeURIComponent(ref)}`, { expected: [403, 404] });
      if (reply.status !== 200) return null;
      return { ticket: readAs(rtTicket, reply), etag: reply.headers.get('etag') ?? '' };
    },
    async update({ ref, etag, fields }) {
      const headers = etag === null ? {} : { 'if-match': etag };
      const reply = await send('PUT', `/ticket/${encodeURIComponent(ref)}`, { body: fields, headers, expected: [412] });
      return reply.status !== 412;
    },
    async comment({ ref, text }) {
      const body = { Content: text, ContentType: 'text/plain' };
      await send('POST', `/ticket/${encodeURIComponent(ref)}/comment`, { body });
    },
    transactions: (query) =>
      all(
        transaction,
        `/transactions?query=${encodeURIComponent(query)}&fields=Type,Creator,Created,Field,NewValue,ObjectId&orderby=id&order=ASC`,
      ),
    attachmentsOf: (ref) => all(attachment, `/ticket/${encodeURIComponent(ref)}/attachments?fields=Content,Creator`),
    attachments: (transactionId) =>
      all(
        attachment,
        `/transaction/${encodeURIComponent(transactionId)}/attachments?fields=ContentType,Headers,Content`,
      ),
  };
}

/** @throws TrackerAway for what RT never answers: something else stands in front of it, and may be gone later */
function readAs<T extends z.ZodType>(schema: T, reply: HttpReply): z.output<T> {
  let json: unknown;
  try {
    json = JSON.parse(reply.text);
  } catch {
    throw new TrackerAway(`the answer is not JSON but begins "${reply.text.slice(0, 60).replace(/\s+/g, ' ')}"`);
  }
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new TrackerAway(`the answer is not RT's: ${issue?.path.join('.')}: ${issue?.message}`);
}
