import { createHash } from 'node:crypto';
import { ContentError } from './errors.js';

/** Bytes in pieces, read once. */
export type ByteSource = AsyncIterable<Uint8Array>;

export interface ExpectedBytes {
  /** What it is, for messages. */
  readonly what: string;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly size: number;
}

/**
 * Passes bytes on, and judges them: more than expected is refused at once, fewer or others at the end. So whoever consumes this
 * must treat what it got as nothing until it has ended without an error.
 * @throws ContentError `sizeMismatch`, `digestMismatch`
 */
export async function* verified(source: ByteSource, expected: ExpectedBytes): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of source) {
    size += chunk.byteLength;
    if (size > expected.size) throw sizeMismatch(expected, `more than ${expected.size}`);
    hash.update(chunk);
    yield chunk;
  }
  if (size !== expected.size) throw sizeMismatch(expected, String(size));
  const found = hash.digest('hex');
  if (found !== expected.sha256) {
    throw new ContentError('digestMismatch', `${expected.what}: SHA-256 is ${found}, expected ${expected.sha256}`, {
      expected: expected.sha256,
      found,
    });
  }
}

/**
 * Passes bytes on up to a limit.
 * @throws ContentError `tooLarge`
 */
export async function* limited(
  source: ByteSource,
  limit: { what: string; maxBytes: number },
): AsyncGenerator<Uint8Array> {
  let size = 0;
  for await (const chunk of source) {
    size += chunk.byteLength;
    if (size > limit.maxBytes) {
      throw new ContentError('tooLarge', `${limit.what}: is larger than ${limit.maxBytes} bytes`, {
        maxBytes: limit.maxBytes,
      });
    }
    yield chunk;
  }
}

/** All of it in memory. Only behind `verified` or `limited`. */
export async function collect(source: ByteSource): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function sizeMismatch(expected: ExpectedBytes, found: string): ContentError {
  return new ContentError('sizeMismatch', `${expected.what}: has ${found} bytes, expected ${expected.size}`, {
    expected: expected.size,
    found,
  });
}
