/** The agents' side of the server: every request signed, every reply with the server's time. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import express, { type Request, type RequestHandler, type Response, Router } from 'express';
import type { Pool } from 'pg';
import { z } from 'zod';
import { storeArf } from '../../db/baseline/arf.js';
import { loadWatched } from '../../db/baseline/drift.js';
import { storeNoticed } from '../../db/baseline/notices.js';
import { storeAssessment } from '../../db/baseline/store-assessment.js';
import { readKeySet } from '../../db/endpoints/key-set.js';
import { readSetting } from '../../db/setting.js';
import { isIanaZone } from '../../domain/schedule/index.js';
import type { EpochMs } from '../../domain/time.js';
import { keyIdOf } from '../../protocol/envelope.js';
import {
  type AssessmentReply,
  assessmentRequest,
  type EnrolReply,
  enrolRequest,
  inventoryRequest,
  type NoticedReply,
  noticedRequest,
  OLDEST_PROTOCOL,
  PROTOCOL_VERSION,
  pollRequest,
} from '../../protocol/messages.js';
import { jsonTrap } from '../http/json-traps.js';
import { invalid, invalidField, notFound, Problem, unavailable } from '../http/problem.js';
import { validated } from '../http/validate.js';
import { requireActive } from './active.js';
import { createEnrolments } from './enrol.js';
import { createPolls, type PollDeps } from './poll.js';
import { createScans, refuseDoubles } from './scans.js';
import type { Signer, Verifier } from './signed.js';

export interface GatewayDeps extends PollDeps {
  /** Connections for polls alone: short statements by key. */
  readonly polls: Pool;
  readonly verifier: Verifier;
  readonly clock: () => EpochMs;
  /** The content store's folder: `<aa>/<bb>/<sha256>`. */
  readonly contentDirectory: string;
}

/** 20,000 packages with long names stay below. */
const BODY_LIMIT = '16mb';
const ENROL_LIMIT = '256kb';

export function gatewayRoutes(deps: GatewayDeps): Router {
  const polls = createPolls({ ...deps, pool: deps.polls });
  const enrolments = createEnrolments(deps);
  const scans = createScans(deps);
  const router = Router();
  // Nobody's megabytes are read before there is at least the look of a signature. Compressed bodies are refused: the digest
  // that is signed is one over the bytes as sent.
  router.use((req, res, next) => {
    // Before the body: what is uploaded slowly was written no later for it.
    res.locals.arrivedAt = deps.clock();
    deps.verifier.requireHeaders(req.headers);
    next();
  });
  router.use('/enrol', express.raw({ type: () => true, limit: ENROL_LIMIT, inflate: false }));
  router.use(express.raw({ type: () => true, limit: BODY_LIMIT, inflate: false }));
  const signed = (handle: (req: Request, signer: Signer, arrivedAt: EpochMs) => Promise<unknown>): RequestHandler => {
    return async (req, res) => {
      const signer = await deps.verifier.verify(asSigned(req));
      answer(res, await handle(req, signer, res.locals.arrivedAt));
    };
  };

  router.post('/enrol', async (req, res) => {
    const request = validated(enrolRequest, spoken(parsed(req)), 'body');
    deps.verifier.verifyWith(asSigned(req), { publicKey: request.publicKey, keyid: keyIdOf(request.publicKey) });
    const [keySet, rootPublicKey] = await Promise.all([readKeySet(deps.pool), readSetting(deps.pool, 'rootPublicKey')]);
    if (keySet === null || typeof rootPublicKey !== 'string')
      throw unavailable('the worker has not published its key set yet');
    const now = deps.clock();
    if (!isIanaZone(request.zone)) throw invalidField('zone', 'not an IANA time zone');
    const endpointId = await enrolments.run({ request, now });
    answer(res, {
      endpointId,
      serverTime: deps.clock(),
      rootPublicKey,
      keySet: { ...keySet.envelope, signatures: [...keySet.envelope.signatures] },
      nextPollSeconds: 1,
    } satisfies EnrolReply);
  });

  router.post(
    '/poll',
    signed(async (req, signer, arrivedAt) => {
      const request = validated(pollRequest, spoken(parsed(req)), 'body');
      return polls.run({ signer, request, arrivedAt });
    }),
  );

  router.post(
    '/inventory',
    signed(async (req, signer, arrivedAt) => {
      const scan = validated(inventoryRequest, spoken(parsed(req)), 'body');
      refuseDoubles(scan);
      await scans.run({ signer, scan, arrivedAt });
      return { serverTime: deps.clock(), scanId: scan.scanId };
    }),
  );

  router.post(
    '/assessment',
    signed(async (req, signer) => {
      const request = validated(assessmentRequest, spoken(parsed(req)), 'body');
      await requireActive(deps.pool, signer);
      const now = deps.clock();
      const stored = await storeAssessment(deps.pool, { endpointId: signer.endpointId, request, now });
      if (stored.kind === 'refused') throw invalidField(stored.field, stored.reason);
      const revision = stored.kind === 'stored' ? stored.revision : null;
      const watched = request.partial ? undefined : await loadWatched(deps.pool, signer.endpointId);
      return {
        serverTime: deps.clock(),
        revision,
        sendAll: stored.kind === 'sendAll',
        ...(watched === undefined ? {} : { watched }),
      } satisfies AssessmentReply;
    }),
  );

  router.post(
    '/arf/:orderId',
    signed(async (req, signer) => {
      const { orderId } = req.params;
      const { body } = req;
      if (!Buffer.isBuffer(body) || body.length === 0) throw invalid([{ field: '', in: 'body', reason: 'is missing' }]);
      if (body[0] !== 0x1f || body[1] !== 0x8b)
        throw invalid([{ field: '', in: 'body', reason: 'is not compressed by gzip' }]);
      await requireActive(deps.pool, signer);
      const sha256 = createHash('sha256').update(body).digest('hex');
      const args = { endpointId: signer.endpointId, orderId: String(orderId), bytes: body, sha256, now: deps.clock() };
      const stored = z.uuid().safeParse(args.orderId).success ? await storeArf(deps.pool, args) : 'notAsked';
      if (stored === 'notAsked') throw invalidField('orderId', 'no such order of this endpoint', 'path');
      return { serverTime: deps.clock() };
    }),
  );

  router.post(
    '/noticed',
    signed(async (req, signer) => {
      const { items } = validated(noticedRequest, spoken(parsed(req)), 'body');
      await requireActive(deps.pool, signer);
      await storeNoticed(deps.pool, { endpointId: signer.endpointId, items, now: deps.clock() });
      const watched = await loadWatched(deps.pool, signer.endpointId);
      return { serverTime: deps.clock(), watched } satisfies NoticedReply;
    }),
  );

  router.get(
    '/key-set',
    signed(async () => {
      const keySet = await readKeySet(deps.pool);
      if (keySet === null) throw unavailable('the worker has not published its key set yet');
      return { serverTime: deps.clock(), keySet: keySet.envelope };
    }),
  );

  router.get('/content/:sha256', async (req, res, next) => {
    const signer = await deps.verifier.verify(asSigned(req));
    const { sha256 } = req.params;
    if (!/^[0-9a-f]{64}$/.test(sha256)) throw invalidField('sha256', 'not a SHA-256 in lower-case hex', 'path');
    await requireActive(deps.pool, signer);
    const options = {
      root: deps.contentDirectory,
      dotfiles: 'allow' as const,
      immutable: true,
      maxAge: '365d',
      etag: false,
      lastModified: false,
    };
    res.type('application/octet-stream');
    res.sendFile(
      join(sha256.slice(0, 2), sha256.slice(2, 4), sha256),
      options,
      (error?: Error & { status?: number; code?: string }) => {
        if (!error || res.headersSent) return;
        res.removeHeader('content-type');
        if (error.code === 'ENOENT' || error.status === 404) next(notFound('content with this digest'));
        else next(error);
      },
    );
  });
  return router;
}

/** As `res.json` would, without its ways for browsers: this is done thousands of times a second. Text goes out with its head in one write. */
function answer(res: Response, document: unknown): void {
  const body = JSON.stringify(document);
  res.writeHead(200, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  res.end(body, 'utf8');
}

/** What problems below /agent also say: the time, and the reason where agents look for it. */
export function agentErrorMembers(clock: () => EpochMs, problem: Problem): Record<string, unknown> {
  return { serverTime: clock(), error: problem.message.slice(0, 2_000) };
}

function asSigned(req: Request) {
  const body = Buffer.isBuffer(req.body) && req.body.length > 0 ? req.body : null;
  return { method: req.method, url: req.originalUrl, headers: req.headers, body };
}

function parsed(req: Request): unknown {
  if (!Buffer.isBuffer(req.body) || req.body.length === 0)
    throw invalid([{ field: '', in: 'body', reason: 'is missing' }]);
  const text = req.body.toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid([{ field: '', in: 'body', reason: 'not valid JSON' }]);
  }
  const trap = jsonTrap(text);
  if (trap !== null) throw invalid([{ ...trap, in: 'body' }]);
  return value;
}

/** Refuses other protocol versions before anything else is read: their fields may mean something else. */
function spoken(body: unknown): unknown {
  const version = (body as { protocol?: unknown } | null)?.protocol;
  if (typeof version === 'number' && (version > PROTOCOL_VERSION || version < OLDEST_PROTOCOL)) {
    throw new Problem({
      status: 426,
      type: 'protocol-version',
      title: 'Protocol version not spoken',
      detail: `protocol ${version} is not spoken here, only ${OLDEST_PROTOCOL} to ${PROTOCOL_VERSION}: ${version > PROTOCOL_VERSION ? 'the server must be updated first' : 'update the agent'}`,
      extra: { speaks: { from: OLDEST_PROTOCOL, to: PROTOCOL_VERSION } },
    });
  }
  return body;
}
