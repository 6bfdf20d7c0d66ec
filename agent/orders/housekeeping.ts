/** What orders leave behind on the disk, removed in time. */
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { ContentCache } from '../transport/content.js';
import { type Book, isOpen, openOrders } from './book.js';

const KEEP_MS = 30 * 24 * 3_600_000;
/** Needed while the order is worked on; the snapshot of /etc and the output stay for people. */
const SCRATCH = ['debs', 'lists', 'archives'];

/** Scratch folders of orders that are over go at once, the rest of them and unused packages after 30 days. */
export function tidy(args: {
  readonly ordersDir: string;
  /** Large files of snapshots, linked from there. */
  readonly largeDir: string;
  readonly content: Pick<ContentCache, 'clean'>;
  readonly book: Book;
  readonly now: number;
}): void {
  const { book, content, now, ordersDir, largeDir } = args;
  const files = openOrders(book).flatMap((entry) =>
    entry.doc === null ? [] : [...entry.doc.updates, ...entry.doc.previous],
  );
  content.clean(new Set(files.map((file) => file.sha256)), now);
  if (!existsSync(ordersDir)) return;
  for (const orderId of readdirSync(ordersDir)) {
    const entry = book.orders[orderId];
    if (entry !== undefined && isOpen(entry)) continue;
    const dir = join(ordersDir, orderId);
    if (now - statSync(dir).mtimeMs > KEEP_MS) rmSync(dir, { recursive: true, force: true });
    else for (const name of SCRATCH) rmSync(join(dir, name), { recursive: true, force: true });
  }
  // No snapshot has it any more.
  for (const name of existsSync(largeDir) ? readdirSync(largeDir) : [])
    if (statSync(join(largeDir, name)).nlink === 1) rmSync(join(largeDir, name));
}
