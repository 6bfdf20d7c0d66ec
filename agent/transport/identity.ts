/** Who this endpoint is: its own key, the id the server gave it, the root it trusts and the newest key set it has seen. */
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { generateSigningKeyPem, type SigningKey, signingKeyFromPem } from '../../protocol/envelope.js';
import type { KeySetDocument } from '../../protocol/messages.js';
import { readTextIfThere, writeFileDurably } from '../system/files.js';

export interface Identity {
  readonly endpointId: string;
  /** Of the machine the key was made on: a copy of the disk on another machine is a clone. */
  readonly machineId: string;
  readonly rootPublicKey: string;
  readonly rootFingerprint: string;
  readonly keySet: KeySetDocument;
}

export interface JoinToken {
  /** What the server checks; the only part that is sent. */
  readonly secret: string;
  /** SHA-256 (hex) of the root's public key. */
  readonly rootFingerprint: string;
}

/** @throws Error when the text is not `<secret>.<64 hex digits>`; never repeats the token in the message. */
export function parseJoinToken(text: string): JoinToken {
  const match = /^([A-Za-z0-9_-]{8,200})\.([0-9a-f]{64})$/.exec(text.trim());
  if (match === null) throw new Error('the join token is malformed: expected <secret>.<root fingerprint>');
  return { secret: match[1] ?? '', rootFingerprint: match[2] ?? '' };
}

const keyPath = (dataDir: string) => join(dataDir, 'identity', 'key.pem');
const identityPath = (dataDir: string) => join(dataDir, 'identity', 'identity.json');

/** The endpoint's key; made, and on disk for its owner alone, at the first call. @throws Error when others can read it. */
export function loadOrMakeKey(dataDir: string): SigningKey {
  const path = keyPath(dataDir);
  if (!existsSync(path)) {
    mkdirSync(join(dataDir, 'identity'), { recursive: true, mode: 0o700 });
    writeFileDurably(path, generateSigningKeyPem(), 0o600);
  }
  if ((statSync(path).mode & 0o077) !== 0)
    throw new Error(`${path} can be read by others: make it mode 0600 or enrol anew`);
  return signingKeyFromPem(readFileSync(path, 'utf8'));
}

/** Null before enrolment. @throws Error when the file is damaged. */
export function loadIdentity(dataDir: string): Identity | null {
  const text = readTextIfThere(identityPath(dataDir));
  if (text === null) return null;
  try {
    return JSON.parse(text) as Identity;
  } catch {
    throw new Error(`${identityPath(dataDir)} is damaged: enrol this endpoint anew`);
  }
}

export function saveIdentity(dataDir: string, identity: Identity): void {
  writeFileDurably(identityPath(dataDir), JSON.stringify(identity));
}
