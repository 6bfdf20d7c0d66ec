/**
 * Any system that takes webhooks: each thing to do is one CloudEvent, signed as Standard Webhooks has it. Its `webhook-id` is the
 * key of what is to be done and the same in every retry: a receiver that remembers ids does nothing twice.
 */
import { z } from 'zod';
import { CLOUD_EVENTS_TYPE, OUTGOING } from '../../../domain/ticket/cloud-event.js';
import { signWebhook, webhookKey } from '../../../domain/ticket/standard-webhooks.js';
import { addressMembers, isPrivateWay, NOT_PRIVATE } from '../address.js';
import { request } from '../http.js';
import type { ProviderContext, TicketProvider, TicketSystem } from '../port.js';

const settingsSchema = z.strictObject({ ...addressMembers }).refine(isPrivateWay, NOT_PRIVATE);
type WebhookSettings = z.output<typeof settingsSchema>;

/** A receiver may say what it calls the ticket, and where people find it. */
const openReply = z.looseObject({
  ref: z
    .union([z.string().min(1).max(200), z.number()])
    .transform(String)
    .optional(),
  url: z
    .url({ protocol: /^https?$/ })
    .max(2_000)
    .optional(),
});

export const webhook: TicketProvider<WebhookSettings> = {
  name: 'webhook',
  settings: settingsSchema,
  secretIs: 'a whsec_… secret that signs what is sent (Standard Webhooks)',
  checkSecret: (secret) => (webhookKey(secret) === null ? 'must be whsec_ and 24 to 64 bytes in base64' : null),
  create: createWebhook,
};

function createWebhook(context: ProviderContext<WebhookSettings>): TicketSystem {
  const { settings, clock } = context;

  const send = async (args: { id: string; type: string; subject: string; data: object }): Promise<string> => {
    const now = clock();
    const body = JSON.stringify({
      specversion: '1.0',
      id: args.id,
      source: context.publicUrl,
      type: args.type,
      subject: args.subject,
      time: new Date(now).toISOString(),
      datacontenttype: 'application/json',
      data: args.data,
    });
    const signed = signWebhook({ secret: context.secret ?? '', id: webhookId(args.id), body, now });
    const reply = await request({
      url: settings.url,
      method: 'POST',
      headers: {
        'content-type': CLOUD_EVENTS_TYPE,
        'webhook-id': signed.id,
        'webhook-timestamp': signed.timestamp,
        'webhook-signature': signed.signature,
      },
      body,
      timeoutMs: settings.timeoutSeconds * 1_000,
      signal: context.signal,
    });
    return reply.text;
  };

  return {
    check: async () => (context.secret === null ? 'it has no secret to sign with' : null),
    async open(ticket) {
      const { key, subject, text, planDigest, link } = ticket;
      const data = { key, subject, text, planDigest, link };
      const said = await send({ id: `${key}/open`, type: OUTGOING.open, subject: key, data });
      const { ref = key, url = null } = readReply(said);
      return { ref, url, state: 'open', lastBy: null };
    },
    async comment({ ref, ticketKey, key, text }) {
      await send({ id: key, type: OUTGOING.comment, subject: ticketKey, data: { key: ticketKey, ref, text } });
    },
    async transition({ ref, ticketKey, key, to, reopen }) {
      await send({
        id: key,
        type: OUTGOING.state,
        subject: ticketKey,
        data: { key: ticketKey, ref, state: to, reopen },
      });
      return { kind: 'set' };
    },
    // It can't be asked: what happens there it tells by webhooks of its own.
    read: async () => null,
    async link({ ref, ticketKey, key, url, title }) {
      await send({ id: key, type: OUTGOING.link, subject: ticketKey, data: { key: ticketKey, ref, url, title } });
    },
  };
}

/** The full stop separates what is signed, so an id has none. */
const webhookId = (key: string): string => key.replaceAll('.', '-');

function readReply(text: string): z.output<typeof openReply> {
  try {
    return openReply.parse(JSON.parse(text));
  } catch {
    // An empty or other answer is as good: the key is then its name.
    return {};
  }
}
