/**
 * A checklist is what an endpoint is measured by: one version of a baseline, one profile, perhaps tailored. Decided here: which rules
 * are in it, which values hold, and the exact text of each fix (XCCDF 1.2 §7.2.3: later selections win, a rule counts only inside
 * groups that are selected).
 */
import { isSha256, sha256Hex } from '../content/canonical.js';
import type { BaselineProfile, BaselineRule, BaselineValue, Benchmark, ProfileStep } from './model.js';
import { movesPackages, packageFixOf } from './package-fix.js';
import { BaselineRefused } from './refusal.js';
import { checkTailoring, TAILORED_PROFILE, type Tailoring, tailoringDocument } from './tailoring.js';

export interface Checklist {
  /** Names baseline bytes, profile and tailoring together. */
  readonly digest: string;
  readonly profile: string;
  /** The profile to name to the scanner. */
  readonly scannerProfile: string;
  /** The document to give the scanner; null: none needed. */
  readonly tailoring: { readonly sha256: string; readonly size: number; readonly text: string } | null;
  /** Numbers of the rules in it (their places in the benchmark), ascending. */
  readonly rules: readonly number[];
  /** By value id. */
  readonly values: Readonly<Record<string, string>>;
}

/** @throws BaselineRefused when the benchmark does not have what is named */
export function checklistOf(args: {
  readonly benchmark: Benchmark;
  /** Of the data stream. */
  readonly sha256: string;
  readonly profile: string;
  readonly tailoring: Tailoring | null;
}): Checklist {
  const { benchmark, tailoring } = args;
  if (!isSha256(args.sha256)) throw new TypeError('sha256 is not a digest');
  checkTailoring(benchmark, tailoring ?? { profile: args.profile, select: {}, values: {} });
  const steps = [
    ...profileSteps(benchmark.profiles, args.profile),
    ...(tailoring === null ? [] : tailoringSteps(tailoring)),
  ];
  const selected = new Map([...benchmark.groups, ...benchmark.rules].map((item) => [item.id, item.selected]));
  for (const step of steps) if (step.kind === 'select') selected.set(step.id, step.selected);
  const rules = benchmark.rules.flatMap((rule, number) =>
    [rule.id, ...rule.groups].every((item) => selected.get(item) === true) ? [number] : [],
  );
  if (rules.length === 0)
    throw new BaselineRefused('profile', `${args.profile} selects no rule: nothing would be tested`);
  const text = tailoring === null ? null : tailoringDocument(tailoring);
  const document = text === null ? null : { sha256: sha256Hex(text), size: Buffer.byteLength(text, 'utf8'), text };
  return {
    digest: sha256Hex('ringmaster-checklist-v1\n', args.sha256, '\n', args.profile, '\n', document?.sha256 ?? '-'),
    profile: args.profile,
    scannerProfile: tailoring === null ? args.profile : TAILORED_PROFILE,
    tailoring: document,
    rules,
    values: valuesOf(benchmark.values, steps),
  };
}

/** A profile's steps after those of the profiles it extends. @throws BaselineRefused when they go in a circle */
function profileSteps(profiles: readonly BaselineProfile[], id: string): readonly ProfileStep[] {
  const byId = new Map(profiles.map((profile) => [profile.id, profile]));
  const chain: BaselineProfile[] = [];
  for (let next = byId.get(id); next !== undefined; next = next.extends === null ? undefined : byId.get(next.extends)) {
    if (chain.includes(next)) throw new BaselineRefused('profile', `${id} extends itself`);
    chain.push(next);
  }
  return chain.reverse().flatMap((profile) => profile.steps);
}

const tailoringSteps = (tailoring: Tailoring): readonly ProfileStep[] => [
  ...Object.entries(tailoring.select).map(([id, selected]) => ({ kind: 'select', id, selected }) as const),
  ...Object.entries(tailoring.values).map(([id, wanted]) =>
    'selector' in wanted
      ? ({ kind: 'refine', id, selector: wanted.selector } as const)
      : ({ kind: 'set', id, text: wanted.text } as const),
  ),
];

function valuesOf(values: readonly BaselineValue[], steps: readonly ProfileStep[]): Record<string, string> {
  const found = new Map(values.map((value) => [value.id, value.options[''] ?? '']));
  const options = new Map(values.map((value) => [value.id, value.options]));
  for (const step of steps) {
    if (step.kind === 'set') found.set(step.id, step.text);
    // A selector that the value does not have keeps what counts without one (XCCDF 1.2 §6.4.5.5).
    if (step.kind === 'refine') found.set(step.id, options.get(step.id)?.[step.selector] ?? found.get(step.id) ?? '');
  }
  return Object.fromEntries(found);
}

/** To be counted up with every change of {@link whyNoFix}, {@link valuesOfRule} or of how scripts are read: those of checklists made before are then read anew. */
export const FIXES_READ = 2;

/** Why a rule is not remediated; null: `fixText` says how. */
export function whyNoFix(rule: Pick<BaselineRule, 'fix' | 'automated'>): string | null {
  if (!rule.automated) return 'nothing tests it automatically, so no fix could be proven';
  if (rule.fix === null) return 'the baseline has no fix for it';
  if (rule.fix.reboot) return 'its fix takes effect with a reboot only';
  const text = rule.fix.parts.map((part) => (typeof part === 'string' ? part : '')).join('');
  if (text.trim() === '') return 'the baseline has no fix for it';
  if (movesPackages(text) && packageFixOf(text) === null)
    return 'its fix moves packages among other things: only one that does nothing else can be undone';
  return null;
}

/** The values that decide what a rule asks for and does: those that its check or its fix uses, by id. */
export function valuesOfRule(
  rule: Pick<BaselineRule, 'fix' | 'checkValues'>,
  values: Readonly<Record<string, string>>,
): Record<string, string> {
  const inFix = (rule.fix?.parts ?? []).flatMap((part) => (typeof part === 'string' ? [] : [part.value]));
  const used = [...new Set([...inFix, ...(rule.checkValues ?? [])])].sort();
  return Object.fromEntries(used.flatMap((id) => (values[id] === undefined ? [] : [[id, values[id]]])));
}

/** The script that is run, byte for byte: what approvers approve by digest. Null where there is no fix. */
export function fixText(
  rule: Pick<BaselineRule, 'id' | 'fix'>,
  values: Readonly<Record<string, string>>,
): string | null {
  if (rule.fix === null) return null;
  const body = rule.fix.parts.map((part) => (typeof part === 'string' ? part : (values[part.value] ?? ''))).join('');
  return `#!/bin/bash\n# ${rule.id}\n${body.replace(/\r\n/g, '\n').trim()}\n`;
}
