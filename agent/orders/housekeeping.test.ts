import { existsSync, linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { ORDER, orderDoc } from '../../test/helpers/fake-host.js';
import { applyRecord, type Book, EMPTY_BOOK } from './book.js';
import { tidy } from './housekeeping.js';

const DAY = 24 * 3_600_000;

test('an open order keeps everything; one that is over its snapshot for 30 days; the files open orders name stay', () => {
  const dir = mkdtempSync(join(tmpdir(), 'orders-'));
  const ids = { open: ORDER, over: ORDER.replace(/1$/, '2'), old: ORDER.replace(/1$/, '3') };
  for (const id of Object.values(ids))
    for (const name of ['debs', 'lists', 'etc']) mkdirSync(join(dir, id, name), { recursive: true });
  const now = Date.now();
  const book: Book = applyRecord(EMPTY_BOOK, { type: 'order', orderId: ids.open, kind: 'change', doc: orderDoc() });
  const kept: string[] = [];
  const largeDir = mkdtempSync(join(tmpdir(), 'large-'));
  for (const id of ['over', 'old'] as const) {
    writeFileSync(join(largeDir, id), 'large');
    linkSync(join(largeDir, id), join(dir, ids[id], 'etc', 'large'));
  }
  utimesSync(join(dir, ids.old), new Date(now - 31 * DAY), new Date(now - 31 * DAY));
  tidy({ ordersDir: dir, largeDir, book, now, content: { clean: (keep) => void kept.push(...keep) } });
  expect(existsSync(join(dir, ids.open, 'debs'))).toBe(true);
  expect([existsSync(join(dir, ids.over, 'debs')), existsSync(join(dir, ids.over, 'etc'))]).toEqual([false, true]);
  expect(existsSync(join(dir, ids.old))).toBe(false);
  expect(readdirSync(largeDir)).toEqual(['over']);
  expect(kept.sort()).toEqual(
    [...new Set([...orderDoc().updates, ...orderDoc().previous].map((f) => f.sha256))].sort(),
  );
  for (const made of [dir, largeDir]) rmSync(made, { recursive: true, force: true });
});
