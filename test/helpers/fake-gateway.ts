/**
 * A stand-in for the gateway, and says so: real signatures, real envelopes and the shared reducer, but no database, no
 * rings, no policy. For tests of the agent alone; what the server does with reports is tested with the real one.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import { type OrderCore, offeredOrder, reduceOrder } from '../../domain/order/index.js';
import {
  type Envelope,
  generateSigningKeyPem,
  KEY_SET_TYPE,
  keyIdOf,
  ORDER_TYPE,
  PERMIT_TYPE,
  publicKeyObject,
  type SigningKey,
  signEnvelope,
  signingKeyFromPem,
} from '../../protocol/envelope.js';
import { readSignature, type SignableRequest, verifyRequest } from '../../protocol/http-signature.js';
import {
  type AgentReport,
  enrolRequest,
  type InventoryRequest,
  inventoryRequest,
  type KeySetDocument,
  KNOWN_REPORTS,
  type OrderDocument,
  type PermitDocument,
  type PollRequest,
  PROTOCOL_VERSION,
  pollRequest,
} from '../../protocol/messages.js';

export interface FakeGateway {
  readonly url: string;
  /** `<secret>.<root fingerprint>`. */
  readonly joinToken: string;
  readonly keys: { root: SigningKey; worker: SigningKey };
  /** Endpoint ids by machine name, in order of enrolment. */
  readonly endpoints: Map<string, string>;
  readonly polls: { readonly endpointId: string; readonly at: number; readonly request: PollRequest }[];
  readonly inventories: InventoryRequest[];
  /** Requests by path, content included. */
  readonly requests: string[];
  /** Files by SHA-256. */
  readonly content: Map<string, Buffer>;
  /** Added to the server's clock, ms. */
  clockOffset: number;
  /** While true every request is answered 503. */
  down: boolean;
  nextPollSeconds: number;
  /** The newest protocol version it speaks, and the one before. */
  speaks: number;
  now(): number;
  /** Hands the order out until it is over. `permit` null: none yet. */
  offer(doc: OrderDocument, permit: Partial<PermitDocument> | null): void;
  /** Hands out any envelope at the next poll, whatever it is. */
  offerRaw(endpointId: string, order: Envelope, permit: Envelope | null): void;
  permit(orderId: string, permit: Partial<PermitDocument>): void;
  /** The order by the shared reducer, with every report in order. @throws when a report was not possible. */
  order(orderId: string): { readonly core: OrderCore; readonly reports: readonly AgentReport[] };
  /** Resolves when the order is in one of the states. @throws with its reports when it is not within `ms`. */
  waitFor(orderId: string, states: readonly string[], ms: number): Promise<readonly AgentReport[]>;
  /** Resolves when that many inventories came in. */
  waitForInventory(count: number, ms: number): Promise<void>;
  setKeySet(over: Partial<KeySetDocument>): void;
  wake(): void;
  close(): Promise<void>;
}

interface Known {
  readonly endpointId: string;
  readonly publicKey: string;
}

interface Held {
  readonly doc: OrderDocument;
  permit: PermitDocument | null;
  core: OrderCore;
  readonly reports: AgentReport[];
  readonly refused: string[];
}

export async function startFakeGateway(options: { readonly address?: string } = {}): Promise<FakeGateway> {
  const root = signingKeyFromPem(generateSigningKeyPem());
  const worker = signingKeyFromPem(generateSigningKeyPem());
  const known = new Map<string, Known>();
  const orders = new Map<string, Held>();
  const raw: { endpointId: string; order: Envelope; permit: Envelope | null }[] = [];
  const secret = `join-${randomUUID()}`;
  const wakeSockets = new WebSocketServer({ noServer: true });
  let keySet: KeySetDocument = {
    v: 1,
    version: 1,
    issuedAt: 0,
    expiresAt: 4e12,
    keys: [{ keyid: worker.keyid, publicKey: worker.publicKey, notBefore: 0, notAfter: 4e12, revoked: false }],
  };

  const fake: FakeGateway = {
    url: '',
    joinToken: `${secret}.${root.keyid}`,
    keys: { root, worker },
    endpoints: new Map(),
    polls: [],
    inventories: [],
    requests: [],
    content: new Map(),
    clockOffset: 0,
    down: false,
    nextPollSeconds: 0.5,
    speaks: PROTOCOL_VERSION,
    now: () => Date.now() + fake.clockOffset,
    offer(doc, permit) {
      const full = permit === null ? null : permitFor(fake, doc, permit);
      orders.set(doc.orderId, { doc, permit: full, core: offeredOrder(doc.kind), reports: [], refused: [] });
      fake.wake();
    },
    offerRaw(endpointId, order, permit) {
      raw.push({ endpointId, order, permit });
      fake.wake();
    },
    permit(orderId, permit) {
      const held = heldOrder(orderId);
      held.permit = permitFor(fake, held.doc, permit);
      fake.wake();
    },
    order(orderId) {
      const { core, reports, refused } = heldOrder(orderId);
      if (refused.length > 0) throw new Error(`reports that were not possible: ${refused.join('; ')}`);
      return { core, reports };
    },
    async waitFor(orderId, states, ms) {
      const deadline = Date.now() + ms;
      while (!states.includes(fake.order(orderId).core.state)) {
        if (Date.now() > deadline) {
          throw new Error(
            `order is ${fake.order(orderId).core.state}: ${JSON.stringify(fake.order(orderId).reports).slice(-3_000)}`,
          );
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      return fake.order(orderId).reports;
    },
    async waitForInventory(count, ms) {
      const deadline = Date.now() + ms;
      while (fake.inventories.length < count) {
        if (Date.now() > deadline) throw new Error(`${fake.inventories.length} of ${count} inventories came`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    setKeySet(over) {
      keySet = { ...keySet, version: keySet.version + 1, ...over };
    },
    wake() {
      for (const socket of wakeSockets.clients) socket.send('{"type":"wake"}');
    },
    close: () =>
      new Promise((resolve) => {
        for (const socket of wakeSockets.clients) socket.terminate();
        wakeSockets.close();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  const heldOrder = (orderId: string): Held => {
    const held = orders.get(orderId);
    if (held === undefined) throw new Error(`order ${orderId} was never offered`);
    return held;
  };
  const keySetEnvelope = () => plain(signEnvelope({ type: KEY_SET_TYPE, document: keySet, key: root }));

  const handle = (method: string, path: string, request: SignableRequest): [number, unknown] | Buffer => {
    const body = request.body === null ? null : JSON.parse(Buffer.from(request.body).toString('utf8'));
    if (typeof body?.protocol === 'number' && body.protocol > fake.speaks) {
      return [426, { error: 'not spoken', speaks: { from: Math.max(1, fake.speaks - 1), to: fake.speaks } }];
    }
    if (path === '/agent/v1/enrol') {
      const enrol = enrolRequest.parse(body);
      const fault = verifyWith(request, enrol.publicKey, fake.now());
      if (fault !== null) return [401, { error: fault }];
      if (enrol.token !== secret) return [403, { error: 'the token is not good' }];
      const id = known.get(keyIdOf(enrol.publicKey))?.endpointId ?? randomUUID();
      for (const keyid of [id, keyIdOf(enrol.publicKey)])
        known.set(keyid, { endpointId: id, publicKey: enrol.publicKey });
      fake.endpoints.set(enrol.name, id);
      return [200, { endpointId: id, rootPublicKey: root.publicKey, keySet: keySetEnvelope(), nextPollSeconds: 1 }];
    }
    const signed = readSignature(request.headers);
    const who = signed.ok ? known.get(signed.signature.keyid) : undefined;
    if (who === undefined) return [401, { error: 'unknown key' }];
    const fault = verifyWith(request, who.publicKey, fake.now());
    if (fault !== null) return [401, { error: fault }];
    if (path === '/agent/v1/poll') return [200, answerPoll(who.endpointId, pollRequest.parse(body))];
    if (path === '/agent/v1/inventory') {
      const inventory = inventoryRequest.parse(body);
      fake.inventories.push(inventory);
      return [200, { scanId: inventory.scanId }];
    }
    if (path === '/agent/v1/key-set') return [200, { keySet: keySetEnvelope() }];
    const file = /^\/agent\/v1\/content\/([0-9a-f]{64})$/.exec(path)?.[1];
    const bytes = file === undefined ? undefined : fake.content.get(file);
    return method === 'GET' && bytes !== undefined ? bytes : [404, { error: 'no such path' }];
  };

  const answerPoll = (endpointId: string, request: PollRequest) => {
    fake.polls.push({ endpointId, at: fake.now(), request });
    for (const { orderId, events } of request.reports)
      for (const event of events) takeReport(orders.get(orderId), event);
    const ids = new Set([...request.open, ...request.reports].map((entry) => entry.orderId));
    const mine = [...orders.values()].filter((held) => held.doc.endpointId === endpointId);
    const open = mine.filter((held) => ['offered', 'accepted', 'staged', 'awaitingReboot'].includes(held.core.state));
    const rawNow = raw
      .filter((entry) => entry.endpointId === endpointId)
      .map(({ order, permit }) => ({ order, permit }));
    return {
      nextPollSeconds: fake.nextPollSeconds,
      acks: [...ids].map((orderId) => ({ orderId, seq: orders.get(orderId)?.core.seq ?? 0 })),
      orders: [...open.map((held) => envelopes(held, worker)), ...rawNow],
      keySetVersion: keySet.version,
      scanNow: false,
      knows: [...KNOWN_REPORTS],
    };
  };

  const server: Server = createServer((incoming, outgoing) => {
    collect(incoming)
      .then((request) => {
        fake.requests.push(request.path);
        if (fake.down) return reply(outgoing, 503, { serverTime: fake.now(), error: 'down' });
        const answer = handle(request.method, request.path, request);
        if (Buffer.isBuffer(answer)) return replyBytes(incoming, outgoing, answer);
        return reply(outgoing, answer[0], { serverTime: fake.now(), ...(answer[1] as object) });
      })
      .catch((error: Error) => reply(outgoing, 400, { serverTime: fake.now(), error: error.message }));
  });
  server.on('upgrade', (incoming, socket, head) => {
    const signed = readSignature(incoming.headers);
    if (!signed.ok || !known.has(signed.signature.keyid)) return socket.destroy();
    wakeSockets.handleUpgrade(incoming, socket, head, () => undefined);
  });
  const address = options.address ?? '127.0.0.1';
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  return Object.assign(fake, { url: `http://${address}:${(server.address() as AddressInfo).port}` });
}

function takeReport(held: Held | undefined, event: AgentReport): void {
  if (held === undefined) return;
  const result = reduceOrder(held.core, event);
  if (result.kind === 'refused' || result.kind === 'gap')
    held.refused.push(`${event.seq} ${event.type}: ${JSON.stringify(result)}`);
  if (result.kind !== 'moved') return;
  held.core = result.order;
  held.reports.push(event);
  if (result.violation !== null) held.refused.push(result.violation);
}

function envelopes(held: Held, worker: SigningKey) {
  if (held.permit !== null) {
    const permitted = reduceOrder(held.core, { type: 'permit', until: held.permit.startBy });
    if (permitted.kind === 'moved') held.core = permitted.order;
  }
  return {
    order: plain(signEnvelope({ type: ORDER_TYPE, document: held.doc, key: worker })),
    permit:
      held.permit === null ? null : plain(signEnvelope({ type: PERMIT_TYPE, document: held.permit, key: worker })),
  };
}

function permitFor(fake: FakeGateway, doc: OrderDocument, over: Partial<PermitDocument>): PermitDocument {
  const now = fake.now();
  return {
    v: 1,
    orderId: doc.orderId,
    endpointId: doc.endpointId,
    planDigest: doc.planDigest,
    issuedAt: now,
    startBy: now + 5 * 60_000,
    rebootBy: now + 10 * 60_000,
    ...over,
  };
}

function verifyWith(request: SignableRequest, publicKey: string, now: number): string | null {
  const signed = readSignature(request.headers);
  if (!signed.ok) return signed.reason;
  const verdict = verifyRequest({ request, signature: signed.signature, publicKey: publicKeyObject(publicKey), now });
  return verdict.ok ? null : verdict.reason;
}

async function collect(incoming: IncomingMessage): Promise<SignableRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const url = incoming.url ?? '/';
  const at = url.indexOf('?');
  return {
    method: incoming.method ?? '',
    path: at < 0 ? url : url.slice(0, at),
    query: at < 0 ? null : url.slice(at + 1),
    headers: incoming.headers,
    body: chunks.length === 0 ? null : Buffer.concat(chunks),
  };
}

function reply(outgoing: ServerResponse, status: number, body: unknown): void {
  outgoing.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function replyBytes(incoming: IncomingMessage, outgoing: ServerResponse, bytes: Buffer): void {
  const from = Number(/^bytes=(\d+)-$/.exec(incoming.headers.range ?? '')?.[1] ?? 0);
  outgoing.writeHead(from > 0 ? 206 : 200, { 'content-type': 'application/octet-stream' }).end(bytes.subarray(from));
}

const plain = (envelope: Envelope) => ({ ...envelope, signatures: [...envelope.signatures] });
