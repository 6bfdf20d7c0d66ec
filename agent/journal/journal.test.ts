import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decodeFrames, encodeFrame } from './frames.js';
import { openJournal } from './journal.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'journal-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));
const open = () => openJournal({ dir, now: () => 1_000 });
const file = () => join(dir, 'journal');

function filled(count: number): void {
  const { journal } = open();
  for (let i = 1; i <= count; i++) journal.append({ type: 'note', text: `r${i}` });
  journal.close();
}

test('what was appended is read back, numbered from 1, in order', () => {
  filled(3);
  const again = open();
  expect(again.records.map((r) => [r.n, r.type, r.text])).toEqual([
    [1, 'note', 'r1'],
    [2, 'note', 'r2'],
    [3, 'note', 'r3'],
  ]);
  expect(again.journal.append({ type: 'x' }).n).toBe(4);
  again.journal.close();
  expect(open().records).toHaveLength(4);
});

describe('a torn tail', () => {
  test('any cut inside the last record loses that record and nothing else', () => {
    filled(2);
    const two = readFileSync(file());
    const { journal } = open();
    journal.append({ type: 'note', text: 'last' });
    journal.close();
    const three = readFileSync(file());
    for (let cut = two.length + 1; cut < three.length; cut++) {
      writeFileSync(file(), three.subarray(0, cut));
      const opened = open();
      expect(opened).toMatchObject({ tornTail: true, damage: null });
      expect(opened.records).toHaveLength(2);
      expect(opened.journal.append({ type: 'again' }).n).toBe(3);
      opened.journal.close();
    }
  });

  test('zeros after the end, as a power cut leaves them, are cut off', () => {
    filled(2);
    appendFileSync(file(), Buffer.alloc(4_096));
    const opened = open();
    expect(opened).toMatchObject({ tornTail: true, damage: null });
    opened.journal.append({ type: 'x' });
    opened.journal.close();
    expect(open().records).toHaveLength(3);
  });
});

describe('damage', () => {
  test('a flipped byte in any record but the last is refused: file put aside, numbers go on', () => {
    filled(3);
    const whole = readFileSync(file());
    const firstTwo = whole.length - (whole.length / 3) * 1;
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: Math.floor(firstTwo) - 1 }),
        fc.integer({ min: 1, max: 255 }),
        (at, flip) => {
          const bad = Buffer.from(whole);
          bad[at] = (bad[at] ?? 0) ^ flip;
          writeFileSync(file(), bad);
          const opened = open();
          opened.journal.close();
          expect(opened.damage).not.toBeNull();
          expect(opened.records).toEqual([]);
        },
      ),
      { numRuns: 60 },
    );
    expect(readdirSync(dir).some((name) => name.startsWith('journal.damaged-'))).toBe(true);
  });

  test('a missing record in the middle is noticed', () => {
    const { journal } = open();
    journal.append({ type: 'a' });
    const first = journal.size;
    journal.append({ type: 'b' });
    const second = journal.size;
    journal.append({ type: 'c' });
    journal.close();
    const whole = readFileSync(file());
    writeFileSync(file(), Buffer.concat([whole.subarray(0, first), whole.subarray(second)]));
    expect(open().damage).toBe('record 3 follows 1');
  });
});

test('compaction leaves one record, keeps counting, and an unfinished one changes nothing', () => {
  filled(5);
  writeFileSync(`${file()}.new`, 'half a compaction');
  const opened = open();
  expect(opened.records).toHaveLength(5);
  expect(opened.journal.compact({ type: 'snapshot' }).n).toBe(6);
  opened.journal.append({ type: 'next' });
  opened.journal.close();
  expect(existsSync(`${file()}.new`)).toBe(false);
  expect(open().records.map((r) => r.n)).toEqual([6, 7]);
});

test('a failed append leaves the number and the file as they were', () => {
  const { journal } = open();
  journal.append({ type: 'a' });
  expect(() => journal.append({ type: 'b', text: 'x'.repeat(17 * 1024 * 1024) })).toThrow(RangeError);
  expect(journal.append({ type: 'c' }).n).toBe(2);
  journal.close();
  truncateSync(file(), readFileSync(file()).length);
  expect(open().records.map((r) => r.type)).toEqual(['a', 'c']);
});

test('frames: any payloads survive, any garbage is read without an exception', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 50 })), fc.uint8Array({ maxLength: 60 }), (payloads, garbage) => {
      const good = Buffer.concat(payloads.map((p) => encodeFrame(Buffer.from(p))));
      const read = decodeFrames(Buffer.concat([good, Buffer.from(garbage)]));
      expect(read.payloads.slice(0, payloads.length).map((p) => [...p])).toEqual(payloads.map((p) => [...p]));
    }),
  );
});
