/**
 * How records lie in the journal file: `RMJ1`, payload length and CRC-32 (both little-endian), payload (JSON, UTF-8).
 * A record is on disk before the step it announces begins, so only the last one can be torn; a bad frame with a good one
 * after it is damage, not a torn write.
 */
import { crc32 } from 'node:zlib';

const MAGIC = Buffer.from('RMJ1');
const HEADER = 12;
/** No record comes near; a bigger length is damage. */
export const MAX_PAYLOAD = 16 * 1024 * 1024;

export interface FramesRead {
  readonly payloads: readonly Buffer[];
  /** Bytes up to the end of the last whole record. */
  readonly goodBytes: number;
  /** What follows them: nothing, the rest of one write that never finished, or damage before good records. */
  readonly rest: 'none' | 'torn' | 'damaged';
}

/** @throws RangeError when the payload is larger than {@link MAX_PAYLOAD}. */
export function encodeFrame(payload: Buffer): Buffer {
  if (payload.length > MAX_PAYLOAD) throw new RangeError(`journal record of ${payload.length} bytes`);
  const header = Buffer.alloc(HEADER);
  MAGIC.copy(header);
  header.writeUInt32LE(payload.length, 4);
  header.writeUInt32LE(crc32(payload), 8);
  return Buffer.concat([header, payload]);
}

/** Reads as many whole records as the file begins with, and says what the rest is. */
export function decodeFrames(file: Buffer): FramesRead {
  const payloads: Buffer[] = [];
  let at = 0;
  for (let payload = frameAt(file, at); payload !== null; payload = frameAt(file, at)) {
    payloads.push(payload);
    at += HEADER + payload.length;
  }
  if (at === file.length) return { payloads, goodBytes: at, rest: 'none' };
  return { payloads, goodBytes: at, rest: goodFrameAfter(file, at + 1) ? 'damaged' : 'torn' };
}

function frameAt(file: Buffer, at: number): Buffer | null {
  if (at + HEADER > file.length || file.compare(MAGIC, 0, 4, at, at + 4) !== 0) return null;
  const length = file.readUInt32LE(at + 4);
  if (length > MAX_PAYLOAD || at + HEADER + length > file.length) return null;
  const payload = file.subarray(at + HEADER, at + HEADER + length);
  return crc32(payload) === file.readUInt32LE(at + 8) ? payload : null;
}

function goodFrameAfter(file: Buffer, from: number): boolean {
  for (let at = file.indexOf(MAGIC, from); at >= 0; at = file.indexOf(MAGIC, at + 1)) {
    if (frameAt(file, at) !== null) return true;
  }
  return false;
}
