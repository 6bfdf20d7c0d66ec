/** Dates, times and durations of iCalendar properties (RFC 5545 §3.3), and the zones they are written in. */
import { DAY, HOUR, MINUTE, SECOND } from '../time.js';
import { type Component, excerpt, type Property, readProperty, refuseAt, single } from './calendar-text.js';
import {
  type Clock,
  type DayNumber,
  dayOf,
  ianaClock,
  parseDate,
  type Transition,
  transitionClock,
  utcClock,
  type WallMs,
} from './clock.js';
import { occurrenceDays, parseRule, type Rule } from './rule.js';

/** A point as written: a whole date, or a wall time in a zone (`clock` undefined: floating, in whatever zone is asked about). */
export type Stamp = { readonly allDay: boolean; readonly wall: WallMs; readonly clock: Clock | undefined };
/** How long an event lasts: wall time first (days, floating times), then exact time. */
export type Length = { readonly wallMs: number; readonly exactMs: number };

/** Finds the clock of a TZID; throws CalendarRefused for one that is neither in the calendar nor an IANA name. */
export type ClockOf = (tzid: string, at: { line: number; place: string }) => Clock;

/** A longer freeze is a decision to retire the fleet; with a rule it would also be a way to keep the server busy. */
const MAX_LENGTH_DAYS = 3_700;

const date = /^(\d{4})(\d{2})(\d{2})$/;
const dateTime = /^(\d{8})T([01]\d|2[0-3])([0-5]\d)([0-5]\d|60)(Z)?$/;

/** The values of DTSTART, EXDATE and their like. Throws CalendarRefused. */
export function readStamps(property: Property, { place, clockOf }: { place: string; clockOf: ClockOf }): Stamp[] {
  const { params, type } = readProperty(property, place);
  if (type !== 'date' && type !== 'date-time')
    return refuseAt(property.line, place, `${property.name} has values of type ${excerpt(type)}, not dates or times`);
  const tzid = params.get('tzid');
  const clock =
    tzid === undefined || type === 'date'
      ? undefined
      : clockOf(tzid, { line: property.line, place: `${place} ${property.name}` });
  return rawValue(property)
    .split(',')
    .map((text) => readStamp(text, { property, place, allDay: type === 'date', clock }));
}

/** RDATE;VALUE=PERIOD: starts with their own lengths. */
export function readPeriods(
  property: Property,
  { place, clockOf }: { place: string; clockOf: ClockOf },
): { start: Stamp; length: Length }[] {
  const tzid = readProperty(property, place).params.get('tzid');
  const clock =
    tzid === undefined ? undefined : clockOf(tzid, { line: property.line, place: `${place} ${property.name}` });
  return rawValue(property)
    .split(',')
    .map((period) => {
      const [from = '', to = ''] = period.split('/');
      const start = readStamp(from, { property, place, allDay: false, clock });
      if (/^[+-]?P/.test(to)) return { start, length: readLength(to, { property, place, allDay: false }) };
      const end = readStamp(to, { property, place, allDay: false, clock });
      return { start, length: lengthBetween({ start, end, property, place }) };
    });
}

function readStamp(
  text: string,
  { property, place, allDay, clock }: { property: Property; place: string; allDay: boolean; clock: Clock | undefined },
): Stamp {
  const bad = () =>
    refuseAt(
      property.line,
      place,
      `${property.name}: "${excerpt(text)}" is not a ${allDay ? 'date (YYYYMMDD)' : 'date and time (YYYYMMDDTHHMMSS)'}`,
    );
  const time = allDay ? undefined : (dateTime.exec(text) ?? bad());
  const digits = date.exec(time ? (time[1] as string) : text) ?? bad();
  const day: DayNumber | undefined = parseDate(`${digits[1]}-${digits[2]}-${digits[3]}`);
  if (day === undefined) return bad();
  if (!time) return { allDay, wall: day * DAY, clock: undefined };
  const wall = day * DAY + Number(time[2]) * HOUR + Number(time[3]) * MINUTE + Number(time[4]) * SECOND;
  return { allDay, wall, clock: time[5] === undefined ? clock : utcClock };
}

/** The length of an event that ends at a stamp; both must be of the same sort. Throws CalendarRefused. */
export function lengthBetween({
  start,
  end,
  property,
  place,
}: {
  start: Stamp;
  end: Stamp;
  property: Property;
  place: string;
}): Length {
  if (start.allDay !== end.allDay)
    refuseAt(property.line, place, `${property.name} and the start are not both dates or both times`);
  if ((start.clock === undefined) !== (end.clock === undefined))
    refuseAt(property.line, place, `only one of ${property.name} and the start has a zone`);
  const exact = start.clock && end.clock ? end.clock.toEpoch(end.wall) - start.clock.toEpoch(start.wall) : 0;
  const length = start.clock ? { wallMs: 0, exactMs: exact } : { wallMs: end.wall - start.wall, exactMs: 0 };
  if (length.wallMs + length.exactMs <= 0) refuseAt(property.line, place, `${property.name} is not after the start`);
  return bounded(length, property, place);
}

/** DURATION: weeks and days as wall time, the rest exact (RFC 5545 §3.3.6). Throws CalendarRefused unless it is above zero. */
export function readLength(
  text: string,
  { property, place, allDay }: { property: Property; place: string; allDay: boolean },
): Length {
  const match = /^\+?P(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:T(?=\d)(?:(\d{1,6})H)?(?:(\d{1,7})M)?(?:(\d{1,9})S)?)?$/i.exec(
    text,
  );
  if (!match) return refuseAt(property.line, place, `${property.name}: "${excerpt(text)}" is not a duration`);
  const [weeks, days, hours, minutes, seconds] = match.slice(1).map((n) => Number(n ?? 0)) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const length = { wallMs: (weeks * 7 + days) * DAY, exactMs: hours * HOUR + minutes * MINUTE + seconds * SECOND };
  if (length.wallMs + length.exactMs === 0) refuseAt(property.line, place, `${property.name} is zero`);
  if (allDay && length.exactMs > 0)
    refuseAt(property.line, place, `${property.name} of a whole-day event must be in days`);
  return bounded(length, property, place);
}

function bounded(length: Length, property: Property, place: string): Length {
  if (length.wallMs + length.exactMs > MAX_LENGTH_DAYS * DAY)
    refuseAt(property.line, place, `lasts longer than ${MAX_LENGTH_DAYS} days`);
  return length;
}

/** RRULE, strictly read. Throws CalendarRefused. */
export function readRule(property: Property, place: string): Rule {
  const parsed = parseRule(rawValue(property));
  return parsed.ok ? parsed.rule : refuseAt(property.line, place, `RRULE: ${parsed.reason}`);
}

/** The text after the parameters. None of the values read here may itself contain a colon. */
export const rawValue = ({ raw }: Property): string => raw.slice(raw.lastIndexOf(':') + 1).trim();

/**
 * Clocks by TZID. An IANA name means the runtime's own rules, which are newer than those a calendar carries; any other must be
 * defined by the calendar's VTIMEZONE.
 */
export function calendarClocks(zones: readonly Component[]): ClockOf {
  const known = new Map<string, Clock>();
  return (tzid, { line, place }) => {
    const made = known.get(tzid) ?? ianaClock(tzid) ?? fromTimezone(tzid, zones);
    if (!made)
      return refuseAt(line, place, `the zone "${excerpt(tzid)}" is neither an IANA zone nor defined by a VTIMEZONE`);
    known.set(tzid, made);
    return made;
  };
}

const FIRST_DAY = Date.UTC(1900, 0, 1) / DAY;
const LAST_DAY = Date.UTC(2200, 0, 1) / DAY;
const MAX_TRANSITIONS = 2_000;

/** A VTIMEZONE's changes of offset until the year 2200. */
function fromTimezone(tzid: string, zones: readonly Component[]): Clock | undefined {
  const zone = zones.find((z) => {
    const property = single(z, 'TZID');
    return property && readProperty(property, 'VTIMEZONE').first === tzid;
  });
  if (!zone) return undefined;
  const place = `VTIMEZONE "${excerpt(tzid)}"`;
  const transitions: (Transition & { readonly before: number })[] = [];
  for (const observance of zone.children.filter((c) => c.name === 'STANDARD' || c.name === 'DAYLIGHT')) {
    const before = readOffset(observance, 'TZOFFSETFROM', place);
    const offset = readOffset(observance, 'TZOFFSETTO', place);
    for (const wall of onsets(observance, { place, before })) transitions.push({ at: wall - before, offset, before });
    if (transitions.length > MAX_TRANSITIONS)
      refuseAt(observance.line, place, `changes its offset more than ${MAX_TRANSITIONS} times`);
  }
  const first = transitions.sort((a, b) => a.at - b.at)[0];
  if (!first) return refuseAt(zone.line, place, 'has no STANDARD and no DAYLIGHT');
  return transitionClock(transitions, first.before);
}

/** The wall times at which an observance begins. */
function onsets(observance: Component, { place, before }: { place: string; before: number }): Set<WallMs> {
  const noZone: ClockOf = (_tzid, { line }) => refuseAt(line, place, 'times inside a VTIMEZONE have no TZID');
  const required =
    single(observance, 'DTSTART') ?? refuseAt(observance.line, place, `${observance.name} has no DTSTART`);
  const start = readStamps(required, { place, clockOf: noZone })[0] as Stamp;
  const walls = new Set([start.wall]);
  for (const property of observance.properties.filter((p) => p.name === 'RDATE')) {
    for (const stamp of readStamps(property, { place, clockOf: noZone })) walls.add(stamp.wall);
  }
  const property = single(observance, 'RRULE');
  if (!property) return walls;
  const rule = readRule(property, place);
  if (rule.freq !== 'YEARLY') refuseAt(property.line, place, 'RRULE of a VTIMEZONE must be yearly');
  const startDay = dayOf(start.wall);
  const days = occurrenceDays({ rule, start: startDay, from: Math.max(FIRST_DAY, startDay), to: LAST_DAY });
  if (!days.ok) return refuseAt(property.line, place, `RRULE: ${days.reason}`);
  for (const day of days.days) {
    const wall = day * DAY + (start.wall - startDay * DAY);
    if (rule.until?.kind !== 'instant' || wall - before <= rule.until.at) walls.add(wall);
  }
  return walls;
}

function readOffset(observance: Component, name: string, place: string): number {
  const property = single(observance, name) ?? refuseAt(observance.line, place, `${observance.name} has no ${name}`);
  const match =
    /^([+-])([01]\d)([0-5]\d)([0-5]\d)?$/.exec(rawValue(property)) ??
    refuseAt(property.line, place, `${name}: "${excerpt(rawValue(property))}" is not an offset (+HHMM)`);
  const size = Number(match[2]) * HOUR + Number(match[3]) * MINUTE + Number(match[4] ?? 0) * SECOND;
  return match[1] === '-' ? -size : size;
}
