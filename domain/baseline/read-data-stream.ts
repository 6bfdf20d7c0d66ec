/**
 * Reads a SCAP data stream as it arrives, in bounded memory. Strict XML without a document type: there is nothing a document could
 * expand or fetch (CWE-776, CWE-611). Refused with line and column: what is truncated, foreign, too big, or names what it does not hold.
 */
import { SaxesParser, type SaxesTagNS } from 'saxes';
import { createBenchmarkBuilder, type Found } from './build-benchmark.js';
import type { Benchmark } from './model.js';
import { BaselineRefused } from './refusal.js';

export interface DataStreamReader {
  /** @throws BaselineRefused */
  write(chunk: Uint8Array): void;
  /** The whole benchmark, once all bytes are in. @throws BaselineRefused */
  end(): Benchmark;
}

const COLLECTION = 'http://scap.nist.gov/schema/scap/source/1.2';
const XCCDF = 'http://checklists.nist.gov/xccdf/1.2';
const OVAL = 'http://oval.mitre.org/XMLSchema/oval-definitions-5';
/** Far above any benchmark there is (Debian 12's: 90,000 elements, 14 deep); a document that goes beyond has other plans. */
const LIMITS = { elements: 5_000_000, depth: 120, attributes: 64, run: 1_048_576 };

export function createDataStreamReader(): DataStreamReader {
  const parser = new SaxesParser({ xmlns: true, position: true });
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const here = () => `line ${parser.line}, column ${parser.columnIndex + 1}`;
  const refuse = (reason: string): never => {
    throw new BaselineRefused(here(), reason);
  };
  const builder = createBenchmarkBuilder({ refuse, line: () => parser.line });
  const path: Found[] = [];
  let elements = 0;
  let begun = false;

  parser.on('error', (error) => refuse(error.message.replace(/^\d+:\d+: /, '').replace(/\.$/, '')));
  parser.on('doctype', () =>
    refuse('has a document type; entities are never expanded here, so such documents are not read'),
  );
  parser.on('opentag', (tag) => {
    elements += 1;
    if (elements > LIMITS.elements) refuse(`holds more than ${LIMITS.elements} elements`);
    if (path.length >= LIMITS.depth) refuse(`elements are nested more than ${LIMITS.depth} deep`);
    if (!begun) requireCollection(tag, refuse);
    begun = true;
    const found = foundAs(tag, refuse);
    path.push(found);
    builder.open(found, path.length);
  });
  parser.on('closetag', () => {
    const found = path.pop();
    if (found !== undefined) builder.close(found, path.length + 1);
  });
  const text = (run: string) => {
    if (run.length > LIMITS.run) refuse(`a text is longer than ${LIMITS.run} characters`);
    builder.text(run);
  };
  parser.on('text', text);
  parser.on('cdata', text);

  const decode = (chunk?: Uint8Array): string => {
    try {
      return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
    } catch {
      throw new BaselineRefused(here(), 'is not UTF-8 text');
    }
  };
  return {
    write: (chunk) => void parser.write(decode(chunk)),
    end() {
      parser.write(decode());
      if (!begun) refuse('holds no XML element');
      if (path.length > 0) refuse(`is truncated: ${path.at(-1)?.name} never ends`);
      parser.close();
      return builder.end();
    },
  };
}

/** Its core, and the kinds of tests that extend it (`…#independent`, `…#linux`). */
const isOval = (uri: string): boolean => uri === OVAL || uri.startsWith(`${OVAL}#`);

function requireCollection(tag: SaxesTagNS, refuse: (reason: string) => never): void {
  if (tag.uri === COLLECTION && tag.local === 'data-stream-collection') return;
  const what = tag.uri === XCCDF ? ' (a bare XCCDF document: its checks are missing)' : '';
  refuse(
    `is no SCAP 1.2 or 1.3 data stream: it begins with ${tag.local} of ${tag.uri === '' ? 'no namespace' : tag.uri}${what}`,
  );
}

function foundAs(tag: SaxesTagNS, refuse: (reason: string) => never): Found {
  const attributes: Record<string, string> = {};
  let count = 0;
  for (const { local, prefix, value } of Object.values(tag.attributes)) {
    count += 1;
    if (count > LIMITS.attributes) refuse(`${tag.local} has more than ${LIMITS.attributes} attributes`);
    if (prefix !== 'xmlns' && local !== 'xmlns') attributes[local] = value;
  }
  const space = tag.uri === XCCDF ? 'xccdf' : isOval(tag.uri) ? 'oval' : 'other';
  return { space, name: tag.local, attributes, line: 0 };
}
