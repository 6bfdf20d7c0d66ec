/**
 * Windows against a reference that shares nothing with the implementation: it asks Intl for the local time of every single
 * minute, reads wall times off that table, and decides minute by minute whether some local date's window is open.
 */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isOpen, LOOK_AHEAD_DAYS, LOOK_BACK_DAYS, nextWindow, windowsBetween } from './index.js';
import type { FreezeSet, RecurringWindow, WindowSpec } from './model.js';

const MINUTE = 60_000;
const DAY = 1_440 * MINUTE;
const SPAN = 9 * DAY;
const names = ['MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU'];

/** Zones with starts of nine-day ranges around their clock changes (and one without). */
const zones: Record<string, readonly string[]> = {
  'Europe/Berlin': ['2026-03-25', '2026-10-21', '2026-07-01'],
  'America/New_York': ['2026-03-04', '2026-10-28'],
  'Asia/Kolkata': ['2026-03-25'],
  'Australia/Lord_Howe': ['2026-04-01', '2026-09-30'],
  'America/St_Johns': ['2010-03-10', '2010-11-03', '2026-03-04'],
  'Pacific/Chatham': ['2026-04-01', '2026-09-23'],
  'Pacific/Apia': ['2011-12-26', '2011-09-20'],
};

type Table = { readonly start: number; readonly walls: readonly number[]; readonly index: ReadonlyMap<number, number> };
const tables = new Map<string, Table>();

/** Wall time (as if UTC) of every minute from nine days before `base` to nine days after the range. */
function table(zone: string, base: number): Table {
  const key = `${zone} ${base}`;
  const known = tables.get(key);
  if (known) return known;
  const format = new Intl.DateTimeFormat('en-u-ca-iso8601-hc-h23', {
    timeZone: zone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    timeZoneName: 'longOffset',
  });
  const offsetAt = (at: number): number => {
    const text = format.formatToParts(at).find((p) => p.type === 'timeZoneName')?.value ?? '';
    const match = /^GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/.exec(text);
    if (!match) throw new Error(`no offset in "${text}"`);
    return match[1] === undefined
      ? 0
      : (match[1] === '-' ? -1 : 1) * (Number(match[2]) * 60 + Number(match[3])) * MINUTE;
  };
  const start = base - 9 * DAY;
  const walls: number[] = [];
  const index = new Map<number, number>();
  for (let at = start; at < base + SPAN + 9 * DAY; at += MINUTE) {
    const wall = at + offsetAt(at);
    if (!index.has(wall)) index.set(wall, walls.length);
    walls.push(wall);
  }
  const made = { start, walls, index };
  tables.set(key, made);
  return made;
}

/** "Compatible": the first minute that shows this wall time; in a gap, the wall time counted on with the offset before it. */
function resolve({ start, walls, index }: Table, wall: number): number {
  const found = index.get(wall);
  if (found !== undefined) return start + found * MINUTE;
  const after = walls.findIndex((w) => w > wall);
  const offsetBefore = (walls[after - 1] as number) - (start + (after - 1) * MINUTE);
  return wall - offsetBefore;
}

type Dates =
  | { readonly kind: 'weekly'; readonly days: number[] }
  | { readonly kind: 'every'; readonly n: number; readonly anchor: number }
  | { readonly kind: 'ordinal'; readonly nth: number; readonly weekday: number };
type Plan = {
  readonly dates: Dates;
  readonly plusDays: number;
  readonly from: number;
  readonly to?: number;
  readonly minutes?: number;
  readonly own: boolean;
};

const iso = (day: number) => new Date(day * DAY).toISOString().slice(0, 10);
const weekdayOf = (day: number) => (((day + 3) % 7) + 7) % 7;
const hhmm = (minutes: number) =>
  `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;

function inDates(dates: Dates, day: number): boolean {
  if (dates.kind === 'weekly') return dates.days.includes(weekdayOf(day));
  if (dates.kind === 'every') return day >= dates.anchor && (day - dates.anchor) % dates.n === 0;
  const dom = new Date(day * DAY).getUTCDate();
  return weekdayOf(day) === dates.weekday && Math.ceil(dom / 7) === dates.nth;
}

function toWindow(plan: Plan, zone: string): RecurringWindow {
  const { dates } = plan;
  const rule =
    dates.kind === 'weekly'
      ? { rrule: `FREQ=WEEKLY;BYDAY=${dates.days.map((d) => names[d])}` }
      : dates.kind === 'every'
        ? { rrule: `FREQ=DAILY;INTERVAL=${dates.n}`, dtstart: iso(dates.anchor) }
        : { rrule: `FREQ=MONTHLY;BYDAY=${dates.nth}${names[dates.weekday]}` };
  return {
    ...rule,
    plusDays: plan.plusDays,
    from: hhmm(plan.from),
    ...(plan.to === undefined ? { duration: `PT${plan.minutes}M` } : { to: hhmm(plan.to) }),
    zone: plan.own ? 'endpoint' : zone,
  };
}

/** Which minutes of the range are open, by asking every local date that could matter. */
function reference({
  plans,
  frozen,
  zone,
  base,
}: {
  plans: readonly Plan[];
  frozen: readonly { from: number; to: number }[];
  zone: string;
  base: number;
}): boolean[] {
  const minutes = table(zone, base);
  const open = new Array<boolean>(SPAN / MINUTE).fill(false);
  const today = Math.floor(base / DAY);
  for (const plan of plans) {
    for (let day = today - 6; day <= today + SPAN / DAY + 2; day += 1) {
      if (!inDates(plan.dates, day - plan.plusDays)) continue;
      const opens = resolve(minutes, day * DAY + plan.from * MINUTE);
      const closes =
        plan.to === undefined
          ? opens + (plan.minutes as number) * MINUTE
          : resolve(minutes, (day + (plan.to > plan.from ? 0 : 1)) * DAY + plan.to * MINUTE);
      for (let at = Math.max(opens, base); at < Math.min(closes, base + SPAN); at += MINUTE)
        open[(at - base) / MINUTE] = true;
    }
  }
  for (const { from, to } of frozen) open.fill(false, (from - base) / MINUTE, (to - base) / MINUTE);
  return open;
}

const timeOfDay = fc.oneof(
  fc.integer({ min: 0, max: 1_439 }),
  fc.integer({ min: 0, max: 300 }),
  fc.constantFrom(0, 1, 120, 150, 165, 180, 225),
);
const plans: fc.Arbitrary<Plan> = fc
  .record({
    dates: fc.oneof(
      fc.record({
        kind: fc.constant('weekly' as const),
        days: fc.uniqueArray(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 4 }),
      }),
      fc.record({
        kind: fc.constant('every' as const),
        n: fc.integer({ min: 1, max: 4 }),
        anchor: fc.integer({ min: 14_000, max: 14_600 }),
      }),
      fc.record({
        kind: fc.constant('ordinal' as const),
        nth: fc.integer({ min: 1, max: 5 }),
        weekday: fc.integer({ min: 0, max: 6 }),
      }),
    ),
    plusDays: fc.integer({ min: -3, max: 3 }),
    from: timeOfDay,
    end: fc.oneof(fc.record({ to: timeOfDay }), fc.record({ minutes: fc.integer({ min: 1, max: 3 * 1_440 }) })),
    own: fc.boolean(),
  })
  .filter(({ from, end }) => !('to' in end && end.to === from))
  .map(({ end, ...plan }) => ({ ...plan, ...end }));

const scenarios = fc
  .constantFrom(
    ...Object.entries(zones).flatMap(([zone, bases]) =>
      bases.map((date) => ({ zone, base: Date.parse(`${date}T00:00Z`) })),
    ),
  )
  .chain(({ zone, base }) =>
    fc.record({
      zone: fc.constant(zone),
      base: fc.constant(base),
      plans: fc.array(plans, { minLength: 1, maxLength: 3 }),
      frozen: fc.array(
        fc
          .record({ start: fc.integer({ min: 0, max: SPAN / MINUTE - 1 }), length: fc.integer({ min: 1, max: 4_000 }) })
          .map(({ start, length }) => ({
            from: base + start * MINUTE,
            to: Math.min(base + (start + length) * MINUTE, base + SPAN),
          })),
        { maxLength: 2 },
      ),
    }),
  )
  .map((s) => {
    const spec: WindowSpec = { windows: s.plans.map((p) => toWindow(p, s.zone)) };
    const freezes: FreezeSet = { covers: { from: 0, to: Number.MAX_SAFE_INTEGER }, freezes: s.frozen };
    return { ...s, query: { spec, freezes, zone: s.zone } };
  });

function runs(open: readonly boolean[], base: number): { opens: number; closes: number }[] {
  const found: { opens: number; closes: number }[] = [];
  for (const [i, is] of open.entries()) {
    if (!is) continue;
    const last = found.at(-1);
    if (last && last.closes === base + i * MINUTE) last.closes += MINUTE;
    else found.push({ opens: base + i * MINUTE, closes: base + (i + 1) * MINUTE });
  }
  return found;
}

describe('against the minute-by-minute reference, in seven zones around clock changes', () => {
  test('windowsBetween', () => {
    fc.assert(
      fc.property(scenarios, (s) => {
        const result = windowsBetween({ ...s.query, from: s.base, to: s.base + SPAN });
        expect(result).toEqual({ ok: true, windows: runs(reference(s), s.base) });
      }),
      { numRuns: 400 },
    );
  });

  test('isOpen, also in the middle of a minute', () => {
    fc.assert(
      fc.property(scenarios, fc.integer({ min: 0, max: SPAN - 1 }), (s, after) => {
        expect(isOpen({ ...s.query, at: s.base + after })).toBe(reference(s)[Math.floor(after / MINUTE)]);
      }),
      { numRuns: 400 },
    );
  });

  test('nextWindow is the first in which the work fits', () => {
    fc.assert(
      fc.property(
        scenarios,
        fc.integer({ min: 0, max: 2 * DAY }),
        fc.integer({ min: 0, max: 600 }),
        (s, after, need) => {
          const now = s.base + after;
          const needMs = need * MINUTE;
          const next = nextWindow({ ...s.query, now, needMs });
          const windows = runs(reference(s), s.base);
          const first = windows.find((w) => w.closes > now && w.closes - Math.max(w.opens, now) >= needMs);
          // The reference knows nine days: what touches their ends may be longer in truth.
          if (first && first.opens > s.base && first.closes < s.base + SPAN) expect(next).toEqual(first);
          else if (!('never' in next))
            expect(next.closes > s.base + SPAN || next.opens <= s.base || first !== undefined).toBe(true);
        },
      ),
      { numRuns: 400 },
    );
  });
});

describe('whatever the spec', () => {
  const asked = fc.tuple(scenarios, fc.integer({ min: 0, max: SPAN }), fc.integer({ min: 0, max: 300 * MINUTE }));

  test('a returned window is open at opens, shut at closes, not over, and fits the work', () => {
    fc.assert(
      fc.property(asked, ([s, after, needMs]) => {
        const now = s.base + after;
        const next = nextWindow({ ...s.query, now, needMs });
        if ('never' in next) return;
        expect(isOpen({ ...s.query, at: next.opens })).toBe(true);
        // Openings that touch each other for weeks are cut at the look-back and the look-ahead (windows.test.ts).
        if (next.opens > now - LOOK_BACK_DAYS * DAY) expect(isOpen({ ...s.query, at: next.opens - 1 })).toBe(false);
        expect(isOpen({ ...s.query, at: next.closes - 1 })).toBe(true);
        if (next.closes < now + LOOK_AHEAD_DAYS * DAY) expect(isOpen({ ...s.query, at: next.closes })).toBe(false);
        expect(next.closes).toBeGreaterThan(now);
        expect(next.closes - Math.max(next.opens, now)).toBeGreaterThanOrEqual(needMs);
      }),
      { numRuns: 200 },
    );
  });

  test('time and need only ever push the window later', () => {
    fc.assert(
      fc.property(
        asked,
        fc.integer({ min: 0, max: 3 * DAY }),
        fc.integer({ min: 0, max: 300 * MINUTE }),
        ([s, after, needMs], later, more) => {
          const now = s.base + after;
          const next = nextWindow({ ...s.query, now, needMs });
          const nextLater = nextWindow({ ...s.query, now: now + later, needMs });
          const nextLonger = nextWindow({ ...s.query, now, needMs: needMs + more });
          for (const other of [nextLater, nextLonger]) {
            if ('never' in other) continue;
            if ('never' in next) throw new Error(`never at ${now}, yet ${JSON.stringify(other)} afterwards`);
            expect(other.closes).toBeGreaterThanOrEqual(next.closes);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  test('asking again at the opening gives the same window', () => {
    fc.assert(
      fc.property(asked, ([s, after, needMs]) => {
        const next = nextWindow({ ...s.query, now: s.base + after, needMs });
        const now = s.base + after;
        if ('never' in next || next.opens <= now) return;
        const again = nextWindow({ ...s.query, now: next.opens, needMs });
        if (next.closes < now + LOOK_AHEAD_DAYS * DAY) expect(again).toEqual(next);
        else expect(again).toMatchObject({ opens: next.opens });
      }),
      { numRuns: 200 },
    );
  });

  test('a range split in two gives the same windows', () => {
    fc.assert(
      fc.property(scenarios, fc.integer({ min: 1, max: SPAN - 1 }), (s, at) => {
        const ask = (from: number, to: number) => {
          const result = windowsBetween({ ...s.query, from, to });
          return result.ok ? [...result.windows] : [];
        };
        const middle = s.base + at;
        const [left, right] = [ask(s.base, middle), ask(middle, s.base + SPAN)];
        const last = left.at(-1);
        const joined =
          last && right[0] && last.closes === middle && right[0].opens === middle
            ? [...left.slice(0, -1), { opens: last.opens, closes: right[0].closes }, ...right.slice(1)]
            : [...left, ...right];
        expect(joined).toEqual(ask(s.base, s.base + SPAN));
      }),
      { numRuns: 200 },
    );
  });
});
