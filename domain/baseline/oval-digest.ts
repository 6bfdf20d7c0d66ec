/**
 * What each check of a data stream tests, as a digest: an OVAL definition with all it refers to (tests, objects, states, variables, other definitions).
 * Ids, versions, comments and metadata are left out: numbered or described otherwise, it tests the same.
 */
import { sha256Hex } from '../content/canonical.js';
import type { Found } from './build-benchmark.js';

const REFERENCE = /^oval:[^\s:]+:(?:def|tst|obj|ste|var):\d+$/;
const SAYS_NOTHING: ReadonlySet<string> = new Set(['id', 'version', 'comment', 'deprecated', 'schemaLocation']);
const LEFT_OUT: ReadonlySet<string> = new Set(['metadata', 'notes']);
/** Far above any benchmark there is (Debian 12's: 5,000 items). */
const LIMITS = { items: 500_000, nested: 500 };

/** Digests of text, and references to other items, in the order of the document. */
type Part = { readonly digest: string } | { readonly id: string };

export interface OvalReader {
  open(found: Found, depth: number): void;
  close(depth: number): void;
  text(run: string): void;
  /** Of a definition; null: there is none of this id. */
  digestOf(definition: string): string | null;
}

/** @param refuse throws at the place being read */
export function createOvalReader(refuse: (reason: string) => never): OvalReader {
  const items = new Map<string, readonly Part[]>();
  const digests = new Map<string, string>();
  let item: { id: string; depth: number; parts: Part[]; words: string[] } | null = null;
  /** Depth of the element that is left out with all below it. */
  let leftOut: number | null = null;
  let text = '';

  const flush = (): void => {
    const run = text;
    text = '';
    if (item === null || leftOut !== null || run.trim() === '') return;
    // Between elements blanks are layout; within a text they may be what is tested.
    say(run.trim(), run);
  };
  const say = (value: string, whole: string): void => {
    if (item === null) return;
    if (REFERENCE.test(value)) {
      settle();
      item.parts.push({ id: value });
    } else item.words.push(whole);
  };
  const settle = (): void => {
    if (item === null || item.words.length === 0) return;
    item.parts.push({ digest: sha256Hex(JSON.stringify(item.words)) });
    item.words = [];
  };
  const digest = (id: string, path: readonly string[]): string => {
    const known = digests.get(id);
    if (known !== undefined) return known;
    const parts = items.get(id);
    // What is not there, goes in a circle or is far too deep is named instead.
    if (parts === undefined || path.includes(id) || path.length > LIMITS.nested) return id;
    const below = [...path, id];
    const found = sha256Hex(
      JSON.stringify(parts.map((part) => ('digest' in part ? part.digest : digest(part.id, below)))),
    );
    digests.set(id, found);
    return found;
  };

  return {
    open(found, depth) {
      flush();
      if (found.space !== 'oval') return;
      const { id = '' } = found.attributes;
      if (item === null) {
        if (!REFERENCE.test(id)) return;
        if (items.size >= LIMITS.items) refuse(`holds more than ${LIMITS.items} OVAL items`);
        item = { id, depth, parts: [], words: [] };
      }
      if (leftOut !== null) return;
      if (LEFT_OUT.has(found.name)) leftOut = depth;
      else {
        item.words.push(`<${found.name}`);
        for (const [name, value] of Object.entries(found.attributes).sort(([a], [b]) => (a < b ? -1 : 1)))
          if (!SAYS_NOTHING.has(name)) {
            item.words.push(`${name}=`);
            say(value, value);
          }
      }
    },
    close(depth) {
      flush();
      if (item === null) return;
      if (leftOut === null) item.words.push('>');
      if (leftOut === depth) leftOut = null;
      if (item.depth !== depth) return;
      settle();
      // Of two items with one id both count.
      items.set(item.id, [...(items.get(item.id) ?? []), ...item.parts]);
      item = null;
    },
    text(run) {
      if (item !== null && leftOut === null) text += run;
    },
    digestOf: (definition) => (items.has(definition) ? digest(definition, []) : null),
  };
}
