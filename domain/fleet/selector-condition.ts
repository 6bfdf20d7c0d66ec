/** What a selector text means: its tree, and whether an endpoint meets it. Grammar and meaning: docs/selectors.md. */

/** From the least to the most, as the survey asks for sensitivity and likelihood of attack. */
export const LEVELS = ['low', 'moderate', 'high'] as const;
export type Level = (typeof LEVELS)[number];

/** Fields that hold text. `os` holds several: the name the system gives itself, and "debian 12". */
export const TEXT_FIELDS = [
  'name',
  'id',
  'os',
  'kernel',
  'architecture',
  'codename',
  'virtualization',
  'agentVersion',
  'zone',
  'function',
  'state',
] as const;
export const LEVEL_FIELDS = ['sensitivity', 'attackLikelihood'] as const;
export const FLAG_FIELDS = ['simulated', 'scanOnly'] as const;
export const AGE_FIELD = 'lastSeen';

export type TextField = (typeof TEXT_FIELDS)[number];
export type LevelField = (typeof LEVEL_FIELDS)[number];
export type FlagField = (typeof FLAG_FIELDS)[number];
export type Ordering = '<' | '<=' | '>' | '>=';

/** Where a text is looked up. */
export type TextPlace = { readonly field: TextField | LevelField } | { readonly field: 'label'; readonly key: string };

export type Condition =
  | { readonly op: 'and' | 'or'; readonly parts: readonly Condition[] }
  | { readonly op: 'not'; readonly part: Condition }
  | { readonly op: 'all' }
  | { readonly op: 'group'; readonly name: string }
  | { readonly op: 'flag'; readonly flag: FlagField }
  | { readonly op: 'has'; readonly place: TextPlace }
  | { readonly op: 'in'; readonly place: TextPlace; readonly values: readonly string[] }
  /** `*` stands for any run of characters; upper and lower case are the same. */
  | { readonly op: 'like'; readonly place: TextPlace; readonly pattern: string }
  | { readonly op: 'level'; readonly field: LevelField; readonly than: Ordering; readonly level: Level }
  | { readonly op: 'lastSeen'; readonly than: Ordering; readonly ageMs: number };

/** What conditions look at beside id, name and labels. */
export interface EndpointTraits {
  readonly text: Readonly<Partial<Record<Exclude<TextField, 'id' | 'name'> | LevelField, readonly string[]>>>;
  readonly simulated: boolean;
  readonly scanOnly: boolean;
  /** How long ago it was last heard of, milliseconds; null: never. */
  readonly silentMs: number | null;
}

export interface ConditionSubject {
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Not given where nobody loaded them: what asks for them is then undecided. */
  readonly traits?: EndpointTraits | undefined;
}

/**
 * Three values: null is "can't be decided" (a group that does not exist or leads back to itself, traits nobody loaded). `not`
 * leaves it undecided, so that what can't be decided never matches, however it is negated (fail closed).
 */
export type Verdict = boolean | null;

/** Whether the subject meets the condition. What is unknown of an endpoint equals nothing: such a comparison is false. */
export function meets(args: {
  readonly subject: ConditionSubject;
  readonly condition: Condition;
  readonly inGroup: (name: string) => Verdict;
}): Verdict {
  const { subject, condition, inGroup } = args;
  const { traits } = subject;
  switch (condition.op) {
    case 'and':
      return allOf(condition.parts, (part) => meets({ ...args, condition: part }));
    case 'or':
      return anyOf(condition.parts, (part) => meets({ ...args, condition: part }));
    case 'not': {
      const verdict = meets({ ...args, condition: condition.part });
      return verdict === null ? null : !verdict;
    }
    case 'all':
      return true;
    case 'group':
      return inGroup(condition.name);
    case 'flag':
      return traits === undefined ? null : traits[condition.flag];
    case 'has': {
      const texts = textsOf(subject, condition.place);
      return texts === null ? null : texts.length > 0;
    }
    case 'in': {
      const texts = textsOf(subject, condition.place);
      return texts === null ? null : texts.some((text) => condition.values.includes(text));
    }
    case 'like': {
      const texts = textsOf(subject, condition.place);
      return texts === null ? null : texts.some((text) => isLike(text, condition.pattern));
    }
    case 'level': {
      const texts = textsOf(subject, condition);
      if (texts === null) return null;
      const rank = LEVELS.indexOf(texts[0] as Level);
      return rank >= 0 && compare(rank, condition.than, LEVELS.indexOf(condition.level));
    }
    case 'lastSeen':
      // Never heard of is longer ago than any time.
      return traits === undefined
        ? null
        : compare(traits.silentMs ?? Number.POSITIVE_INFINITY, condition.than, condition.ageMs);
  }
}

/** True when all are; one that is false decides, also beside undecided ones. */
export function allOf<T>(parts: readonly T[], judge: (part: T) => Verdict): Verdict {
  let verdict: Verdict = true;
  for (const part of parts) {
    const one = judge(part);
    if (one === false) return false;
    if (one === null) verdict = null;
  }
  return verdict;
}

/** True when one is; undecided when none is and some can't be decided. */
export function anyOf<T>(parts: readonly T[], judge: (part: T) => Verdict): Verdict {
  let verdict: Verdict = false;
  for (const part of parts) {
    const one = judge(part);
    if (one === true) return true;
    if (one === null) verdict = null;
  }
  return verdict;
}

function textsOf(subject: ConditionSubject, place: TextPlace): readonly string[] | null {
  if (place.field === 'label') {
    const value = Object.hasOwn(subject.labels, place.key) ? subject.labels[place.key] : undefined;
    return value === undefined ? [] : [value];
  }
  if (place.field === 'id') return [subject.id];
  if (place.field === 'name') return [subject.name];
  return subject.traits === undefined ? null : (subject.traits.text[place.field] ?? []);
}

function compare(a: number, than: Ordering, b: number): boolean {
  if (than === '<') return a < b;
  if (than === '<=') return a <= b;
  return than === '>' ? a > b : a >= b;
}

/** Each piece between stars at its first place after the one before: no backtracking, whatever the pattern. */
export function isLike(text: string, pattern: string): boolean {
  const subject = text.toLowerCase();
  const pieces = pattern.toLowerCase().split(/\*+/);
  const [first = '', ...rest] = pieces;
  const last = rest.pop();
  if (last === undefined) return subject === first;
  if (!subject.startsWith(first)) return false;
  let at = first.length;
  for (const piece of rest) {
    const found = subject.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return subject.length - last.length >= at && subject.endsWith(last);
}

/** Every group the condition names. */
export function groupsIn(condition: Condition): string[] {
  return leaves(condition).flatMap((leaf) => (leaf.op === 'group' ? [leaf.name] : []));
}

/** Whether what matches changes with nothing but time. */
export function dependsOnTime(condition: Condition): boolean {
  return leaves(condition).some((leaf) => leaf.op === 'lastSeen');
}

/** How deep conditions are inside one another; 1 for a plain comparison. */
export function depthOf(condition: Condition): number {
  if (condition.op === 'not') return 1 + depthOf(condition.part);
  if (condition.op !== 'and' && condition.op !== 'or') return 1;
  return 1 + condition.parts.reduce((deepest, part) => Math.max(deepest, depthOf(part)), 0);
}

/** Its comparisons, without what joins them. */
export function leaves(condition: Condition): Condition[] {
  if (condition.op === 'not') return leaves(condition.part);
  return condition.op === 'and' || condition.op === 'or' ? condition.parts.flatMap(leaves) : [condition];
}
