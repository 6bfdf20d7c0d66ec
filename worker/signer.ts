import type { Envelope, SigningKey } from '../protocol/envelope.js';
import { ORDER_TYPE, PERMIT_TYPE, signEnvelope } from '../protocol/envelope.js';
import type { OrderDocument, PermitDocument } from '../protocol/messages.js';

/** Signs what agents act on. Injected into the pump; nothing else holds the key. */
export interface Signer {
  signOrder(document: OrderDocument): Envelope;
  signPermit(document: PermitDocument): Envelope;
}

/** @param key what to sign with, asked each time: it may have been rotated */
export function createSigner(key: () => SigningKey): Signer {
  return {
    signOrder: (document) => signEnvelope({ type: ORDER_TYPE, document, key: key() }),
    signPermit: (document) => signEnvelope({ type: PERMIT_TYPE, document, key: key() }),
  };
}
