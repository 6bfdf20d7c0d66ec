/** Notices within a minute what changed on this host, and tells the server; what could not be told is told later. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { type NoticedRequest, PROTOCOL_VERSION } from '../../protocol/messages.js';
import { readTextIfThere, writeFileDurably } from '../system/files.js';
import { type Look, SERVICE_LOOK } from './look.js';
import { isFoundBySudoers, PRIVILEGED_LOOK } from './privileged.js';

type Item = NoticedRequest['items'][number];
type RuleStates = Readonly<Record<string, string>>;

export interface WatcherDeps {
  readonly dir: string;
  readonly look: () => Look;
  /** Results of the critical rules, by id; null: none, or there is no news about them. */
  readonly criticalRules: () => Promise<RuleStates | null>;
  readonly now: () => number;
  readonly send: (request: NoticedRequest) => Promise<unknown>;
  readonly log: (message: string, fields?: Readonly<Record<string, unknown>>) => void;
}

interface Known {
  readonly look: Look;
  readonly rules: RuleStates;
  /** How services were looked for; left out: as the first release did. */
  readonly serviceLook?: number;
  /** The same of privileged users. */
  readonly privilegedLook?: number;
  /** Found, and not known to have been told: told again as they are. */
  readonly pending: readonly Item[];
}

const MOST_AT_ONCE = 500;
/** A host that can't be heard for days keeps this much of its news. */
const MOST_PENDING = 5_000;

/**
 * One round: looks, remembers what differs from before, and tells it. The first round only remembers. The cheap looks come first and are told
 * before a rule is tested: a scanner is slow, and may lack its content. @returns how much was told
 */
export async function watchOnce(deps: WatcherDeps): Promise<number> {
  const file = join(deps.dir, 'watched.json');
  let text = readTextIfThere(file);
  let known = parse(text);
  const remember = (next: Known) => {
    const now = JSON.stringify({ ...next, serviceLook: SERVICE_LOOK, privilegedLook: PRIVILEGED_LOOK });
    if (now !== text) writeFileDurably(file, now);
    [known, text] = [next, now];
  };
  /** Before it is told it is remembered: a crash in between tells it again, by the same keys. */
  const tell = async (next: Omit<Known, 'pending'>, news: readonly Item[]): Promise<number> => {
    const pending = [...(known?.pending ?? []), ...news].slice(-MOST_PENDING);
    remember({ ...next, pending });
    for (let from = 0; from < pending.length; from += MOST_AT_ONCE)
      await deps.send({ protocol: PROTOCOL_VERSION, items: pending.slice(from, from + MOST_AT_ONCE) });
    remember({ ...next, pending: [] });
    if (pending.length > 0) deps.log('noticed', { items: pending.length });
    return pending.length;
  };
  const at = Math.round(deps.now());
  const look = deps.look();
  const before = known;
  const told = await tell(
    { look, rules: before?.rules ?? {} },
    before === null ? [] : differences(comparable(before, look), look, at),
  );
  const results = await deps.criticalRules();
  if (results === null) return told;
  const news = before === null ? [] : drift(before.rules, results, Math.round(deps.now()));
  return told + (await tell({ look, rules: { ...before?.rules, ...results } }, news));
}

/** An agent that has learned to see more has not seen anything new. */
const comparable = ({ look, serviceLook, privilegedLook }: Known, now: Look): Look => ({
  ...look,
  ...(serviceLook === SERVICE_LOOK ? {} : { service: now.service }),
  ...(privilegedLook === PRIVILEGED_LOOK ? {} : { privilegedUser: { ...look.privilegedUser, ...bySudoers(now) } }),
});

/** What only the newer look finds. */
const bySudoers = ({ privilegedUser }: Look): Look['privilegedUser'] =>
  Object.fromEntries(Object.entries(privilegedUser).filter(([name]) => isFoundBySudoers(name)));

export function differences(before: Look, now: Look, at: number): Item[] {
  const kinds = Object.keys(now) as (keyof Look)[];
  return kinds.flatMap((kind) => {
    const was = before[kind] ?? {};
    const is = now[kind];
    const names = [...new Set([...Object.keys(was), ...Object.keys(is)])].sort();
    return names.flatMap((name): Item[] => {
      // Anybody may be called like what objects have of themselves.
      const [old, fresh] = [was, is].map((some) => (Object.hasOwn(some, name) ? some[name] : undefined));
      if (old === fresh) return [];
      const action = old === undefined ? 'added' : fresh === undefined ? 'removed' : 'changed';
      const detail = { ...(old ? { before: old } : {}), ...(fresh ? { after: fresh } : {}) };
      return [item({ kind, action, name, detail, at })];
    });
  });
}

function drift(before: RuleStates, now: RuleStates, at: number): Item[] {
  return Object.entries(now).flatMap(([rule, result]) => {
    const was = before[rule];
    if (was === undefined || was === result) return [];
    return [item({ kind: 'rule', action: 'changed', name: rule, detail: { before: was, after: result }, at })];
  });
}

/** The same key for the same news, so that telling it twice is telling it once. */
function item(args: Omit<Item, 'key'>): Item {
  const key = createHash('sha256').update(JSON.stringify(args)).digest('hex').slice(0, 32);
  return { ...args, name: args.name.slice(0, 300), key };
}

function parse(text: string | null): Known | null {
  try {
    return text === null ? null : (JSON.parse(text) as Known);
  } catch {
    return null;
  }
}

/** Round after round; one that fails (the server is away) is made up for by the next. */
export function keepWatching(deps: WatcherDeps, everyMs: number): void {
  const again = () =>
    setTimeout(() => {
      watchOnce(deps)
        .catch((error: Error) => deps.log('what was noticed is not told yet', { reason: error.message }))
        .finally(again);
    }, everyMs);
  again();
}
