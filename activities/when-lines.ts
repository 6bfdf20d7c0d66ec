import type { Pool } from 'pg';
import type { HoursGroup } from '../db/approvals/hours.js';
import {
  explainWindow,
  freezesBetween,
  freezesNeeded,
  parseFreezeCalendar,
  parseHours,
} from '../domain/schedule/index.js';
import { type EpochMs, MINUTE } from '../domain/time.js';

export interface WhenDeps {
  readonly pool: Pool;
  readonly readHoursGroups: (db: Pool, args: { changeId: string; ring: number }) => Promise<readonly HoursGroup[]>;
  readonly loadFreezeTexts: (db: Pool, names: readonly string[]) => Promise<ReadonlyMap<string, string>>;
}

/** When a ring's endpoints may be worked on, for approvers: one line per policy and zone. */
export async function whenLines(
  deps: WhenDeps,
  args: { readonly changeId: string; readonly ring: number; readonly now: EpochMs },
): Promise<readonly string[]> {
  const groups = await deps.readHoursGroups(deps.pool, args);
  const texts = await deps.loadFreezeTexts(deps.pool, [...new Set(groups.flatMap((g) => g.document.freezeCalendars))]);
  return groups.map(
    (group) => `${group.policy}, ${group.zone}, ${group.endpoints} endpoints: ${sentence(group, texts, args.now)}`,
  );
}

function sentence(group: HoursGroup, texts: ReadonlyMap<string, string>, now: EpochMs): string {
  const hours = parseHours(group.document.hours);
  if (!hours.ok) return `never: ${hours.problems.map((p) => `${p.path}: ${p.reason}`).join('; ')}`;
  const calendars = [];
  for (const name of group.document.freezeCalendars) {
    const parsed = parseFreezeCalendar(texts.get(name) ?? '');
    if (!parsed.ok) return `never: freeze calendar ${name}: ${parsed.problem.reason}`;
    calendars.push(parsed.calendar);
  }
  const freezes = freezesBetween({ calendars, zone: group.zone, ...freezesNeeded(now) });
  if (!freezes.ok) return `never: ${freezes.problem.reason}`;
  return explainWindow({
    spec: hours.value.apply,
    communicate: hours.value.communicate,
    freezes: freezes.freezes,
    zone: group.zone,
    now,
    needMs: group.document.expectedMinutes * MINUTE,
  });
}
