/** Who signed a request. Keys are imported once and kept, so that a core verifies thousands of requests a second. */
import type { KeyObject } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { Pool } from 'pg';
import { findByKeyId } from '../../db/endpoints/identity.js';
import type { EpochMs } from '../../domain/time.js';
import { publicKeyObject } from '../../protocol/envelope.js';
import { type ReadResult, readSignature, verifyRequest } from '../../protocol/http-signature.js';
import { Problem } from '../http/problem.js';

export interface Signer {
  readonly endpointId: string;
  /** The key that verified it, perhaps kept since before another machine took the endpoint over. */
  readonly publicKey: string;
  /** When the request was signed, by the agent's reckoning of our time. */
  readonly signedAt: EpochMs;
}

export interface SignedRequest {
  readonly method: string;
  /** As on the wire, with the query. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer | null;
}

export interface Verifier {
  /** @throws Problem 401 when the headers hold nothing that could be a signature */
  readonly requireHeaders: (headers: IncomingHttpHeaders) => void;
  /** @throws Problem 401 when the signature is missing, wrong, foreign or not of now */
  readonly verify: (request: SignedRequest) => Promise<Signer>;
  /** For enrolment: the key is in the body, and must be the one that signed. @throws Problem 401 */
  readonly verifyWith: (request: SignedRequest, args: { publicKey: string; keyid: string }) => EpochMs;
}

/** A fleet that polls in turn would find nothing in a smaller cache; a key takes about 1 KB. */
const CACHED_KEYS = 100_000;

interface KnownKey {
  readonly endpointId: string;
  readonly publicKey: string;
  readonly key: KeyObject;
}

/**
 * Verified keys are kept, by every replica: whether this one is still the endpoint's is asked of its row.
 * @returns Problem 401 when another machine has taken the endpoint over; null when it is
 */
export function foreignKey(signer: Signer, endpoint: { readonly publicKey: string }): Problem | null {
  if (endpoint.publicKey === signer.publicKey) return null;
  return refused('unknown-key', 'another machine has taken this endpoint over; this key is worth nothing any more');
}

export function createVerifier(deps: { pool: Pool; clock: () => EpochMs }): Verifier {
  const keys = new Map<string, KnownKey>();

  const keyOf = async (keyid: string): Promise<KnownKey | null> => {
    const cached = keys.get(keyid);
    if (cached !== undefined) {
      // Re-inserted at the end: the first entry is the least recently used one.
      keys.delete(keyid);
      keys.set(keyid, cached);
      return cached;
    }
    const found = await findByKeyId(deps.pool, keyid);
    if (found === null) return null;
    const entry = { ...found, key: publicKeyObject(found.publicKey) };
    keys.set(keyid, entry);
    const oldest = keys.keys().next();
    if (keys.size > CACHED_KEYS && !oldest.done) keys.delete(oldest.value);
    return entry;
  };

  const check = (request: SignedRequest, key: KeyObject): EpochMs => {
    const read = readOnce(request.headers);
    if (!read.ok) throw refused('signature', read.reason);
    const at = request.url.indexOf('?');
    const verdict = verifyRequest({
      request: {
        method: request.method,
        path: at < 0 ? request.url : request.url.slice(0, at),
        query: at < 0 ? null : request.url.slice(at + 1),
        headers: request.headers,
        body: request.body,
      },
      signature: read.signature,
      publicKey: key,
      now: deps.clock(),
    });
    if (!verdict.ok) throw refused(verdict.fault, verdict.reason);
    return read.signature.created * 1_000;
  };

  return {
    requireHeaders: (headers) => {
      const read = readOnce(headers);
      if (!read.ok) throw refused('signature', read.reason);
    },
    verify: async (request) => {
      const read = readOnce(request.headers);
      if (!read.ok) throw refused('signature', read.reason);
      const entry = await keyOf(read.signature.keyid);
      if (entry === null) throw refused('unknown-key', 'no endpoint has this key');
      const signerOf = ({ endpointId, publicKey, key }: KnownKey): Signer => ({
        endpointId,
        publicKey,
        signedAt: check(request, key),
      });
      try {
        return signerOf(entry);
      } catch (error) {
        // A key id that is an endpoint's id may stand for another key by now.
        keys.delete(read.signature.keyid);
        const now = await keyOf(read.signature.keyid);
        if (now === null || now.publicKey === entry.publicKey) throw error;
        return signerOf(now);
      }
    },
    verifyWith: (request, { publicKey, keyid }) => {
      const read = readOnce(request.headers);
      if (!read.ok) throw refused('signature', read.reason);
      if (read.signature.keyid !== keyid)
        throw refused('unknown-key', 'the request is not signed with the key it names');
      return check(request, importKey(publicKey));
    },
  };
}

/** A request's signature is looked at before its body is read and again after it; taking it apart is the dear part. */
const alreadyRead = new WeakMap<IncomingHttpHeaders, ReadResult>();

function readOnce(headers: IncomingHttpHeaders): ReadResult {
  const before = alreadyRead.get(headers);
  if (before !== undefined) return before;
  const read = readSignature(headers);
  alreadyRead.set(headers, read);
  return read;
}

function importKey(publicKey: string): KeyObject {
  try {
    return publicKeyObject(publicKey);
  } catch {
    throw refused('unknown-key', 'publicKey is not an Ed25519 key');
  }
}

function refused(fault: string, reason: string): Problem {
  return new Problem({
    status: 401,
    type: `signature-${fault}`,
    title: 'The request’s signature is not accepted',
    detail: reason,
  });
}
