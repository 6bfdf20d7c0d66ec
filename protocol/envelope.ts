/**
 * Signed documents as DSSE envelopes (Dead Simple Signing Envelope v1: the signature covers the payload's type and bytes,
 * so nothing is canonicalised and one kind of document can't be passed off as another). Ed25519 throughout.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';

export interface Envelope {
  readonly payloadType: string;
  readonly payload: string;
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
}

export const ORDER_TYPE = 'application/vnd.ringmaster.order+json';
export const PERMIT_TYPE = 'application/vnd.ringmaster.permit+json';
export const KEY_SET_TYPE = 'application/vnd.ringmaster.key-set+json';

export interface SigningKey {
  readonly keyid: string;
  readonly privateKey: KeyObject;
  /** Raw 32 bytes, base64url. */
  readonly publicKey: string;
}

/** The pre-authentication encoding of DSSE v1: what is actually signed. */
function preAuthEncoding(payloadType: string, payload: Buffer): Buffer {
  const type = Buffer.from(payloadType, 'utf8');
  return Buffer.concat([Buffer.from(`DSSEv1 ${type.length} `), type, Buffer.from(` ${payload.length} `), payload]);
}

/** SHA-256 (hex) of the raw public key: names a key, and is the root's fingerprint in a join token. */
export function keyIdOf(publicKey: string): string {
  return createHash('sha256').update(Buffer.from(publicKey, 'base64url')).digest('hex');
}

export function publicKeyObject(publicKey: string): KeyObject {
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: publicKey }, format: 'jwk' });
}

export function signingKeyFromPem(pem: string): SigningKey {
  const privateKey = createPrivateKey(pem);
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' });
  if (privateKey.asymmetricKeyType !== 'ed25519' || x === undefined) throw new Error('not an Ed25519 private key');
  return { keyid: keyIdOf(x), privateKey, publicKey: x };
}

/** A new key as PKCS #8 PEM; the caller decides where it may rest. */
export function generateSigningKeyPem(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

export function signEnvelope(args: {
  readonly type: string;
  readonly document: unknown;
  readonly key: SigningKey;
}): Envelope {
  const payload = Buffer.from(JSON.stringify(args.document), 'utf8');
  const sig = sign(null, preAuthEncoding(args.type, payload), args.key.privateKey);
  return {
    payloadType: args.type,
    payload: payload.toString('base64'),
    signatures: [{ keyid: args.key.keyid, sig: sig.toString('base64') }],
  };
}

export type OpenResult =
  | { readonly ok: true; readonly document: unknown; readonly keyid: string }
  | { readonly ok: false; readonly reason: string };

/** Verifies an envelope against the keys trusted now and returns its (still unvalidated) JSON. Never throws. */
export function openEnvelope(args: {
  readonly envelope: Envelope;
  readonly type: string;
  readonly trusted: ReadonlyMap<string, KeyObject>;
}): OpenResult {
  if (args.envelope.payloadType !== args.type) {
    return { ok: false, reason: `expected ${args.type}, got ${args.envelope.payloadType}` };
  }
  const payload = Buffer.from(args.envelope.payload, 'base64');
  const bytes = preAuthEncoding(args.type, payload);
  for (const { keyid, sig } of args.envelope.signatures) {
    const key = args.trusted.get(keyid);
    if (key === undefined || !verify(null, bytes, key, Buffer.from(sig, 'base64'))) continue;
    try {
      return { ok: true, document: JSON.parse(payload.toString('utf8')), keyid };
    } catch {
      return { ok: false, reason: 'signed payload is not JSON' };
    }
  }
  return { ok: false, reason: 'no signature by a trusted key' };
}
