/**
 * Where several baselines hold for an endpoint and want different things of one rule, the assignment with the higher precedence decides it: put
 * right by both in turn it would never stay. One that is only observed decides nothing, for nothing puts its rules right.
 */

/** What a checklist makes of a rule. */
export interface RuleWish {
  readonly ruleId: string;
  /** Of what its check and its fix use, by value id. */
  readonly values: Readonly<Record<string, string>>;
  readonly fixSha256: string | null;
}

/** An assignment that comes before another on some endpoint, with its checklist's name. */
export interface Above {
  readonly assignment: string;
  readonly checklist: string;
}

export interface RuleConflict {
  readonly ruleId: string;
  /** The assignment that decides the rule. */
  readonly decidedBy: string;
  /** Values that differ; empty: only the fixes do. Null: it does not use this value. */
  readonly values: readonly { readonly id: string; readonly theirs: string | null; readonly ours: string | null }[];
}

/**
 * Rules that somebody else decides, differently. Where both want the same, either may put it right.
 * @param args.above the highest first; of those that have a rule the first decides it
 */
export function ruleConflicts(args: {
  readonly rules: readonly RuleWish[];
  readonly above: readonly Above[];
  readonly rulesOf: (checklist: string) => readonly RuleWish[];
}): RuleConflict[] {
  const deciding = new Map<string, { readonly by: string; readonly wish: RuleWish }>();
  for (const { assignment, checklist } of args.above)
    for (const wish of args.rulesOf(checklist))
      if (!deciding.has(wish.ruleId)) deciding.set(wish.ruleId, { by: assignment, wish });
  return args.rules.flatMap((ours): RuleConflict[] => {
    const found = deciding.get(ours.ruleId);
    if (found === undefined) return [];
    const values = differingValues(found.wish.values, ours.values);
    const fixes = found.wish.fixSha256 !== null && ours.fixSha256 !== null && found.wish.fixSha256 !== ours.fixSha256;
    return values.length === 0 && !fixes ? [] : [{ ruleId: ours.ruleId, decidedBy: found.by, values }];
  });
}

function differingValues(theirs: RuleWish['values'], ours: RuleWish['values']): RuleConflict['values'] {
  const ids = [...new Set([...Object.keys(theirs), ...Object.keys(ours)])].sort();
  return ids
    .filter((id) => theirs[id] !== ours[id])
    .map((id) => ({ id, theirs: theirs[id] ?? null, ours: ours[id] ?? null }));
}

/** `decided by assignment servers, which comes first here and wants var_limit 300 where this one wants 600`. */
export function conflictInWords({ decidedBy, values }: Pick<RuleConflict, 'decidedBy' | 'values'>): string {
  const first = `decided by assignment ${decidedBy}, which comes first here`;
  if (values.length === 0) return `${first} and has another fix for it`;
  return `${first} and wants ${values.map(valueInWords).join(', ')}`;
}

const valueInWords = ({ id, theirs, ours }: RuleConflict['values'][number]): string =>
  `${shortValueId(id)} ${theirs ?? 'not at all'} where this one wants ${ours ?? 'none'}`;

/** `xccdf_…_value_var_accounts_tmout` as people say it. */
export const shortValueId = (id: string): string => id.replace(/^xccdf_.*?_value_/, '');
