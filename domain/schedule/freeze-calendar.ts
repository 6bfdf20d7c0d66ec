import {
  type CalendarProblem,
  CalendarRefused,
  type Component,
  excerpt,
  type Property,
  readComponents,
  readProperty,
  refuseAt,
  single,
} from './calendar-text.js';
import {
  type ClockOf,
  calendarClocks,
  type Length,
  lengthBetween,
  rawValue,
  readLength,
  readPeriods,
  readRule,
  readStamps,
  type Stamp,
} from './calendar-values.js';
import type { Clock, WallMs } from './clock.js';
import type { Rule } from './rule.js';

/** One freeze of a calendar, perhaps recurring. Wall times are in `clock`, or, without one, in the zone asked about. */
export type FreezeEvent = {
  readonly line: number;
  readonly label: string;
  readonly allDay: boolean;
  readonly clock: Clock | undefined;
  readonly start: WallMs;
  readonly length: Length;
  readonly rule: Rule | undefined;
  readonly extra: readonly { readonly wall: WallMs; readonly length: Length }[];
  readonly excluded: Set<WallMs>;
};

/** A calendar of freezes that was understood completely. Not serialisable: keep the text, and parse it again. */
export type FreezeCalendar = { readonly events: readonly FreezeEvent[] };

export type FreezeCalendarResult =
  | { readonly ok: true; readonly calendar: FreezeCalendar }
  | { readonly ok: false; readonly problem: CalendarProblem };

/** Properties an event may have (RFC 5545, 7986, 9073, 9253). Others are refused unless they begin with X-: a misspelt RRULE loses freezes. */
const eventProperties = new Set(
  (
    'ATTACH ATTENDEE CATEGORIES CLASS COMMENT CONTACT CREATED DESCRIPTION DTEND DTSTAMP DTSTART DURATION EXDATE GEO LAST-MODIFIED LOCATION ' +
    'ORGANIZER PRIORITY RDATE RECURRENCE-ID RELATED-TO REQUEST-STATUS RESOURCES RRULE SEQUENCE STATUS SUMMARY TRANSP UID URL COLOR ' +
    'CONFERENCE IMAGE STRUCTURED-DATA STYLED-DESCRIPTION CONCEPT LINK REFID'
  ).split(' '),
);
const calendarComponents = new Set(['VEVENT', 'VTIMEZONE', 'VTODO', 'VJOURNAL']);
const MAX_EVENTS = 2_000;
const MAX_DATES = 10_000;

/**
 * Reads freezes from iCalendar text: every VEVENT (also "free" ones) that isn't cancelled is a freeze. Understood: whole days and
 * times (UTC, TZID, floating), DTEND and DURATION, RRULE by day to year, RDATE, EXDATE, changed and cancelled instances. What
 * isn't understood refuses the whole calendar with its line: part of a freeze calendar is worse than a clear error. Never throws.
 */
export function parseFreezeCalendar(text: string): FreezeCalendarResult {
  try {
    return { ok: true, calendar: { events: readComponents(text).flatMap(readCalendar) } };
  } catch (error) {
    if (error instanceof CalendarRefused) return { ok: false, problem: error.problem };
    throw error;
  }
}

function readCalendar(calendar: Component): FreezeEvent[] {
  if (calendar.name !== 'VCALENDAR') refuseAt(calendar.line, calendar.name, 'is not a VCALENDAR');
  const version = single(calendar, 'VERSION') ?? refuseAt(calendar.line, 'VCALENDAR', 'VERSION is missing');
  if (rawValue(version) !== '2.0')
    refuseAt(version.line, 'VCALENDAR', `VERSION ${excerpt(rawValue(version))} is not 2.0`);
  const method = single(calendar, 'METHOD');
  if (method && /^(CANCEL|REPLY|COUNTER|DECLINECOUNTER)$/i.test(rawValue(method))) {
    refuseAt(method.line, 'VCALENDAR', `METHOD ${rawValue(method)} makes this a message, not a calendar`);
  }
  const odd = calendar.children.find((c) => !calendarComponents.has(c.name) && !c.name.startsWith('X-'));
  if (odd) refuseAt(odd.line, excerpt(odd.name), 'is not supported: publish freezes as events (VEVENT)');
  const components = calendar.children.filter((c) => c.name === 'VEVENT');
  if (components.length > MAX_EVENTS) refuseAt(calendar.line, 'VCALENDAR', `has more than ${MAX_EVENTS} events`);
  const clockOf = calendarClocks(calendar.children.filter((c) => c.name === 'VTIMEZONE'));
  const read = components.map((component) => readEvent(component, clockOf));
  for (const { instead, uid, place } of read) if (instead) replace({ instead, uid, place, read });
  return read.filter((r) => !r.cancelled).map((r) => r.event);
}

type Read = {
  readonly event: FreezeEvent;
  readonly uid: string | undefined;
  readonly cancelled: boolean;
  readonly place: string;
  /** RECURRENCE-ID: this event stands for that instance of the event with the same UID. */
  readonly instead: { readonly stamp: Stamp; readonly property: Property } | undefined;
};

function readEvent(component: Component, clockOf: ClockOf): Read {
  const label = text(component, 'SUMMARY') ?? '';
  const place = label === '' ? 'VEVENT' : `VEVENT "${label}"`;
  const odd = component.properties.find((p) => !eventProperties.has(p.name) && !p.name.startsWith('X-'));
  if (odd) refuseAt(odd.line, place, `${odd.name} is not supported`);
  const startProperty = single(component, 'DTSTART') ?? refuseAt(component.line, place, 'DTSTART is missing');
  const start = one(startProperty, { place, clockOf });
  const length = readEventLength(component, { start, place, clockOf });
  const ruleProperty = single(component, 'RRULE');
  const instead = single(component, 'RECURRENCE-ID');
  if (instead && readProperty(instead, place).params.has('range'))
    refuseAt(instead.line, place, 'RECURRENCE-ID with RANGE is not supported');
  const event: FreezeEvent = {
    line: component.line,
    label,
    allDay: start.allDay,
    clock: start.clock,
    start: start.wall,
    length,
    rule: ruleProperty && readRule(ruleProperty, place),
    extra: readExtra(component, { start, length, place, clockOf }),
    excluded: new Set(),
  };
  for (const property of component.properties.filter((p) => p.name === 'EXDATE')) {
    for (const stamp of readStamps(property, { place, clockOf }))
      event.excluded.add(inFrame(stamp, { frame: event, property, place }));
  }
  if (event.extra.length + event.excluded.size > MAX_DATES)
    refuseAt(component.line, place, `lists more than ${MAX_DATES} dates`);
  const status = single(component, 'STATUS');
  return {
    event,
    uid: text(component, 'UID'),
    cancelled: status !== undefined && rawValue(status).toUpperCase() === 'CANCELLED',
    place,
    instead: instead && { stamp: one(instead, { place, clockOf }), property: instead },
  };
}

function readEventLength(
  component: Component,
  { start, place, clockOf }: { start: Stamp; place: string; clockOf: ClockOf },
): Length {
  const end = single(component, 'DTEND');
  const duration = single(component, 'DURATION');
  if (end && duration) return refuseAt(duration.line, place, 'DTEND and DURATION exclude each other');
  if (end) return lengthBetween({ start, end: one(end, { place, clockOf }), property: end, place });
  if (duration) return readLength(rawValue(duration), { property: duration, place, allDay: start.allDay });
  if (start.allDay) return { wallMs: 86_400_000, exactMs: 0 };
  return refuseAt(component.line, place, 'has neither DTEND nor DURATION: it would freeze nothing');
}

function readExtra(
  component: Component,
  { start, length, place, clockOf }: { start: Stamp; length: Length; place: string; clockOf: ClockOf },
): FreezeEvent['extra'] {
  return component.properties
    .filter((p) => p.name === 'RDATE')
    .flatMap((property) => {
      const dates =
        readProperty(property, place).type === 'period'
          ? readPeriods(property, { place, clockOf })
          : readStamps(property, { place, clockOf }).map((stamp) => ({ start: stamp, length }));
      return dates.map((d) => ({ wall: inFrame(d.start, { frame: start, property, place }), length: d.length }));
    });
}

/** Takes a changed or cancelled instance out of its series. */
function replace({
  instead,
  uid,
  place,
  read,
}: {
  instead: NonNullable<Read['instead']>;
  uid: string | undefined;
  place: string;
  read: readonly Read[];
}): void {
  if (uid === undefined) refuseAt(instead.property.line, place, 'RECURRENCE-ID needs a UID');
  for (const series of read) {
    if (series.uid !== uid || series.instead) continue;
    series.event.excluded.add(inFrame(instead.stamp, { frame: series.event, property: instead.property, place }));
  }
}

/** A stamp as wall time of an event's own zone; dates belong to whole-day events, floating times to floating ones. */
function inFrame(
  stamp: Stamp,
  {
    frame,
    property,
    place,
  }: { frame: { allDay: boolean; clock: Clock | undefined }; property: Property; place: string },
): WallMs {
  if (stamp.allDay !== frame.allDay)
    refuseAt(property.line, place, `${property.name} and DTSTART are not both dates or both times`);
  if (stamp.clock === frame.clock) return stamp.wall;
  if (!stamp.clock || !frame.clock)
    return refuseAt(property.line, place, `only one of ${property.name} and DTSTART has a zone`);
  return frame.clock.toWall(stamp.clock.toEpoch(stamp.wall));
}

function one(property: Property, { place, clockOf }: { place: string; clockOf: ClockOf }): Stamp {
  const [stamp, ...more] = readStamps(property, { place, clockOf });
  if (!stamp || more.length > 0) return refuseAt(property.line, place, `${property.name} must have one value`);
  return stamp;
}

function text(component: Component, name: string): string | undefined {
  const property = single(component, name);
  return property && excerpt(readProperty(property, component.name).first);
}
