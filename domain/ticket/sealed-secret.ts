/**
 * Secrets in rows. A tracker's password is sealed for the worker: whoever has its public key, such as the web tier, can put a
 * secret in and nobody but the worker takes it out (X25519, HKDF-SHA-256, AES-256-GCM). What the web tier must read itself it
 * encrypts with a key of its own. Both are bound to what they are a secret of, so that one can't be moved to another row.
 */
import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';

/** A secret can't be read: damaged, moved, or made for another key. */
export class UnreadableSecret extends Error {}

export interface SealingKey {
  readonly privateKey: KeyObject;
  /** Raw, base64url: what the web tier is given. */
  readonly publicKey: string;
}

export function generateSealingPem(): string {
  return generateKeyPairSync('x25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
}

export function sealingKeyFromPem(pem: string): SealingKey {
  const privateKey = createPrivateKey(pem);
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' });
  return { privateKey, publicKey: x as string };
}

/** @param args.subject what it is a secret of, such as `ticket-system/<id>` */
export function sealSecret(args: {
  readonly publicKey: string;
  readonly subject: string;
  readonly secret: string;
}): string {
  const theirs = publicKeyOf(args.publicKey);
  const mine = generateKeyPairSync('x25519');
  const sender = mine.publicKey.export({ format: 'jwk' }).x as string;
  const key = deriveKey(diffieHellman({ privateKey: mine.privateKey, publicKey: theirs }), sender + args.publicKey);
  return `s1.${sender}.${encrypt(key, args.subject, args.secret)}`;
}

/** @throws UnreadableSecret */
export function openSecret(args: {
  readonly key: SealingKey;
  readonly subject: string;
  readonly sealed: string;
}): string {
  const [version, sender, ...rest] = args.sealed.split('.');
  if (version !== 's1' || sender === undefined) throw new UnreadableSecret('not a sealed secret');
  try {
    const shared = diffieHellman({ privateKey: args.key.privateKey, publicKey: publicKeyOf(sender) });
    return decrypt(deriveKey(shared, sender + args.key.publicKey), args.subject, rest.join('.'));
  } catch {
    throw new UnreadableSecret('the secret was sealed for another key, or is damaged: give it again');
  }
}

/** For whoever must read it again with the same password-like key. */
export function encryptSecret(args: {
  readonly key: string;
  readonly subject: string;
  readonly secret: string;
}): string {
  return `e1.${encrypt(deriveKey(Buffer.from(args.key), 'secrets in rows'), args.subject, args.secret)}`;
}

/** @throws UnreadableSecret */
export function decryptSecret(args: {
  readonly key: string;
  readonly subject: string;
  readonly encrypted: string;
}): string {
  if (!args.encrypted.startsWith('e1.')) throw new UnreadableSecret('not an encrypted secret');
  try {
    return decrypt(deriveKey(Buffer.from(args.key), 'secrets in rows'), args.subject, args.encrypted.slice(3));
  } catch {
    throw new UnreadableSecret('the secret was encrypted with another key, or is damaged: give it again');
  }
}

const publicKeyOf = (raw: string): KeyObject =>
  createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x: raw }, format: 'jwk' });

const deriveKey = (secret: Buffer, context: string): Buffer =>
  Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), `ringmaster/${context}`, 32));

function encrypt(key: Buffer, subject: string, secret: string): string {
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(subject));
  const body = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()]);
  return [nonce, body, cipher.getAuthTag()].map((part) => part.toString('base64url')).join('.');
}

function decrypt(key: Buffer, subject: string, text: string): string {
  const [nonce, body, tag] = text.split('.').map((part) => Buffer.from(part, 'base64url')) as [Buffer, Buffer, Buffer];
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: 16 })
    .setAAD(Buffer.from(subject))
    .setAuthTag(tag);
  return Buffer.concat([decipher.update(body), decipher.final()]).toString('utf8');
}
