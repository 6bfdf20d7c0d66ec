/**
 * A simulator of an agent's transport, for tests of the gateway: it signs as an agent does and changes no host. It says so
 * when it enrols (`simulated`).
 */
import { randomUUID } from 'node:crypto';
import { generateSigningKeyPem, keyIdOf, type SigningKey, signingKeyFromPem } from '../../protocol/envelope.js';
import { signRequest } from '../../protocol/http-signature.js';
import type { EnrolRequest, InventoryRequest, PollRequest } from '../../protocol/messages.js';

/** Replies are looked into freely; what they should be is what the test says. */
// biome-ignore lint/suspicious/noExplicitAny: see above
export type Json = any;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Json;
}

export interface SendOptions {
  readonly method?: 'GET' | 'POST';
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  /** Epoch seconds; default: now. */
  readonly created?: number;
  /** Changes the request after it was signed. */
  readonly tamper?: (request: { path: string; body: Buffer | null; headers: Record<string, string> }) => void;
}

export interface SimulatedAgent {
  readonly key: SigningKey;
  readonly machineId: string;
  readonly send: (options: SendOptions) => Promise<Answer>;
  readonly signed: (options: SendOptions) => { url: string; init: RequestInit };
  readonly enrol: (token: string, change?: Partial<EnrolRequest>) => Promise<Answer>;
  readonly poll: (change?: Partial<PollRequest>, options?: Partial<SendOptions>) => Promise<Answer>;
  readonly inventory: (change?: Partial<InventoryRequest>, options?: Partial<SendOptions>) => Promise<Answer>;
}

export function simulatedAgent(args: { url: string; key?: SigningKey; machineId?: string }): SimulatedAgent {
  const key = args.key ?? signingKeyFromPem(generateSigningKeyPem());
  const machineId = args.machineId ?? randomUUID();
  const bootId = randomUUID();

  const signed = (options: SendOptions): { url: string; init: RequestInit } => {
    const method = options.method ?? (options.body === undefined ? 'GET' : 'POST');
    const body =
      options.body === undefined
        ? null
        : Buffer.isBuffer(options.body)
          ? options.body
          : Buffer.from(JSON.stringify(options.body), 'utf8');
    const headers: Record<string, string> = body === null ? {} : { 'content-type': 'application/json' };
    const at = options.path.indexOf('?');
    const request = {
      method,
      path: at < 0 ? options.path : options.path.slice(0, at),
      query: at < 0 ? null : options.path.slice(at + 1),
      headers,
      body,
    };
    const created = options.created ?? Math.floor(Date.now() / 1_000);
    const added = signRequest({ request, keyid: keyIdOf(key.publicKey), privateKey: key.privateKey, created });
    const sent = { path: options.path, body, headers: { ...headers, ...added, ...options.headers } };
    options.tamper?.(sent);
    return {
      url: new URL(sent.path, args.url).href,
      init: { method, headers: sent.headers, ...(sent.body === null ? {} : { body: new Uint8Array(sent.body) }) },
    };
  };
  const send = async (options: SendOptions): Promise<Answer> => {
    const { url, init } = signed(options);
    const reply = await fetch(url, init);
    const text = await reply.text();
    const json = /json/.test(reply.headers.get('content-type') ?? '');
    return { status: reply.status, headers: reply.headers, body: json ? JSON.parse(text) : text };
  };
  return {
    key,
    machineId,
    send,
    signed,
    enrol: (token, change = {}) =>
      send({
        path: '/agent/v1/enrol',
        body: {
          protocol: 1,
          token: token.split('.')[0],
          publicKey: key.publicKey,
          name: 'sim-1',
          machineId,
          zone: 'Europe/Berlin',
          scanOnly: false,
          simulated: true,
          facts: { os: 'debian 12' },
          ...change,
        },
      }),
    poll: (change = {}, options = {}) =>
      send({
        path: '/agent/v1/poll',
        body: { protocol: 1, journalSeq: 1, bootId, clock: Date.now(), open: [], reports: [], ...change },
        ...options,
      }),
    inventory: (change = {}, options = {}) =>
      send({ path: '/agent/v1/inventory', body: inventoryOf(change), ...options }),
  };
}

/** A small complete scan: three packages, of which one has an update. */
export function inventoryOf(change: Partial<InventoryRequest> = {}): InventoryRequest {
  const pkg = (name: string, version: string) => ({
    name,
    arch: 'amd64',
    version,
    source: name,
    sourceVersion: version,
  });
  return {
    protocol: 1,
    scanId: randomUUID(),
    orderId: null,
    startedAt: Date.now(),
    complete: true,
    incompleteReason: null,
    provider: 'apt',
    indexAgeSeconds: 60,
    auditClean: true,
    rebootRequired: false,
    facts: { kernel: '6.1' },
    packages: [pkg('bash', '5.2.15-2'), pkg('libc6', '2.36-9+deb12u1'), pkg('openssl', '3.0.9-1')],
    updates: [{ name: 'libc6', arch: 'amd64', installed: '2.36-9+deb12u1', candidate: '2.36-9+deb12u4' }],
    services: [{ name: 'cron.service', active: true }],
    listeners: [{ protocol: 'tcp', address: '0.0.0.0', port: 22, process: 'sshd' }],
    ...change,
  };
}
