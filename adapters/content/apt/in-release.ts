import { type CleartextMessage, type Key, readCleartextMessage, verify } from 'openpgp';
import type { EpochMs } from '../../../domain/time.js';
import { ContentError, messageOf } from '../errors.js';
import { fingerprintsOf } from './keyring.js';

export interface VerifiedText {
  /** What was signed, and nothing around it. */
  readonly text: string;
  /** Fingerprints of the primary keys whose signatures are good. */
  readonly signers: readonly string[];
}

/**
 * Verifies a clear-signed InRelease file. Several keys may have signed; one that we trust must be good at `now`.
 * @throws ContentError `notSigned`, `unknownKey`, `badSignature`
 */
export async function verifyInRelease(input: {
  readonly what: string;
  readonly bytes: Uint8Array;
  readonly keys: readonly Key[];
  readonly now: EpochMs;
}): Promise<VerifiedText> {
  const { what, keys } = input;
  let message: CleartextMessage;
  try {
    const cleartextMessage = new TextDecoder('utf-8', { fatal: true }).decode(input.bytes);
    message = await readCleartextMessage({ cleartextMessage });
  } catch (error) {
    throw new ContentError('notSigned', `${what}: is not a clear-signed message: ${messageOf(error)}`, {}, error);
  }
  const verificationKeys = [...keys];
  const result = await verify({ message, verificationKeys, date: new Date(input.now) }).catch((error: unknown) => {
    throw new ContentError('badSignature', `${what}: ${messageOf(error)}`, {}, error);
  });
  const signers: string[] = [];
  const unknown: string[] = [];
  const bad: string[] = [];
  for (const { keyID, verified } of result.signatures) {
    const id = keyID.toHex();
    const key = keys.find((one) => fingerprintsOf(one).some((fingerprint) => fingerprint.endsWith(id)));
    const failure = await verified.then(() => null, messageOf);
    if (key === undefined) unknown.push(id);
    else if (failure === null) signers.push(key.getFingerprint());
    else bad.push(`${id}: ${failure}`);
  }
  if (signers.length > 0) return { text: result.data, signers };
  if (bad.length > 0) throw new ContentError('badSignature', `${what}: ${bad.join('; ')}`, { keys: bad });
  if (unknown.length === 0) throw new ContentError('notSigned', `${what}: bears no signature`);
  throw new ContentError('unknownKey', `${what}: signed by ${unknown.join(', ')}, of which the keyring holds none`, {
    keys: unknown,
  });
}
