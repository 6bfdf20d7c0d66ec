/**
 * Rules as they travel where packages do (orders, plans, evidence): a rule that fails is version `0-fail` of it, one that passes `1-pass`,
 * and its fix is the file that takes it from one to the other.
 */
export const RULE_ARCH = 'all';
export const FAILS = '0-fail';
export const PASSES = '1-pass';
/** The provider that carries it out. */
export const OPENSCAP = 'openscap';
/** What an agent says it has when it carries out fixes that move packages by itself, instead of running their scripts. */
export const PACKAGE_FIXES = 'openscap-packages';
/** The same, and it installs nothing but the file that was approved. */
export const APPROVED_PACKAGES = 'openscap-approved-packages';

/** The same, and nothing comes with that file but what is on the approved list. */
export const FROZEN_PACKAGES = 'openscap-frozen-packages';

/** Short names of a benchmark's rules, in their order: what comes after `_rule_`, made a package name; alike ones get their number. */
export function ruleNames(ids: readonly string[]): string[] {
  const taken = new Set<string>();
  return ids.map((id, number) => {
    const short = shortRuleId(id)
      .toLowerCase()
      .replace(/[^a-z0-9.+-]+/g, '-')
      .replace(/^[^a-z0-9]+/, '')
      .slice(0, 110);
    const name = short.length < 2 || taken.has(short) ? `${short === '' ? 'rule' : short}-n${number}` : short;
    taken.add(name);
    return name;
  });
}

/** What a pattern may name a rule by: the whole id, the short name, or the short name as XCCDF writes it (underscores). */
export const namesOfRule = ({ ruleId, name }: { readonly ruleId: string; readonly name: string }): string[] => [
  ruleId,
  name,
  shortRuleId(ruleId),
];

/** `xccdf_…_rule_sshd_disable_root_login` as people say it. */
export const shortRuleId = (ruleId: string): string => ruleId.replace(/^xccdf_.*?_rule_/, '');
