/** What changed between two versions of a baseline, by rule, profile and value id. */
import { canonicalJson, type JsonValue } from '../content/canonical.js';
import type { Benchmark } from './model.js';

export interface ItemDiff {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** With the names of the fields that differ. */
  readonly changed: readonly { readonly id: string; readonly fields: readonly string[] }[];
}

export interface BaselineDiff {
  readonly rules: ItemDiff;
  readonly profiles: ItemDiff;
  readonly values: ItemDiff;
  /** Whether what rules test (their OVAL) is compared as well: false where an earlier release imported a version, without looking at it. */
  readonly checksCompared: boolean;
}

export function diffBenchmarks(before: Benchmark, after: Benchmark): BaselineDiff {
  return {
    rules: diffItems(before.rules, after.rules),
    profiles: diffItems(before.profiles, after.profiles),
    values: diffItems(before.values, after.values),
    checksCompared: [...before.rules, ...after.rules].every((rule) => rule.check !== undefined),
  };
}

type Item = { readonly id: string };
/** Of rules; an earlier release did not read them: nothing is known of how they differ. */
const SINCE_LATELY: ReadonlySet<string> = new Set(['check', 'checkValues']);

function diffItems(before: readonly Item[], after: readonly Item[]): ItemDiff {
  const old = new Map(before.map((item) => [item.id, item]));
  const now = new Map(after.map((item) => [item.id, item]));
  return {
    added: after.flatMap(({ id }) => (old.has(id) ? [] : [id])),
    removed: before.flatMap(({ id }) => (now.has(id) ? [] : [id])),
    changed: after.flatMap((item) => {
      const earlier = old.get(item.id);
      const fields = earlier === undefined ? [] : fieldsThatDiffer(earlier, item);
      return fields.length === 0 ? [] : [{ id: item.id, fields }];
    }),
  };
}

function fieldsThatDiffer(before: Item, after: Item): string[] {
  const a = before as unknown as Record<string, JsonValue>;
  const b = after as unknown as Record<string, JsonValue>;
  const known = Object.keys(b).filter((field) => !SINCE_LATELY.has(field) || a[field] !== undefined);
  return known.filter((field) => canonicalJson(a[field] ?? null) !== canonicalJson(b[field] ?? null));
}
