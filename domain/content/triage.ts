/**
 * Before a plan is frozen each update is included, deferred or declined, with a reason people can read (design §5). Approvers see all
 * three. What belongs together shares the strictest outcome: the binaries of one source, and a new package with what needs it.
 */
import { DAY, type EpochMs } from '../time.js';
import type { Pocket } from './catalogue.js';
import { compareDebVersionTexts } from './deb-version.js';
import { matchesNamePattern } from './name-pattern.js';
import { type PackageUpdate, updateKey } from './update-set.js';

/** What the endpoint's own package manager would do to one package. */
export interface ProposedUpdate {
  readonly name: string;
  readonly arch: string;
  /** Null: a new package the upgrade pulls in. */
  readonly from: string | null;
  /** Null: a removal; always declined. */
  readonly to: string | null;
  /** The source as the endpoint has it; the catalogue's word wins where it knows the package. */
  readonly source: string;
  /** `name:arch` of updates that can't be installed without this one, as far as the endpoint knows. */
  readonly neededBy?: readonly string[];
}

/** What a verified index says of the proposed version. */
export interface VerifiedPackage {
  readonly source: string;
  readonly sha256: string;
  readonly size: number;
  readonly pocket: Pocket;
  /** When a verified index first named it; null when that is not known. */
  readonly publishedAt: EpochMs | null;
}

/** Names of packages or sources; `*` stands for any run of characters, `?` for one. */
export type NamePattern = string;

export interface TriageException {
  readonly pattern: NamePattern;
  /** Null: without end. */
  readonly until: EpochMs | null;
  readonly reason: string;
}

/** An update somebody answers for leaving out for a while. */
export interface ExceptedUpdate {
  readonly name: string;
  readonly arch: string;
  readonly until: EpochMs;
  /** "until … by …: reason". */
  readonly words: string;
}

export interface TriageRules {
  /** `security`: only what comes from a security pocket. */
  readonly include: 'all' | 'security';
  /** Empty: everything is allowed. */
  readonly allow: readonly NamePattern[];
  readonly deny: readonly NamePattern[];
  /** Upstream soak: whole days since a verified index first named the version. 0: none. */
  readonly minAgeDays: number;
  /** The same for updates from a security pocket. */
  readonly minAgeDaysSecurity: number;
  readonly exceptions: readonly TriageException[];
  /** `name:arch` of updates that can't be undone and must not be carried out here, with the reason. */
  readonly noWayBack?: ReadonlyMap<string, string>;
  /** Updates under an exception: declined while it lasts. */
  readonly excepted?: readonly ExceptedUpdate[];
  /** The endpoint owner's own list, which no server overrides. */
  readonly localNeverTouch: readonly NamePattern[];
}

export type TriageOutcome = 'included' | 'deferred' | 'declined';
export interface TriageDecision {
  readonly name: string;
  readonly arch: string;
  readonly from: string | null;
  readonly to: string | null;
  readonly source: string;
  readonly pocket: Pocket | null;
  readonly outcome: TriageOutcome;
  /** Which rule decided; `together` when another update's outcome did. */
  readonly rule: string;
  readonly reason: string;
  /** When a deferral ends by itself, if that is known. */
  readonly until: EpochMs | null;
}

export interface TriageInput {
  readonly proposed: readonly ProposedUpdate[];
  readonly rules: TriageRules;
  readonly now: EpochMs;
  /** The verified indexes' entry of exactly this version, or null when none names it. */
  readonly verified: (update: { name: string; arch: string; version: string }) => VerifiedPackage | null;
}

export interface TriageResult {
  /** One per proposed update, in their order. */
  readonly decisions: readonly TriageDecision[];
  /** The included ones, ready for `updateSet`. */
  readonly updates: readonly PackageUpdate[];
}

type Verdict = Pick<TriageDecision, 'outcome' | 'rule' | 'reason' | 'until'>;
const SEVERITY: Record<TriageOutcome, number> = { included: 0, deferred: 1, declined: 2 };

/**
 * Decides every proposed update. Same input, same answer, whatever the order of the proposals.
 * @throws RangeError when a rule's number of days is not a whole number ≥ 0: a rule that can't be read must not let anything through.
 */
export function triageUpdates(input: TriageInput): TriageResult {
  for (const [name, days] of Object.entries({
    minAgeDays: input.rules.minAgeDays,
    minAgeDaysSecurity: input.rules.minAgeDaysSecurity,
  })) {
    if (!Number.isSafeInteger(days) || days < 0) throw new RangeError(`${name} is ${days}, not a whole number of days`);
  }
  const items = input.proposed.map((update) => {
    const found =
      update.to === null ? null : input.verified({ name: update.name, arch: update.arch, version: update.to });
    const source = found?.source ?? update.source;
    return { update, found, source, key: updateKey(update), verdict: judge(update, source, found, input) };
  });
  settleTogether(items);
  return {
    decisions: items.map(({ update, found, source, verdict }) => ({
      name: update.name,
      arch: update.arch,
      from: update.from,
      to: update.to,
      source,
      pocket: found?.pocket ?? null,
      ...verdict,
    })),
    updates: items.flatMap(({ update, found, source, verdict }) =>
      verdict.outcome !== 'included' || found === null || update.to === null
        ? []
        : [
            {
              name: update.name,
              arch: update.arch,
              from: update.from,
              to: update.to,
              source,
              sha256: found.sha256,
              size: found.size,
            },
          ],
    ),
  };
}

/** One update by itself. Declines come before deferrals, so that the lasting reason is the one shown. */
function judge(update: ProposedUpdate, source: string, found: VerifiedPackage | null, input: TriageInput): Verdict {
  const { rules, now } = input;
  const matches = (pattern: NamePattern): boolean => namesMatch(pattern, [update.name, source]);
  if (update.to === null) return decline('removal', 'removals are never part of a change');
  const never = rules.localNeverTouch.find(matches);
  if (never !== undefined) return decline('localNeverTouch', `the endpoint's owner lists ${never} as never to touch`);
  if (found === null) return decline('unverified', 'no verified index names this version');
  const order = update.from === null ? null : compareDebVersionTexts(update.from, update.to);
  if (order !== null && !order.ok) return decline('version', order.reason);
  if (order !== null && order.order >= 0) return decline('version', `${update.to} is not newer than ${update.from}`);
  const denied = rules.deny.find(matches);
  if (denied !== undefined) return decline('deny', `the policy denies ${denied}`);
  const excepted = rules.excepted?.find(
    (one) => one.name === update.name && one.arch === update.arch && one.until > now,
  );
  if (excepted !== undefined) {
    return { outcome: 'declined', rule: 'excepted', reason: `excepted ${excepted.words}`, until: excepted.until };
  }
  // New packages come with those that need them: what selects updates does not select these.
  if (update.from !== null) {
    if (rules.allow.length > 0 && !rules.allow.some(matches)) return decline('allow', 'the policy does not list it');
    if (rules.include === 'security' && found.pocket !== 'security') {
      return defer('include', `not a security update (${found.pocket}), and only those are included`, null);
    }
  }
  const exception = rules.exceptions.find((one) => matches(one.pattern) && (one.until === null || one.until > now));
  if (exception !== undefined) {
    const until =
      exception.until === null ? 'until further notice' : `until ${new Date(exception.until).toISOString()}`;
    return defer('exception', `excepted ${until}: ${exception.reason}`, exception.until);
  }
  const lasting = rules.noWayBack?.get(updateKey(update));
  if (lasting !== undefined) return defer('noWayBack', lasting, null);
  const days = found.pocket === 'security' ? rules.minAgeDaysSecurity : rules.minAgeDays;
  if (days > 0) {
    if (found.publishedAt === null) return defer('minAge', `must be ${days} days old, and its age is not known`, null);
    const due = found.publishedAt + days * DAY;
    if (due > now)
      return defer('minAge', `must be ${days} days old, which it is on ${new Date(due).toISOString()}`, due);
  }
  return { outcome: 'included', rule: 'included', reason: `verified, from ${found.pocket}`, until: null };
}

interface Item {
  readonly update: ProposedUpdate;
  readonly source: string;
  readonly key: string;
  verdict: Verdict;
}

/** Spreads the strictest outcome along sources and needs until nothing changes. Outcomes only get stricter, so it ends. */
function settleTogether(items: readonly Item[]): void {
  const byKey = new Map(items.map((item) => [item.key, item]));
  // Sorted, so that the update named as the cause does not depend on the order of the proposals.
  const sorted = [...items].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  for (let changed = true; changed; ) {
    changed = false;
    const follow = (item: Item, cause: Item, why: string): void => {
      if (SEVERITY[cause.verdict.outcome] <= SEVERITY[item.verdict.outcome]) return;
      const { outcome, until } = cause.verdict;
      item.verdict = {
        outcome,
        until,
        rule: 'together',
        reason: `${why} ${cause.key}, which is ${outcome}: ${cause.verdict.reason}`,
      };
      changed = true;
    };
    const worst = new Map<string, Item>();
    for (const item of sorted) {
      const other = worst.get(item.source);
      if (other === undefined || SEVERITY[item.verdict.outcome] > SEVERITY[other.verdict.outcome])
        worst.set(item.source, item);
    }
    for (const item of sorted) {
      const cause = worst.get(item.source);
      if (cause !== undefined && cause !== item) follow(item, cause, `source ${item.source} moves as one with`);
      const needers = (item.update.neededBy ?? []).flatMap((key) => byKey.get(key) ?? []);
      for (const needer of needers) follow(needer, item, 'needs');
      // A new package goes only where something that needs it goes.
      const best = needers.reduce<Item | null>(
        (a, b) => (a === null || SEVERITY[b.verdict.outcome] < SEVERITY[a.verdict.outcome] ? b : a),
        null,
      );
      if (item.update.from === null && best !== null) follow(item, best, 'only needed by');
    }
  }
}

/** Whether any of the names matches; everything but `*` and `?` is taken literally. */
export function namesMatch(pattern: NamePattern, names: readonly string[]): boolean {
  return names.some((name) => matchesNamePattern(pattern, name));
}

const decline = (rule: string, reason: string): Verdict => ({ outcome: 'declined', rule, reason, until: null });
const defer = (rule: string, reason: string, until: EpochMs | null): Verdict => ({
  outcome: 'deferred',
  rule,
  reason,
  until,
});
