/**
 * Standard Webhooks 1.0 (https://www.standardwebhooks.com): a message is signed with HMAC-SHA256 over `<id>.<timestamp>.<body>`;
 * its id stays the same over retries, and its timestamp bounds how long it can be replayed.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { type EpochMs, MINUTE, SECOND } from '../time.js';

/** How far a message's timestamp may be from the server's clock. */
export const REPLAY_WINDOW_MS = 5 * MINUTE;
const PREFIX = 'whsec_';
const ID = /^[\x21-\x2d\x2f-\x7e]{1,200}$/;

export interface WebhookHeaders {
  readonly id: string;
  /** Seconds since 1970, decimal. */
  readonly timestamp: string;
  /** Space-separated `v1,<base64>` entries. */
  readonly signature: string;
}

export const newWebhookSecret = (): string => PREFIX + randomBytes(32).toString('base64');

/** The key of a `whsec_…` secret; null when it is none, or shorter than 24 or longer than 64 bytes. */
export function webhookKey(secret: string): Buffer | null {
  const body = secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : secret;
  if (!/^[A-Za-z0-9+/]{32,90}={0,2}$/.test(body)) return null;
  const key = Buffer.from(body, 'base64');
  return key.length >= 24 && key.length <= 64 ? key : null;
}

/** @throws TypeError for a secret that is none */
export function signWebhook(args: {
  readonly secret: string;
  readonly id: string;
  readonly body: string;
  readonly now: EpochMs;
}): WebhookHeaders {
  const key = webhookKey(args.secret);
  if (key === null) throw new TypeError('not a webhook secret');
  const timestamp = String(Math.floor(args.now / SECOND));
  return { id: args.id, timestamp, signature: `v1,${mac(key, args.id, timestamp, args.body).toString('base64')}` };
}

export type Verified = { readonly ok: true } | { readonly ok: false; readonly reason: string };

/** Whether one of the secrets signed this message, lately. Compares in constant time. */
export function verifyWebhook(args: {
  readonly secrets: readonly string[];
  readonly headers: WebhookHeaders;
  readonly body: string;
  readonly now: EpochMs;
}): Verified {
  const { id, timestamp, signature } = args.headers;
  if (!ID.test(id)) return bad('webhook-id is missing or no id');
  if (!/^\d{1,12}$/.test(timestamp)) return bad('webhook-timestamp is missing or no number of seconds');
  const away = args.now - Number(timestamp) * SECOND;
  if (away > REPLAY_WINDOW_MS) return bad('webhook-timestamp is too old');
  if (away < -REPLAY_WINDOW_MS) return bad('webhook-timestamp is too far ahead');
  const given = signature
    .split(' ')
    .filter((part) => part.startsWith('v1,'))
    .slice(0, 10)
    .map((part) => Buffer.from(part.slice(3), 'base64'));
  if (given.length === 0) return bad('webhook-signature is missing or names no v1 signature');
  const keys = args.secrets.map(webhookKey).filter((key) => key !== null);
  const right = keys.some((key) => {
    const wanted = mac(key, id, timestamp, args.body);
    return given.some((one) => one.length === wanted.length && timingSafeEqual(one, wanted));
  });
  return right ? { ok: true } : bad('webhook-signature does not fit');
}

const mac = (key: Buffer, id: string, timestamp: string, body: string): Buffer =>
  createHmac('sha256', key).update(`${id}.${timestamp}.${body}`, 'utf8').digest();

const bad = (reason: string): Verified => ({ ok: false, reason });
