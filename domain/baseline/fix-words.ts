/** What is done about a rule that fails, as people read it. */
import type { PackageFix } from './package-fix.js';

/** `installs sudo`, `removes telnet`, `runs a script`; or why nothing is done. */
export function fixInWords(rule: {
  readonly packageFix: Pick<PackageFix, 'action' | 'name'> | null;
  readonly noFixReason: string | null;
}): string {
  if (rule.noFixReason !== null) return `no fix: ${rule.noFixReason}`;
  if (rule.packageFix === null) return 'runs a script';
  return `${rule.packageFix.action === 'install' ? 'installs' : 'removes'} ${rule.packageFix.name}`;
}
