/** YAML (and JSON, which is YAML) from files or standard input, with the place of every field. */
import { readFileSync } from 'node:fs';
import { type Document, isAlias, isMap, isNode, isSeq, LineCounter, type Node, parseAllDocuments } from 'yaml';
import { CliError, EXIT } from '../exit-codes.js';

/** Larger than any specification that makes sense, and than the server reads. */
const MAX_CHARACTERS = 10_000_000;

export interface YamlDocument {
  readonly file: string;
  readonly value: unknown;
  /** `file:line:column` of a field, or of the closest thing around it that is there. */
  place(field: string): string;
}

/** @throws CliError with the place of what can't be read */
export function readYaml(path: string): YamlDocument[] {
  const file = path === '-' ? 'standard input' : path;
  let text: string;
  try {
    text = readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (error) {
    throw new CliError(EXIT.usage, `can't read ${file}: ${(error as NodeJS.ErrnoException).code}`);
  }
  return parseYaml(text, file);
}

export function parseYaml(text: string, file: string): YamlDocument[] {
  if (text.length > MAX_CHARACTERS) throw new CliError(EXIT.usage, `${file} is larger than 10 MB`);
  const lines = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const problems = [...documents].flatMap((document) =>
    (document.errors ?? []).map((error) => `${at(error.pos[0])}: ${error.message}`),
  );
  if (problems.length > 0) throw new CliError(EXIT.usage, `${file} is not valid YAML`, problems);
  return [...documents]
    .filter((document) => document.contents !== null)
    .map((document) => readDocument(document as Document, file, at));
}

function readDocument(document: Document, file: string, at: (offset: number) => string): YamlDocument {
  let value: unknown;
  try {
    // Aliases that multiply ("billion laughs") end here.
    value = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw new CliError(EXIT.usage, `${at(document.range?.[0] ?? 0)}: ${(error as Error).message}`);
  }
  return {
    file,
    value,
    place: (field) => at(offsetOf(document, partsOf(field))),
  };
}

/** `rings[0].select.groups[1]` → its parts. */
export const partsOf = (field: string): (string | number)[] =>
  [...field.matchAll(/\[(\d+)\]|[^.[\]]+/g)].map(([text, index]) =>
    index === undefined ? (/^\d+$/.test(text) ? Number(text) : text) : Number(index),
  );

function offsetOf(document: Document, parts: readonly (string | number)[]): number {
  let node: unknown = document.contents;
  let offset = isNode(node) ? (node.range?.[0] ?? 0) : 0;
  for (const part of parts) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find(
        ({ key }) => String(isNode(key) ? (key as { value?: unknown }).value : key) === String(part),
      );
      if (pair === undefined) break;
      offset = (pair.key as Node | null)?.range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      const item = node.items[Number(part)];
      if (item === undefined) break;
      offset = (item as Node).range?.[0] ?? offset;
      node = item;
    } else break;
  }
  return offset;
}
