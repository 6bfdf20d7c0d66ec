/** The web tier in this process on a port of its own, with the rights of its own database role. */
import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import pino from 'pino';
import { type AppDeps, createApp } from '../../api/app.js';
import { parseParameters } from '../../api/changes/parameters.js';
import type { OrdersPort } from '../../api/gateway/orders-port.js';
import { createSeenBuffer, type SeenBuffer } from '../../api/gateway/seen-buffer.js';
import { createVerifier } from '../../api/gateway/signed.js';
import { createWakeHub, WAKE_CHANNEL } from '../../api/gateway/wake.js';
import { answerParserErrors } from '../../api/http/parser-errors.js';
import { createLiveHub, LIVE_CHANNELS } from '../../api/live/hub.js';
import { ensureBootstrapToken } from '../../db/identity/bootstrap.js';
import { createListener } from '../../db/listen.js';
import { haltAll, haltChange, retireEndpoint } from '../../db/orders/index.js';
import { createPool } from '../../db/pool.js';
import {
  generateSigningKeyPem,
  KEY_SET_TYPE,
  type SigningKey,
  signEnvelope,
  signingKeyFromPem,
} from '../../protocol/envelope.js';
import type { Json } from './agent-client.js';

export const ADMIN_TOKEN = 'rmt_test-administrator';

type HandedOut =
  Awaited<ReturnType<OrdersPort['takeOfferBatch']>> extends ReadonlyMap<string, readonly (infer One)[]> ? One : never;

export interface TestApi {
  readonly url: string;
  /** Path patterns of everything express has a route for, as mounted. */
  readonly mounted: readonly string[];
  readonly root: SigningKey;
  readonly seen: SeenBuffer;
  readonly contentDirectory: string;
  /** What the fake orders port answers next and has been asked. */
  readonly orders: { offers: readonly HandedOut[]; readonly reports: unknown[] };
  /** Moves the server's clock, milliseconds. */
  readonly skip: (ms: number) => void;
  readonly call: (
    method: string,
    path: string,
    options?: { body?: unknown; token?: string | null; headers?: Record<string, string>; raw?: string },
  ) => Promise<{ status: number; headers: Headers; body: Json }>;
  readonly close: () => Promise<void>;
}

/** @param args.pool as the schema's owner, to put in what the worker would have */
export async function startApi(args: {
  apiUrl: string;
  pool: pg.Pool;
  plugs?: AppDeps['plugs'];
  idlePollSeconds?: number;
  /** Default: none. */
  rateLimits?: AppDeps['rateLimits'];
  /** Default: a fake that acknowledges everything and hands out `orders.offers`. */
  ordersPort?: OrdersPort;
}): Promise<TestApi> {
  let skipped = 0;
  const clock = () => Date.now() + skipped;
  const logger = pino({ level: process.env.TEST_LOG_LEVEL ?? 'silent' });
  const dataDirectory = mkdtempSync(join(tmpdir(), 'ringmaster-api-'));
  const contentDirectory = join(dataDirectory, 'content');
  mkdirSync(contentDirectory);
  const root = signingKeyFromPem(generateSigningKeyPem());
  await publishRoot(args.pool, root);
  const pool = createPool({ url: args.apiUrl, applicationName: 'test-api', max: 5 });
  await ensureBootstrapToken(pool, { token: ADMIN_TOKEN, now: clock() });

  const verifier = createVerifier({ pool, clock });
  const seen = createSeenBuffer({ pool, logger });
  const listener = createListener({ url: args.apiUrl, channels: [WAKE_CHANNEL, ...LIVE_CHANNELS], log: logger });
  const wake = createWakeHub({ listener, verifier, logger });
  const live = createLiveHub({ pool, listener, clock, logger });
  const orders: { offers: readonly HandedOut[]; reports: unknown[] } = {
    offers: [],
    reports: [],
  };
  const fake: OrdersPort = {
    takeReportBatch: async (_pool, { polls }) =>
      polls.map(({ reports }) => {
        orders.reports.push(...reports);
        return {
          acks: reports.map(({ orderId, events }) => ({ orderId, seq: events.at(-1)?.seq ?? 0 })),
          violations: [],
          moved: [],
        };
      }),
    takeOfferBatch: async (_pool, { polls }) => new Map(polls.map(({ endpointId }) => [endpointId, orders.offers])),
  };
  const app = createApp({
    api: { pool, reserved: pool, clock, stops: { haltChange, haltAll }, retireEndpoint, parseParameters },
    gateway: {
      pool,
      polls: pool,
      clock,
      logger,
      verifier,
      seen,
      orders: args.ordersPort ?? fake,
      isWakeable: wake.isWakeable,
      idlePollSeconds: args.idlePollSeconds ?? 30,
      random: () => 0.5,
      contentDirectory,
    },
    live,
    logger,
    version: 'test',
    webSecret: randomUUID() + randomUUID(),
    isStopping: () => false,
    wakeable: wake.count,
    rateLimits: args.rateLimits ?? { perPerson: 0, perAddress: 0 },
    checkReplies: true,
    trustProxy: false,
    temporalUi: { url: 'http://temporal.example.test', namespace: 'default' },
    plugs: args.plugs ?? [],
  });
  const server = createServer(app);
  answerParserErrors(server);
  wake.attach(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  return {
    url,
    mounted: mountedPaths(app.router),
    root,
    seen,
    contentDirectory,
    orders,
    skip: (ms) => {
      skipped += ms;
    },
    call: async (method, path, options = {}) => {
      const token = options.token === undefined ? ADMIN_TOKEN : options.token;
      const body = options.raw ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
      const reply = await fetch(new URL(path, url), {
        method,
        redirect: 'manual',
        headers: {
          ...(token === null ? {} : { authorization: `Bearer ${token}` }),
          ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
          ...options.headers,
        },
        ...(body === undefined ? {} : { body }),
      });
      const text = await reply.text();
      const json = /json/.test(reply.headers.get('content-type') ?? '');
      return { status: reply.status, headers: reply.headers, body: json && text !== '' ? JSON.parse(text) : text };
    },
    close: async () => {
      live.close();
      await wake.close();
      await listener.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await seen.close();
      await pool.end();
      rmSync(dataDirectory, { recursive: true, force: true });
    },
  };
}

interface Layer {
  readonly route?: { readonly path: string };
  readonly handle?: { readonly stack?: readonly Layer[] };
}

function mountedPaths(router: unknown): string[] {
  const walk = (layers: readonly Layer[]): string[] =>
    layers.flatMap(({ route, handle }) => (route === undefined ? walk(handle?.stack ?? []) : [route.path]));
  return [...new Set(walk((router as { stack: readonly Layer[] }).stack))];
}

/** What a worker does at its first start: a root, and a key set that it signed. */
export async function publishRoot(pool: pg.Pool, root: SigningKey): Promise<void> {
  const signing = signingKeyFromPem(generateSigningKeyPem());
  const now = Date.now();
  const document = {
    v: 1,
    version: 1,
    issuedAt: now,
    expiresAt: now + 86_400_000,
    keys: [
      {
        keyid: signing.keyid,
        publicKey: signing.publicKey,
        notBefore: now,
        notAfter: now + 86_400_000,
        revoked: false,
      },
    ],
  };
  await pool.query('INSERT INTO key_set (version, envelope) VALUES (1, $1)', [
    signEnvelope({ type: KEY_SET_TYPE, document, key: root }),
  ]);
  await pool.query(
    `INSERT INTO setting (key, value) VALUES ('rootFingerprint', to_jsonb($1::text)), ('rootPublicKey', to_jsonb($2::text))`,
    [root.keyid, root.publicKey],
  );
}
