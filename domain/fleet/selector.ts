/**
 * Which endpoints something applies to. An endpoint matches when it meets every part that is given; an empty selector
 * matches nothing (fail closed), `all: true` matches everything.
 */
import {
  allOf,
  anyOf,
  type Condition,
  dependsOnTime,
  depthOf,
  type EndpointTraits,
  groupsIn,
  leaves,
  meets,
  type Verdict,
} from './selector-condition.js';
import { parseSelectorText } from './selector-text.js';

export interface Selector {
  readonly all?: true | undefined;
  readonly ids?: readonly string[] | undefined;
  readonly names?: readonly string[] | undefined;
  /** Names of groups; member of any of them. */
  readonly groups?: readonly string[] | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Selector text: docs/selectors.md. */
  readonly where?: string | undefined;
}

/** What a selector looks at. */
export interface Selectable {
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** What selector text may ask for beyond; where nobody loaded it, such text matches nothing. */
  readonly traits?: EndpointTraits | undefined;
}

export interface Group {
  readonly name: string;
  readonly selector: Selector;
}

/**
 * Whether the endpoint matches. An unknown group, a group that leads back to itself and a text that can't be read match
 * nothing, also where the text says `not`.
 */
export function matches(args: {
  readonly endpoint: Selectable;
  readonly selector: Selector;
  readonly groups: ReadonlyMap<string, Group>;
}): boolean {
  return judge({ ...args, known: new Map() }) === true;
}

function judge(args: {
  readonly endpoint: Selectable;
  readonly selector: Selector;
  readonly groups: ReadonlyMap<string, Group>;
  /** Groups judged before, each once however often it is named; undecided while one is being judged. */
  readonly known: Map<string, Verdict>;
}): Verdict {
  const { endpoint, selector, known } = args;
  const inGroup = (name: string): Verdict => {
    const before = known.get(name);
    if (before !== undefined) return before;
    known.set(name, null);
    const group = args.groups.get(name);
    const verdict = group === undefined ? null : judge({ ...args, selector: group.selector });
    known.set(name, verdict);
    return verdict;
  };
  const parts: (() => Verdict)[] = [];
  if (selector.all === true) parts.push(() => true);
  if (selector.ids !== undefined) parts.push(() => selector.ids?.includes(endpoint.id) === true);
  if (selector.names !== undefined) parts.push(() => selector.names?.includes(endpoint.name) === true);
  if (selector.labels !== undefined) {
    const wanted = Object.entries(selector.labels);
    parts.push(() => wanted.every(([key, value]) => endpoint.labels[key] === value));
  }
  if (selector.where !== undefined) {
    parts.push(() => {
      const condition = conditionOf(selector);
      return condition === null ? null : meets({ subject: endpoint, condition, inGroup });
    });
  }
  if (selector.groups !== undefined) parts.push(() => anyOf(selector.groups ?? [], inGroup));
  return parts.length > 0 && allOf(parts, (part) => part());
}

/** Texts are read once per selector, not once per endpoint. */
const read = new WeakMap<Selector, Condition | null>();

function conditionOf(selector: Selector): Condition | null {
  if (selector.where === undefined) return null;
  const before = read.get(selector);
  if (before !== undefined) return before;
  const parsed = parseSelectorText(selector.where);
  const condition = parsed.ok ? parsed.condition : null;
  read.set(selector, condition);
  return condition;
}

/** Every group a selector names itself, with the field that names it. */
export function groupsNamed(selector: Selector): { readonly name: string; readonly field: string }[] {
  const condition = conditionOf(selector);
  return [
    ...(selector.groups ?? []).map((name, i) => ({ name, field: `groups[${i}]` })),
    ...(condition === null ? [] : [...new Set(groupsIn(condition))].map((name) => ({ name, field: 'where' }))),
  ];
}

/** How deep the selector's own conditions nest; what its groups add is not counted. */
export function depthOfText(selector: Selector): number {
  const condition = conditionOf(selector);
  return condition === null ? 0 : depthOf(condition);
}

/** What selectors can tell endpoints apart by that agree in all their traits but the time they were last heard of. */
export interface ToldApartBy {
  /** Names and ids, as a selector spells them out. */
  readonly texts: readonly string[];
  /** With `*`. */
  readonly namePatterns: readonly string[];
  readonly idPatterns: readonly string[];
  /** How long ago something was last heard of. */
  readonly agesMs: readonly number[];
}

/** Of all of these selectors, and of the groups they name. */
export function toldApartBy(selectors: readonly Selector[], groups: ReadonlyMap<string, Group>): ToldApartBy {
  const texts = new Set<string>();
  const patterns = { name: new Set<string>(), id: new Set<string>() };
  const agesMs = new Set<number>();
  for (const selector of withGroups(selectors, groups)) {
    for (const text of [...(selector.ids ?? []), ...(selector.names ?? [])]) texts.add(text);
    const condition = conditionOf(selector);
    for (const leaf of condition === null ? [] : leaves(condition)) {
      if (leaf.op === 'lastSeen') agesMs.add(leaf.ageMs);
      if (!('place' in leaf) || (leaf.place.field !== 'id' && leaf.place.field !== 'name')) continue;
      if (leaf.op === 'like') patterns[leaf.place.field].add(leaf.pattern);
      else if (leaf.op === 'in') for (const text of leaf.values) texts.add(text);
    }
  }
  return { texts: [...texts], namePatterns: [...patterns.name], idPatterns: [...patterns.id], agesMs: [...agesMs] };
}

/** Whether time alone changes what the selector matches, by itself or through the groups it names. */
export function changesWithTime(selector: Selector, groups: ReadonlyMap<string, Group>): boolean {
  return withGroups([selector], groups).some((one) => {
    const condition = conditionOf(one);
    return condition !== null && dependsOnTime(condition);
  });
}

/** Whether the selector names the group, by itself or through the groups it names. */
export function leadsTo(selector: Selector, group: string, groups: ReadonlyMap<string, Group>): boolean {
  return withGroups([selector], groups).some((one) => groupsNamed(one).some(({ name }) => name === group));
}

/** These, and those of every group that they name, directly or through others. */
function withGroups(selectors: readonly Selector[], groups: ReadonlyMap<string, Group>): Selector[] {
  const seen = new Set<string>();
  const open = [...selectors];
  const all: Selector[] = [];
  for (let one = open.pop(); one !== undefined; one = open.pop()) {
    all.push(one);
    for (const { name } of groupsNamed(one)) {
      const group = groups.get(name);
      if (group === undefined || seen.has(name)) continue;
      seen.add(name);
      open.push(group.selector);
    }
  }
  return all;
}
