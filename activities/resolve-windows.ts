import type { ResolvedWindow, WindowGroup } from '../db/orders/index.js';
import { type Calendars, nextOpening, readCalendars } from '../domain/policy/next-opening.js';
import { formatInstant, parseHours, shownZone } from '../domain/schedule/index.js';
import { DAY, type EpochMs } from '../domain/time.js';
import type { OrderTarget, RingActivities } from './contract.js';
import type { RingDeps } from './ring-deps.js';

/** Who was told not to wait for windows may begin for this long. */
const UNHURRIED_MS = 30 * DAY;

type Result = Awaited<ReturnType<RingActivities['resolveWindows']>>;

/**
 * Resolves the next window of every open order of a lane, once per policy and zone, and writes it into the rows. What can't
 * be read (hours, a freeze calendar, a zone) never opens, and says why.
 */
export async function resolveWindows(
  deps: RingDeps,
  args: {
    readonly changeId: string;
    readonly ring: number;
    readonly target: OrderTarget;
    readonly ignoreWindows: boolean;
  },
): Promise<Result> {
  const { orders, pool, clock } = deps;
  const now = clock();
  const { groups, ignoreWindows } = await orders.loadWindowGroups(pool, args);
  const unbound = args.target === 'revert' && (args.ignoreWindows || ignoreWindows);
  const calendars = await loadCalendars(deps, groups);
  const resolved = groups.map((group) => ({
    group,
    zone: zoneShown(group, args.target),
    window: unbound
      ? { opens: now, lastStart: now + UNHURRIED_MS, closes: now + UNHURRIED_MS }
      : nextOpening({ ...group, target: args.target, calendars, now }),
  }));
  await orders.writeWindows(pool, resolved);
  return summary(resolved, now);
}

async function loadCalendars(deps: RingDeps, groups: readonly WindowGroup[]): Promise<Calendars> {
  const names = [...new Set(groups.flatMap((group) => group.policy?.freezeCalendars ?? []))];
  if (names.length === 0) return new Map();
  return readCalendars(await deps.orders.loadFreezeTexts(deps.pool, names));
}

function summary(
  resolved: readonly { readonly group: WindowGroup; readonly zone: string; readonly window: ResolvedWindow }[],
  now: EpochMs,
): Result {
  let openNow = 0;
  let never = 0;
  let next: { readonly opens: EpochMs; readonly zone: string; endpoints: number } | null = null;
  for (const { group, zone, window } of resolved) {
    const endpoints = group.orderIds.length;
    if ('never' in window) never += endpoints;
    else if (window.opens <= now) openNow += endpoints;
    else if (next === null || window.opens < next.opens) next = { opens: window.opens, zone, endpoints };
    else if (window.opens === next.opens) next.endpoints += endpoints;
  }
  const parts = [
    ...(openNow > 0 ? [`${counted(openNow)} may start now`] : []),
    ...(next === null
      ? []
      : [`${counted(next.endpoints)}, opens ${formatInstant({ at: next.opens, zone: next.zone })}`]),
    ...(never > 0 ? [`${counted(never)} without a window`] : []),
  ];
  return {
    openNow,
    nextOpen: next?.opens ?? null,
    never,
    sentence: parts.length === 0 ? 'no endpoint waits' : parts.join('; '),
  };
}

/** The zone people think of the window in: the one its hours name, else the endpoint's. */
function zoneShown({ policy, zone }: WindowGroup, target: OrderTarget): string {
  const hours = policy === null ? null : parseHours(policy.hours);
  if (hours === null || !hours.ok) return zone;
  const { communicate, stage, apply } = hours.value;
  return shownZone({ spec: target === 'stage' ? stage : apply, communicate, zone });
}

const counted = (endpoints: number): string => `${endpoints} ${endpoints === 1 ? 'endpoint' : 'endpoints'}`;
