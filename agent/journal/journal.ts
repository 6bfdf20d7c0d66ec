/** The agent's memory of what it did: an append-only file, on disk before each step (design §4). */
import {
  closeSync,
  existsSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { decodeFrames, encodeFrame } from './frames.js';

/** What a caller writes; the journal adds the number and the wall time. */
export type RecordBody = { readonly type: string } & Readonly<Record<string, unknown>>;
export type StoredRecord = RecordBody & { readonly n: number; readonly at: number };

export interface Journal {
  /** Number of the newest record. Only grows, also over compaction. */
  readonly seq: number;
  /** Bytes in the file. */
  readonly size: number;
  /** Returns when the record is on disk. @throws what the file system throws; the step must then not begin. */
  append(body: RecordBody): StoredRecord;
  /** Replaces everything so far by one record that says the same; atomically, also over a power cut. */
  compact(body: RecordBody): StoredRecord;
  close(): void;
}

export interface OpenedJournal {
  readonly journal: Journal;
  readonly records: readonly StoredRecord[];
  /** A write that never finished was cut off: normal after a crash. */
  readonly tornTail: boolean;
  /** Why nothing in here can be trusted; the damaged file was put aside and a new one begun. */
  readonly damage: string | null;
}

/**
 * Opens `DIR/journal`, making what is missing. A torn tail is cut off. Damage before good records, or a gap in their
 * numbers, moves the file aside as `journal.damaged-<time>`; the new file's numbers go on after the last good one.
 */
export function openJournal(args: { readonly dir: string; readonly now: () => number }): OpenedJournal {
  mkdirSync(args.dir, { recursive: true, mode: 0o700 });
  const path = join(args.dir, 'journal');
  const read = existsSync(path) ? decodeFrames(readFileSync(path)) : decodeFrames(Buffer.alloc(0));
  const { records, gap } = parse(read.payloads);
  const damage =
    gap ?? (read.rest === 'damaged' ? `damaged after record ${records.at(-1)?.n ?? 0}, before others` : null);
  if (damage !== null) renameSync(path, `${path}.damaged-${args.now()}`);
  const existed = existsSync(path);
  const fd = openSync(path, existed ? 'r+' : 'w+', 0o600);
  if (read.rest === 'torn' && damage === null) ftruncateSync(fd, read.goodBytes);
  fsyncSync(fd);
  if (!existed) syncDir(args.dir);
  const journal = fileJournal({
    path,
    fd,
    size: damage === null ? read.goodBytes : 0,
    seq: records.at(-1)?.n ?? 0,
    now: args.now,
  });
  return { journal, records: damage === null ? records : [], tornTail: read.rest === 'torn', damage };
}

/** Every record, without opening for writing: for looking at a journal while its agent runs, or is gone. */
export function readJournal(dir: string): readonly StoredRecord[] {
  const path = join(dir, 'journal');
  return existsSync(path) ? parse(decodeFrames(readFileSync(path)).payloads).records : [];
}

function parse(payloads: readonly Buffer[]): { records: StoredRecord[]; gap: string | null } {
  const records: StoredRecord[] = [];
  for (const payload of payloads) {
    let record: StoredRecord;
    try {
      record = JSON.parse(payload.toString('utf8')) as StoredRecord;
    } catch {
      return { records, gap: `a record after ${records.at(-1)?.n ?? 0} is not JSON` };
    }
    const before = records.at(-1);
    if (before !== undefined && record.n !== before.n + 1)
      return { records, gap: `record ${record.n} follows ${before.n}` };
    records.push(record);
  }
  return { records, gap: null };
}

function fileJournal(start: { path: string; fd: number; size: number; seq: number; now: () => number }): Journal {
  let { fd, size, seq } = start;
  const write = (target: number, at: number, body: RecordBody): { record: StoredRecord; bytes: number } => {
    const record: StoredRecord = { ...body, n: seq + 1, at: start.now() };
    const frame = encodeFrame(Buffer.from(JSON.stringify(record), 'utf8'));
    writeAll(target, frame, at);
    fsyncSync(target);
    return { record, bytes: frame.length };
  };
  return {
    get seq() {
      return seq;
    },
    get size() {
      return size;
    },
    append(body) {
      const written = write(fd, size, body);
      size += written.bytes;
      seq += 1;
      return written.record;
    },
    compact(body) {
      const fresh = openSync(`${start.path}.new`, 'w+', 0o600);
      const written = write(fresh, 0, body);
      renameSync(`${start.path}.new`, start.path);
      syncDir(dirname(start.path));
      closeSync(fd);
      fd = fresh;
      size = written.bytes;
      seq += 1;
      return written.record;
    },
    close: () => closeSync(fd),
  };
}

function writeAll(fd: number, bytes: Buffer, at: number): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done, at + done);
}

function syncDir(dir: string): void {
  const fd = openSync(dir, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
