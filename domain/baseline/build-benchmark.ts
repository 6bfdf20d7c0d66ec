/** Puts a benchmark together from the elements of a data stream as they open and close. */
import { sha256Hex } from '../content/canonical.js';
import type {
  BaselineFix,
  BaselineProfile,
  BaselineRule,
  BaselineValue,
  Benchmark,
  FixPart,
  ProfileStep,
  Severity,
} from './model.js';
import { createOvalReader } from './oval-digest.js';
import { BaselineRefused } from './refusal.js';

export interface Found {
  readonly space: 'xccdf' | 'oval' | 'other';
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly line: number;
}

const SHELL = 'urn:xccdf:fix:script:sh';
const OVAL_SYSTEM = 'http://oval.mitre.org/XMLSchema/oval-definitions-5';
const SEVERITIES: readonly string[] = ['unknown', 'info', 'low', 'medium', 'high'];
/** XCCDF 1.2 §6.2.3: `xccdf_<namespace>_<type>_<name>`. What names a file, an argument or a row is held to it. */
const ID = /^xccdf_[A-Za-z0-9.-]+_(benchmark|profile|group|rule|value)_[A-Za-z0-9._-]{1,200}$/;
const LIMITS = { rules: 10_000, profiles: 500, values: 5_000, fix: 262_144, kept: 67_108_864, long: 8_000, short: 500 };

type Draft<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] };
interface RuleDraft extends Draft<Omit<BaselineRule, 'fix' | 'automated' | 'check' | 'checkValues'>> {
  checkValues: string[];
  /** Names by which its check knows the values. */
  exports: string[];
  fix: (Draft<BaselineFix> & { size: number }) | null;
  checks: string[];
}

export interface BenchmarkBuilder {
  open(found: Found, depth: number): void;
  close(found: Found, depth: number): void;
  text(run: string): void;
  end(): Benchmark;
}

/** @param deps.refuse throws BaselineRefused at the place being read */
export function createBenchmarkBuilder(deps: {
  readonly refuse: (reason: string) => never;
  readonly line: () => number;
}): BenchmarkBuilder {
  const { refuse } = deps;
  const seen = new Set<string>();
  const oval = new Set<string>();
  const tests = createOvalReader(refuse);
  /** What a profile names, to be looked up once everything is known. */
  const named: { id: string; line: number; by: string; what: 'item' | 'value' | 'profile' }[] = [];
  const groupStack: string[] = [];
  const rules: RuleDraft[] = [];
  const groups: { id: string; selected: boolean }[] = [];
  const values: Draft<BaselineValue>[] = [];
  const profiles: Draft<BaselineProfile>[] = [];
  let head: { id: string; version: string; title: string; platforms: string[] } | null = null;
  let rule: RuleDraft | null = null;
  let value: Draft<BaselineValue> | null = null;
  let profile: Draft<BaselineProfile> | null = null;
  let inBenchmark = false;
  let inFix = false;
  let kept = 0;
  /** Collects the text of one element, markup inside it flattened. */
  let collect: { depth: number; parts: string[]; size: number; most: number; done: (text: string) => void } | null =
    null;

  const idOf = (found: Found): string => {
    const { id = '' } = found.attributes;
    if (!ID.test(id)) return refuse(`${found.name}: ${JSON.stringify(id.slice(0, 100))} is no XCCDF 1.2 id`);
    if (seen.has(id)) return refuse(`${id} is there twice`);
    seen.add(id);
    return id;
  };
  const keep = (size: number): void => {
    kept += size;
    if (kept > LIMITS.kept) refuse(`holds more than ${LIMITS.kept} characters of rules`);
  };
  const gather = (depth: number, most: number, done: (text: string) => void): void => {
    if (collect === null) collect = { depth, parts: [], size: 0, most, done };
  };
  /** Of several languages the first one counts. */
  const first = <K extends string>(depth: number, into: Record<K, string>, key: K): void =>
    gather(depth, LIMITS.long, (text) => {
      if (into[key] === '') into[key] = text;
    });
  const addFixPart = (part: FixPart): void => {
    const fix = rule?.fix;
    if (fix === null || fix === undefined) return;
    fix.size += typeof part === 'string' ? part.length : 0;
    if (fix.size > LIMITS.fix) refuse(`the fix of ${rule?.id} is longer than ${LIMITS.fix} characters`);
    const last = fix.parts.at(-1);
    if (typeof part === 'string' && typeof last === 'string') fix.parts[fix.parts.length - 1] = last + part;
    else fix.parts.push(part);
  };

  const openInRule = (current: RuleDraft, { name, attributes }: Found, depth: number): void => {
    if (name === 'title') gather(depth, LIMITS.short, (text) => void Object.assign(current, { title: text }));
    else if (name === 'description') first(depth, current, 'description');
    else if (name === 'rationale') first(depth, current, 'rationale');
    else if (name === 'warning') gather(depth, LIMITS.long, (text) => current.warnings.push(text));
    else if (name === 'reference') {
      const href = (attributes.href ?? '').slice(0, LIMITS.short);
      gather(depth, LIMITS.short, (text) => current.references.push({ href, text }));
    } else if (name === 'conflicts') current.conflicts.push(attributes.idref ?? '');
    else if (name === 'check-content-ref') current.checks.push(attributes.name ?? '');
    else if (name === 'check-export') {
      current.checkValues.push((attributes['value-id'] ?? '').slice(0, LIMITS.short));
      current.exports.push((attributes['export-name'] ?? '').slice(0, LIMITS.short));
    } else if (name === 'check' && attributes.system !== OVAL_SYSTEM) current.checks.push('');
    else if (name === 'fix' && attributes.system === SHELL && current.fix === null) {
      inFix = true;
      current.fix = { parts: [], reboot: attributes.reboot === 'true', size: 0 };
    } else if (name === 'sub' && inFix) {
      const id = attributes.idref ?? '';
      named.push({ id, line: deps.line(), by: `the fix of ${current.id}`, what: 'value' });
      addFixPart({ value: id });
    } else if (name === 'instance' && inFix)
      refuse(`the fix of ${current.id} asks for an instance, which is not supported`);
  };
  const openInProfile = (current: Draft<BaselineProfile>, { name, attributes }: Found, depth: number): void => {
    const id = attributes.idref ?? '';
    const step = (made: ProfileStep, what: 'item' | 'value') => {
      keep(id.length);
      named.push({ id, line: deps.line(), by: current.id, what });
      current.steps.push(made);
    };
    if (name === 'title') gather(depth, LIMITS.short, (text) => void Object.assign(current, { title: text }));
    else if (name === 'description')
      gather(depth, LIMITS.long, (text) => void Object.assign(current, { description: text }));
    else if (name === 'select') step({ kind: 'select', id, selected: attributes.selected !== 'false' }, 'item');
    else if (name === 'refine-value') step({ kind: 'refine', id, selector: attributes.selector ?? '' }, 'value');
    else if (name === 'set-value') gather(depth, LIMITS.short, (text) => step({ kind: 'set', id, text }, 'value'));
  };
  const openInValue = (current: Draft<BaselineValue>, { name, attributes }: Found, depth: number): void => {
    const selector = attributes.selector ?? '';
    if (name === 'title') gather(depth, LIMITS.short, (text) => void Object.assign(current, { title: text }));
    else if (name === 'value')
      gather(
        depth,
        LIMITS.long,
        (text) => void Object.assign(current, { options: { ...current.options, [selector]: text } }),
      );
  };
  const openItem = (found: Found, depth: number): void => {
    const { name, attributes } = found;
    const selected = attributes.selected !== 'false';
    switch (name) {
      case 'Benchmark':
        if (head !== null) refuse('holds more than one benchmark; import them one by one');
        head = { id: idOf(found), version: '', title: '', platforms: [] };
        inBenchmark = true;
        return;
      case 'Group': {
        const id = idOf(found);
        groups.push({ id, selected });
        groupStack.push(id);
        return;
      }
      case 'Rule': {
        if (rules.length >= LIMITS.rules) refuse(`holds more than ${LIMITS.rules} rules`);
        const { severity = 'unknown' } = attributes;
        rule = {
          id: idOf(found),
          title: '',
          severity: (SEVERITIES.includes(severity) ? severity : 'unknown') as Severity,
          description: '',
          rationale: '',
          warnings: [],
          references: [],
          fix: null,
          selected,
          groups: [...groupStack],
          conflicts: [],
          checks: [],
          checkValues: [],
          exports: [],
        };
        rules.push(rule);
        return;
      }
      case 'Profile':
        if (profiles.length >= LIMITS.profiles) refuse(`holds more than ${LIMITS.profiles} profiles`);
        profile = { id: idOf(found), title: '', description: '', extends: attributes.extends ?? null, steps: [] };
        if (profile.extends !== null)
          named.push({ id: profile.extends, line: deps.line(), by: profile.id, what: 'profile' });
        profiles.push(profile);
        return;
      case 'Value': {
        if (values.length >= LIMITS.values) refuse(`holds more than ${LIMITS.values} values`);
        const { type = 'string' } = attributes;
        if (type !== 'string' && type !== 'number' && type !== 'boolean')
          throw new BaselineRefused(`line ${deps.line()}`, `a value of type ${type}`);
        value = { id: idOf(found), title: '', type, options: {} };
        values.push(value);
        return;
      }
      case 'version':
        if (groupStack.length === 0 && head !== null) first(depth, head, 'version');
        return;
      case 'title':
        if (groupStack.length === 0 && head !== null) first(depth, head, 'title');
        return;
      case 'platform':
        if (groupStack.length === 0 && head !== null)
          head.platforms.push((attributes.idref ?? '').slice(0, LIMITS.short));
    }
  };

  return {
    open(found, depth) {
      tests.open(found, depth);
      if (found.space === 'oval' && found.name === 'definition') oval.add(found.attributes.id ?? '');
      if (found.space !== 'xccdf' || collect !== null) return;
      if (!inBenchmark && found.name !== 'Benchmark') return;
      if (rule !== null) openInRule(rule, found, depth);
      else if (profile !== null) openInProfile(profile, found, depth);
      else if (value !== null) openInValue(value, found, depth);
      else openItem(found, depth);
    },
    close(found, depth) {
      tests.close(depth);
      if (collect !== null && collect.depth === depth) {
        const { parts, done } = collect;
        collect = null;
        const flat = parts.join('').replace(/\s+/g, ' ').trim();
        keep(flat.length);
        done(flat);
      }
      if (found.space !== 'xccdf') return;
      if (found.name === 'fix') inFix = false;
      else if (found.name === 'Rule') rule = null;
      else if (found.name === 'Profile') profile = null;
      else if (found.name === 'Value') value = null;
      else if (found.name === 'Group') groupStack.pop();
      else if (found.name === 'Benchmark') inBenchmark = false;
    },
    text(run) {
      tests.text(run);
      if (inFix) {
        keep(run.length);
        addFixPart(run);
      } else if (collect !== null && collect.size < collect.most) {
        const cut = run.slice(0, collect.most - collect.size);
        collect.size += cut.length;
        collect.parts.push(cut);
      }
    },
    end() {
      if (head === null) return refuse('holds no XCCDF 1.2 benchmark');
      if (rules.length === 0) return refuse(`${head.id} holds no rule`);
      if (oval.size === 0) return refuse('holds no OVAL definition: nothing in it could be tested');
      lookUp({ named, rules, groups, values, profiles });
      return {
        ...head,
        groups,
        values,
        profiles,
        rules: rules.map(({ checks, exports, fix, ...one }) => ({
          ...one,
          check: checkDigest({ checks, exports, values: one.checkValues, digestOf: tests.digestOf }),
          fix: fix === null ? null : { parts: fix.parts, reboot: fix.reboot },
          automated: checks.some((name) => oval.has(name)),
        })),
      };
    },
  };
}

/** Null: nothing that is here tests it. */
function checkDigest(args: {
  readonly checks: readonly string[];
  readonly exports: readonly string[];
  readonly values: readonly string[];
  readonly digestOf: (definition: string) => string | null;
}): string | null {
  const tested = args.checks.flatMap((name) => args.digestOf(name) ?? []);
  if (tested.length === 0) return null;
  return sha256Hex(JSON.stringify([tested, args.exports.map((name, i) => [name, args.values[i]])]));
}

function lookUp(args: {
  readonly named: readonly { id: string; line: number; by: string; what: 'item' | 'value' | 'profile' }[];
  readonly rules: readonly { id: string }[];
  readonly groups: readonly { id: string }[];
  readonly values: readonly { id: string }[];
  readonly profiles: readonly { id: string }[];
}): void {
  const ids = (some: readonly { id: string }[]) => some.map(({ id }) => id);
  const known = {
    item: new Set([...ids(args.rules), ...ids(args.groups)]),
    value: new Set(ids(args.values)),
    profile: new Set(ids(args.profiles)),
  };
  for (const { id, line, by, what } of args.named) {
    if (known[what].has(id)) continue;
    const kind = what === 'item' ? 'rule or group' : what;
    throw new BaselineRefused(
      `line ${line}`,
      `${by} names ${JSON.stringify(id.slice(0, 200))}, and there is no such ${kind}`,
    );
  }
}
