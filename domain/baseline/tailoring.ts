/** What people change of a profile: rules taken in or out, values refined. Checked against the benchmark it is for. */
import { z } from 'zod';
import type { Benchmark } from './model.js';
import { BaselineRefused } from './refusal.js';

const id = z.string().min(1).max(300);

export const tailoringSchema = z.strictObject({
  /** Profile it starts from. */
  profile: id,
  /** By rule or group id: whether it is selected. */
  select: z.record(id, z.boolean()).default({}),
  /** By value id: one of the value's own selectors, or a text of one's own. */
  values: z
    .record(
      id,
      z.union([z.strictObject({ selector: z.string().max(300) }), z.strictObject({ text: z.string().max(1_000) })]),
    )
    .default({}),
});
export type Tailoring = z.infer<typeof tailoringSchema>;

/** @throws BaselineRefused with the field: a profile, rule, group, value or selector that the benchmark does not have. */
export function checkTailoring(benchmark: Benchmark, tailoring: Tailoring): void {
  if (!benchmark.profiles.some((profile) => profile.id === tailoring.profile)) {
    const known = benchmark.profiles.map((profile) => profile.id).join(', ');
    throw new BaselineRefused(
      'profile',
      `${benchmark.id} has no profile ${tailoring.profile}, only ${known || 'none'}`,
    );
  }
  const items = new Set([...benchmark.rules, ...benchmark.groups].map((item) => item.id));
  for (const item of Object.keys(tailoring.select)) {
    if (!items.has(item)) throw new BaselineRefused(`select.${item}`, `${benchmark.id} has no such rule or group`);
  }
  const values = new Map(benchmark.values.map((value) => [value.id, value]));
  for (const [name, wanted] of Object.entries(tailoring.values)) {
    const value = values.get(name);
    if (value === undefined) throw new BaselineRefused(`values.${name}`, `${benchmark.id} has no such value`);
    if ('selector' in wanted && value.options[wanted.selector] === undefined) {
      const known = Object.keys(value.options).filter((option) => option !== '');
      throw new BaselineRefused(`values.${name}`, `has no selector ${wanted.selector}, only ${known.join(', ')}`);
    }
    if ('text' in wanted && !fits(value.type, wanted.text))
      throw new BaselineRefused(`values.${name}`, `must be a ${value.type} on one line`);
  }
}

/** A value ends up in fix scripts, between quotes their authors chose: nothing that could end them or start a command is let in. */
function fits(type: 'string' | 'number' | 'boolean', text: string): boolean {
  if (type === 'number') return /^-?\d{1,15}$/.test(text);
  if (type === 'boolean') return /^(true|false|0|1)$/.test(text);
  return /^[A-Za-z0-9 _.,:@/+=%~^?*[\]-]{0,1000}$/.test(text);
}

/** The profile id a tailoring has in the document that is given to the scanner. */
export const TAILORED_PROFILE = 'xccdf_org.ringmaster_profile_tailored';

/** The tailoring as an XCCDF 1.2 document, the same bytes for the same content. */
export function tailoringDocument(tailoring: Tailoring): string {
  const byName = (a: readonly [string, unknown], b: readonly [string, unknown]) => (a[0] < b[0] ? -1 : 1);
  const lines = [
    ...Object.entries(tailoring.select)
      .sort(byName)
      .map(([item, selected]) => `<select idref="${escapeXml(item)}" selected="${selected}"/>`),
    ...Object.entries(tailoring.values)
      .sort(byName)
      .map(([name, wanted]) =>
        'selector' in wanted
          ? `<refine-value idref="${escapeXml(name)}" selector="${escapeXml(wanted.selector)}"/>`
          : `<set-value idref="${escapeXml(name)}">${escapeXml(wanted.text)}</set-value>`,
      ),
  ];
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<Tailoring xmlns="http://checklists.nist.gov/xccdf/1.2" id="xccdf_org.ringmaster_tailoring_default">',
    '  <version time="2026-01-01T00:00:00">1</version>',
    `  <Profile id="${TAILORED_PROFILE}" extends="${escapeXml(tailoring.profile)}">`,
    '    <title>Tailored</title>',
    ...lines.map((line) => `    ${line}`),
    '  </Profile>',
    '</Tailoring>',
    '',
  ].join('\n');
}

function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
