/** Takes in an uploaded data stream as it arrives: parsed, hashed and compressed piece by piece, never whole in memory. */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import type { Benchmark } from '../../domain/baseline/model.js';
import { createDataStreamReader } from '../../domain/baseline/read-data-stream.js';
import { BaselineRefused } from '../../domain/baseline/refusal.js';
import { invalidField, Problem, unavailable } from '../http/problem.js';

/** Debian 12's has 10 MB. */
export const LARGEST = 128 * 1024 * 1024;
/** Compressed, as it rests in a row until the worker has it. */
const LARGEST_PACKED = 32 * 1024 * 1024;
/** Bytes parsed in one turn of the event loop: some 20 ms. */
const PIECE = 32 * 1024;

export interface ReadUpload {
  readonly benchmark: Benchmark;
  readonly sha256: string;
  readonly size: number;
  readonly packed: Buffer;
}

let busy = false;

/**
 * Reads one upload; only one at a time in a process, so that memory stays bounded.
 * @throws Problem 400 with place and reason, 413, 503 while another import is read
 */
export async function readUpload(body: Readable): Promise<ReadUpload> {
  if (busy) throw unavailable('another baseline is being imported');
  busy = true;
  try {
    return await read(body);
  } catch (error) {
    body.resume();
    if (error instanceof BaselineRefused) throw invalidField(error.place, error.reason);
    throw error;
  } finally {
    busy = false;
  }
}

async function read(body: Readable): Promise<ReadUpload> {
  const reader = createDataStreamReader();
  const hash = createHash('sha256');
  const gzip = createGzip();
  const packed: Buffer[] = [];
  let packedSize = 0;
  gzip.on('data', (chunk: Buffer) => {
    packedSize += chunk.length;
    packed.push(chunk);
  });
  const ended = new Promise<void>((resolve, reject) => gzip.once('end', resolve).once('error', reject));
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > LARGEST || packedSize > LARGEST_PACKED) throw tooLarge();
    hash.update(chunk);
    for (let at = 0; at < chunk.length; at += PIECE) {
      reader.write(chunk.subarray(at, at + PIECE));
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (!gzip.write(chunk)) await new Promise((resolve) => gzip.once('drain', resolve));
  }
  if (size === 0) throw invalidField('', 'is missing');
  gzip.end();
  await ended;
  return { benchmark: reader.end(), sha256: hash.digest('hex'), size, packed: Buffer.concat(packed) };
}

function tooLarge(): Problem {
  return new Problem({
    status: 413,
    type: 'too-large',
    title: 'Too large',
    detail: `a data stream has at most ${LARGEST / 1024 / 1024} MB, ${LARGEST_PACKED / 1024 / 1024} MB compressed`,
    headers: { connection: 'close' },
  });
}
