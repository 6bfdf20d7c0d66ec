import { type CatalogueContext, type CatalogueEntry, catalogueEntry } from '../../../domain/content/catalogue.js';
import { createDeb822Reader, type Deb822Result } from '../../../domain/content/deb822.js';
import type { ByteSource } from '../bytes.js';
import { ContentError } from '../errors.js';

/** Entries handed over at a time: few enough to hold, enough for one statement. */
const BATCH = 1_000;
/** How many refused entries are named. */
const MAX_REFUSED = 100;

export interface IndexReport {
  entries: number;
  refused: number;
  /** The first of them, each with package, line, field and reason. */
  readonly refusedReasons: string[];
}

/**
 * Reads a Packages index into batches of catalogue entries. An entry with a field that is wrong is left out and reported: it is not in
 * the catalogue, and so never trusted. A text that is no index at all is refused whole.
 * @throws ContentError `indexMalformed` with the line.
 */
export async function* readPackages(
  source: ByteSource,
  index: { readonly what: string; readonly context: CatalogueContext; readonly report: IndexReport },
): AsyncGenerator<CatalogueEntry[]> {
  const { what, context, report } = index;
  const reader = createDeb822Reader();
  // Names and digests are ASCII; an odd byte in some maintainer's name is no reason to do without the index.
  const decoder = new TextDecoder('utf-8');
  let batch: CatalogueEntry[] = [];
  const take = (result: Deb822Result): void => {
    if (!result.ok) {
      const { line, reason } = result.error;
      throw new ContentError('indexMalformed', `${what}: line ${line} ${reason}`, { line });
    }
    for (const stanza of result.stanzas) {
      const parsed = catalogueEntry(stanza, context);
      if (parsed.ok) batch.push(parsed.entry);
      else if (++report.refused <= MAX_REFUSED) report.refusedReasons.push(parsed.reason);
    }
  };
  const full = function* (least: number): Generator<CatalogueEntry[]> {
    while (batch.length >= least && batch.length > 0) {
      const next = batch.slice(0, BATCH);
      batch = batch.slice(BATCH);
      report.entries += next.length;
      yield next;
    }
  };
  for await (const chunk of source) {
    take(reader.push(decoder.decode(chunk, { stream: true })));
    yield* full(BATCH);
  }
  take(reader.push(decoder.decode()));
  take(reader.end());
  yield* full(1);
}
