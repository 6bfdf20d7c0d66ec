import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { Decompress } from 'fzstd';
import xz from 'xz-decompress';
import type { ByteSource } from './bytes.js';
import { ContentError, messageOf } from './errors.js';

export type Compression = 'gz' | 'xz' | 'zst' | 'none';

/** By a file name's ending; what has none of the known ones is taken as it is. */
export function compressionOf(name: string): Compression {
  const ending = /\.(gz|xz|zst)$/.exec(name)?.[1];
  return (ending as Compression | undefined) ?? 'none';
}

/**
 * Unpacks a stream. The caller bounds the output (`limited`): a small file may hold a very large one.
 * @throws ContentError `compressionBroken` when the data is damaged or ends early.
 */
export async function* decompress(
  source: ByteSource,
  compression: Compression,
  what: string,
): AsyncGenerator<Uint8Array> {
  // Failures of the source keep their own name; only the unpacking itself is "broken".
  let sourceError: unknown;
  const input = async function* (): AsyncGenerator<Uint8Array> {
    try {
      yield* source;
    } catch (error) {
      sourceError = error;
      throw error;
    }
  };
  try {
    if (compression === 'gz') yield* gunzip(input());
    else if (compression === 'xz') yield* unxz(input());
    else if (compression === 'zst') yield* unzstd(input());
    else yield* input();
  } catch (error) {
    if (sourceError !== undefined) throw sourceError;
    throw new ContentError(
      'compressionBroken',
      `${what}: can't be unpacked as ${compression}: ${messageOf(error)}`,
      {},
      error,
    );
  }
}

async function* gunzip(source: ByteSource): AsyncGenerator<Uint8Array> {
  const out = createGunzip();
  const done = pipeline(Readable.from(source), out);
  // Whoever reads `out` sees the failure there; this one is the same.
  done.catch(() => undefined);
  for await (const chunk of out) yield chunk as Buffer;
  await done;
}

async function* unzstd(source: ByteSource): AsyncGenerator<Uint8Array> {
  let ready: Uint8Array[] = [];
  const decoder = new Decompress((chunk) => ready.push(chunk));
  let size = 0;
  for await (const chunk of source) {
    size += chunk.byteLength;
    decoder.push(chunk);
    yield* ready;
    ready = [];
  }
  // To the decoder no input at all is a complete file.
  if (size === 0) throw new Error('is empty');
  decoder.push(new Uint8Array(0), true);
  yield* ready;
}

/** The decoder has one context for all, so turns are taken here: its own queue can't tell who holds it when a reader leaves. */
let turn: Promise<unknown> = Promise.resolve();
/** Empty outputs in a row after the input has ended, after which nothing more will come. */
const STALLED = 8;

async function* unxz(source: ByteSource): AsyncGenerator<Uint8Array> {
  const before = turn;
  let leave = (): void => undefined;
  turn = new Promise<void>((resolve) => {
    leave = resolve;
  });
  await before;
  try {
    const iterator = source[Symbol.asyncIterator]();
    let ended = false;
    const input = new ReadableStream<Uint8Array>({
      async pull(controller) {
        const next = await iterator.next();
        ended = next.done === true;
        if (next.done === true) controller.close();
        else controller.enqueue(next.value);
      },
      async cancel() {
        await iterator.return?.(undefined);
      },
    });
    const reader = new xz.XzReadableStream(input).getReader();
    try {
      for (let empty = 0; ; ) {
        const next = await reader.read();
        if (next.done) return;
        empty = ended && next.value.byteLength === 0 ? empty + 1 : 0;
        if (empty > STALLED) throw new Error('ends early');
        if (next.value.byteLength > 0) yield next.value;
      }
    } finally {
      // A no-op on a stream that ended; on one left halfway it frees the decoder.
      await reader.cancel().catch(() => undefined);
      await iterator.return?.(undefined);
    }
  } finally {
    leave();
  }
}
