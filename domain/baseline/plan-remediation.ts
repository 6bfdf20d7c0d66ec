/** Decides which failing rules of which endpoints a remediation puts right. Endpoints that are alike are decided once. */
import type { KindPlan, KindWork, TriageNote } from '../change/kind-plan.js';
import type { RemediationParameters } from '../change/remediation-parameters.js';
import {
  type ApprovedPackage,
  type Brings,
  namesMatch,
  type PackageUpdate,
  type PlannedPackage,
  updateSet,
} from '../content/index.js';
import { type Exception, exceptionForRule, exceptionInWords } from '../exception/exception.js';
import type { Mode } from './assignment.js';
import { type Above, conflictInWords, type RuleWish, ruleConflicts } from './conflicts.js';
import type { PackageFix } from './package-fix.js';
import { resultOf } from './results.js';
import { FAILS, namesOfRule, OPENSCAP, PASSES, RULE_ARCH } from './rule-name.js';

export interface RemediableRule extends RuleWish {
  readonly name: string;
  readonly severity: string;
  readonly fixSize: number | null;
  readonly noFixReason: string | null;
  /** Set where the fix moves a package and does nothing else. */
  readonly packageFix: Pick<PackageFix, 'action' | 'name'> | null;
}

export interface System {
  /** Such as `bookworm`. */
  readonly codename: string;
  readonly arch: string;
}

/** The newest of a package that the configured repositories of a system have, by {@link offerKey}. */
export type Offers = ReadonlyMap<string, ApprovedPackage>;
export const offerKey = ({ codename, arch }: System, name: string): string => `${codename} ${arch} ${name}`;

/** Each offer's list of what it may bring, by {@link offerKey}. */
export type BringsByOffer = ReadonlyMap<string, Brings>;

/** Packages that these groups may be asked to install, for {@link Offers}. */
export function packagesToCome(
  groups: readonly RemediationGroup[],
  rules: ReadonlyMap<string, readonly RemediableRule[]>,
): (System & { readonly name: string })[] {
  const found = new Map<string, System & { readonly name: string }>();
  for (const { system, checklist, results } of groups)
    for (const [position, { packageFix }] of (rules.get(checklist) ?? []).entries())
      if (system !== null && packageFix?.action === 'install' && resultOf((results ?? '')[position] ?? '') === 'fail')
        found.set(offerKey(system, packageFix.name), { ...system, name: packageFix.name });
  return [...found.values()];
}

/** Endpoints with the same checklist, results and exceptions. An endpoint is in as many as checklists hold for it. */
export interface RemediationGroup {
  readonly endpointIds: readonly string[];
  /** The checklist's name. */
  readonly checklist: string;
  readonly assignment: string;
  readonly precedence: number;
  readonly mode: Mode;
  /** Null: never measured, or not with an answer. */
  readonly results: string | null;
  readonly problem: string | null;
  /** Has the scanner. */
  readonly able: boolean;
  /** Carries out fixes that move packages. */
  readonly movesPackages: boolean;
  /** Installs nothing but the file that was approved. */
  readonly heedsApproved: boolean;
  /** Nor anything with it that was not. */
  readonly heedsLists: boolean;
  /** Of the distribution, and the architecture that its packages have. Null: unknown. */
  readonly system: System | null;
  /** In force on these endpoints. */
  readonly exceptions: readonly Exception[];
  /** Findings that people say are wrong there: who and why, by rule id. Left out: none. */
  readonly falsePositives?: Readonly<Record<string, string>> | null;
  /** Assignments that come first there, whether asked for or not, the highest first. Left out: none. */
  readonly above?: readonly Above[];
}

/**
 * One checklist decides for an endpoint, so that its rules go forward and back together: of those in which a rule that was asked for can be put
 * right the one with the highest precedence. Where there is none, one that says why.
 */
export function planRemediation(args: {
  readonly groups: readonly RemediationGroup[];
  /** By checklist, in the order of results; also of those that come first somewhere. */
  readonly rules: ReadonlyMap<string, readonly RemediableRule[]>;
  readonly offers: Offers;
  readonly brings: BringsByOffer;
  readonly parameters: RemediationParameters;
  /** Endpoints that none of the assignments asked for holds for. */
  readonly unassigned: readonly string[];
}): KindPlan {
  const { unassigned, parameters } = args;
  const works = onePerEndpoint(
    args.groups.toSorted(byPrecedence).map((group) => {
      const rules = args.rules.get(group.checklist) ?? [];
      const rulesOf = (checklist: string) => args.rules.get(checklist) ?? [];
      const found = ruleConflicts({ rules, above: group.above ?? [], rulesOf });
      const conflicts = new Map(found.map((one) => [one.ruleId, conflictInWords(one)]));
      return workOf(group, { rules, conflicts, offers: args.offers, brings: args.brings, parameters });
    }),
  );
  const none =
    parameters.assignments === null
      ? 'no baseline is assigned here'
      : `no baseline assignment of these holds here: ${parameters.assignments.join(', ')}`;
  return {
    works: unassigned.length === 0 ? works : [...works, nothing({ endpointIds: unassigned }, none, [])],
    facts: [],
  };
}

const byPrecedence = (a: RemediationGroup, b: RemediationGroup): number =>
  b.precedence - a.precedence || (a.assignment < b.assignment ? -1 : a.assignment > b.assignment ? 1 : 0);

/** Gives each endpoint to the first that has work for it, else to the first that looked at rules and says why not, else to the first. */
function onePerEndpoint(works: readonly KindWork[]): KindWork[] {
  const rank = (work: KindWork) => (work.idle === null ? 0 : work.triage.length > 0 ? 1 : 2);
  const taken = new Set<string>();
  return works
    .toSorted((a, b) => rank(a) - rank(b))
    .flatMap((work) => {
      const endpointIds = work.endpointIds.filter((id) => !taken.has(id));
      for (const id of endpointIds) taken.add(id);
      return endpointIds.length === 0 ? [] : [{ ...work, endpointIds }];
    });
}

function workOf(
  group: RemediationGroup,
  args: {
    readonly rules: readonly RemediableRule[];
    /** Why somebody else decides a rule, by its id. */
    readonly conflicts: ReadonlyMap<string, string>;
    readonly offers: Offers;
    readonly brings: BringsByOffer;
    readonly parameters: RemediationParameters;
  },
): KindWork {
  const { rules, conflicts, parameters } = args;
  const idle = whyIdle(group, parameters);
  if (idle !== null) return nothing(group, idle, []);
  const triage: TriageNote[] = [];
  const updates: PackageUpdate[] = [];
  for (const [position, rule] of rules.entries()) {
    const result = resultOf((group.results ?? '')[position] ?? '');
    if (result !== 'fail' || !isAsked(rule, parameters)) continue;
    const excepted = exceptionForRule(namesOfRule(rule), group.exceptions);
    const declined = (rule_: string, reason: string, outcome: 'declined' | 'deferred', until: number | null) =>
      triage.push({ ...asUpdate(rule, group), pocket: null, outcome, rule: rule_, reason, until });
    if (excepted !== null)
      declined('exception', `excepted ${exceptionInWords(excepted)}`, 'declined', excepted.expiresAt);
    else if (group.falsePositives?.[rule.ruleId] !== undefined)
      declined('falsePositive', `marked as wrong ${group.falsePositives[rule.ruleId]}`, 'declined', null);
    else if (conflicts.has(rule.ruleId)) declined('conflict', conflicts.get(rule.ruleId) ?? '', 'declined', null);
    else if (rule.noFixReason !== null) declined('noFix', rule.noFixReason, 'declined', null);
    else if (rule.fixSha256 === null || rule.fixSize === null)
      declined('noFix', 'its fix is not at hand', 'declined', null);
    else {
      const update = { ...asUpdate(rule, group), sha256: rule.fixSha256, size: rule.fixSize };
      const moved = rule.packageFix === null ? null : moveOf(rule.packageFix, group, args);
      if (typeof moved === 'string') declined('noFix', moved, 'declined', null);
      else {
        updates.push(moved === null || moved.installs === null ? update : { ...update, installs: moved.installs });
        if (rule.packageFix !== null)
          triage.push({ ...asUpdate(rule, group), ...aboutPackage(rule.packageFix, moved?.installs ?? null) });
      }
    }
  }
  if (updates.length === 0) {
    return nothing(
      group,
      triage.length === 0 ? 'no rule that was asked for fails' : 'no failing rule can be put right',
      triage,
    );
  }
  const made = updateSet(updates);
  if (!made.ok) return nothing(group, made.reason, triage);
  return {
    set: made.set,
    // The way back is the snapshot on the endpoint; a revert order names the same script, to say which rules it is about.
    previous: updates.map(({ name, arch, sha256, size }) => ({ name, arch, version: FAILS, sha256, size })),
    provider: OPENSCAP,
    reversibility: triage.some((note) => note.reversibility !== undefined) ? 'reversibleButData' : 'reversible',
    triage,
    endpointIds: group.endpointIds,
    idle: null,
  };
}

/**
 * What a fix would bring: exactly one file, which a verified index names, with what is on a list of such files, and nothing that nobody has
 * approved (design §4, §5). A string: why it can't be planned.
 */
function moveOf(
  { action, name }: Pick<PackageFix, 'action' | 'name'>,
  group: RemediationGroup,
  { offers, brings }: { readonly offers: Offers; readonly brings: BringsByOffer },
): { readonly installs: PlannedPackage | null } | string {
  if (!group.movesPackages) return 'its fix moves a package, and the agent there is too old for that, or has no apt';
  if (action === 'remove') return { installs: null };
  if (!group.heedsApproved)
    return `its fix installs ${name}, and the agent there is too old to keep to the version that is approved`;
  if (!group.heedsLists)
    return `its fix installs ${name}, and the agent there is too old to keep to the packages that may come with it`;
  if (group.system === null)
    return `its fix installs ${name}, and it is not known which release and architecture the endpoint has`;
  const key = offerKey(group.system, name);
  const [offer, coming] = [offers.get(key), brings.get(key)];
  const { codename, arch } = group.system;
  if (offer === undefined || coming === undefined)
    return `its fix installs ${name}, in a version that nobody knows yet: no configured repository for ${codename} (${arch}) has it`;
  return coming.ok
    ? { installs: { ...offer, brings: coming.list } }
    : `its fix installs ${name} ${offer.version}, which ${coming.reason}`;
}

/** The endpoint keeps what it needs for the way back before it begins, or declines; what a package's scripts threw away it can't keep. */
function aboutPackage({ action, name }: Pick<PackageFix, 'action' | 'name'>, installs: PlannedPackage | null) {
  const reason =
    action === 'install'
      ? `installs ${name} ${installs?.version} (${installs?.arch}, SHA-256 ${installs?.sha256}) and may bring up to ${installs?.brings?.packages} packages with it, those that it needs and that are not there yet (list ${installs?.brings?.sha256}); undone by removing what came`
      : `removes ${name}, if nothing depends on it; undone by installing the same version again`;
  return {
    pocket: null,
    outcome: 'included',
    rule: 'package',
    reason,
    until: null,
    reversibility: 'reversibleButData',
  } as const;
}

function whyIdle(group: RemediationGroup, parameters: RemediationParameters): string | null {
  if (parameters.enforcedOnly && group.mode !== 'enforce') return `baseline ${group.assignment} is not enforced here`;
  if (group.mode === 'observe') return `baseline ${group.assignment} is only observed here`;
  if (!group.able) return 'OpenSCAP is not installed there (Debian: openscap-scanner), or its agent is too old';
  if (group.results !== null) return null;
  return group.problem === null ? 'not measured by its baseline yet' : `not measured: ${group.problem}`;
}

function isAsked(rule: RemediableRule, { rules, exclude, severities }: RemediationParameters): boolean {
  const named = (patterns: readonly string[]) => patterns.some((pattern) => namesMatch(pattern, namesOfRule(rule)));
  if (severities !== null && !severities.includes(rule.severity)) return false;
  return (rules === null || named(rules)) && !named(exclude);
}

/** A rule where updates are: its checklist is its source, so that all its rules go back together. */
const asUpdate = (rule: RemediableRule, group: RemediationGroup) => ({
  name: rule.name,
  arch: RULE_ARCH,
  from: FAILS,
  to: PASSES,
  source: group.checklist,
});

function nothing(group: Pick<RemediationGroup, 'endpointIds'>, idle: string, triage: readonly TriageNote[]): KindWork {
  const empty = updateSet([]);
  if (!empty.ok) throw new Error(empty.reason);
  return {
    set: empty.set,
    previous: [],
    provider: OPENSCAP,
    reversibility: 'reversible',
    triage,
    endpointIds: group.endpointIds,
    idle,
  };
}
