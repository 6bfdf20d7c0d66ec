/** What a package says it needs and stands in for, after Debian Policy 7.1 (syntax) and 7.5 (virtual packages). */
import { compareDebVersionTexts } from './deb-version.js';

export interface Relation {
  readonly name: string;
  /** Null: of whichever architecture (none named, `any` or `native`). */
  readonly arch: string | null;
  readonly version: { readonly op: RelationOp; readonly text: string } | null;
}

export type RelationOp = '<<' | '<=' | '=' | '>=' | '>>';

const RELATION =
  /^([a-z0-9][a-z0-9+.-]{0,127})(?::([a-z0-9][a-z0-9-]{0,31}))? ?(?:\( ?(<<|<=|=|>=|>>|<|>) ?([A-Za-z0-9.+:~-]{1,512}) ?\))?$/;
/** Policy 7.1: the old forms, which mean what they look like they don't. */
const OLD_FORMS: Readonly<Record<string, RelationOp>> = { '<': '<=', '>': '>=' };
const ANY = new Set(['any', 'native']);

/**
 * All that a list names, alternatives (`|`) too, in one row: for who asks what may come, not what must. What is not understood is left
 * out, and so names nothing.
 */
export function relationsOf(list: string): Relation[] {
  return list.split(/[,|]/).flatMap((part) => {
    const [, name, arch, op, text] = RELATION.exec(part.replace(/\s+/g, ' ').trim()) ?? [];
    if (name === undefined) return [];
    const version = op === undefined || text === undefined ? null : { op: OLD_FORMS[op] ?? (op as RelationOp), text };
    return [{ name, arch: arch === undefined || ANY.has(arch) ? null : arch, version }];
  });
}

/** Whether a version is one that a relation asks for; one that does not parse is not. */
export function hasVersion(relation: Pick<Relation, 'version'>, version: string): boolean {
  if (relation.version === null) return true;
  const { op, text } = relation.version;
  const compared = compareDebVersionTexts(version, text);
  if (!compared.ok) return false;
  const { order } = compared;
  if (op === '<<') return order < 0;
  if (op === '<=') return order <= 0;
  if (op === '=') return order === 0;
  return op === '>=' ? order >= 0 : order > 0;
}
