/**
 * iCalendar text (RFC 5545 §3.1) into components whose properties keep their line, so that a refusal can point at it. Structure
 * is checked here, strictly; ical.js reads single properties (names, parameters, quoting). It would also read whole calendars,
 * but leniently: `DTSTART:2026` becomes a date of blanks there, and a freeze that isn't read is a freeze that isn't kept.
 */
import ICAL from 'ical.js';

/** Where calendar text was refused, and why. `place` is the component and property, such as `VEVENT "Year end" DTSTART`. */
export type CalendarProblem = { readonly line: number; readonly place: string; readonly reason: string };

/** Thrown inside the calendar reader only; its entry turns it into a result. */
export class CalendarRefused extends Error {
  readonly problem: CalendarProblem;
  constructor(problem: CalendarProblem) {
    super(problem.reason);
    this.problem = problem;
  }
}

export type Property = {
  readonly line: number;
  /** Upper case. */
  readonly name: string;
  /** The whole unfolded line. */
  readonly raw: string;
};

export type Component = {
  readonly line: number;
  /** Upper case. */
  readonly name: string;
  readonly properties: Property[];
  readonly children: Component[];
};

/** Calendars above a million characters are refused before they are read. */
export const MAX_CALENDAR_CHARS = 1_000_000;
const MAX_LINE_CHARS = 20_000;
const MAX_DEPTH = 4;

/** The top-level VCALENDARs of the text. Throws CalendarRefused. */
export function readComponents(text: string): Component[] {
  if (text.length > MAX_CALENDAR_CHARS) refuseAt(1, 'calendar', `longer than ${MAX_CALENDAR_CHARS} characters`);
  const calendars: Component[] = [];
  const open: Component[] = [];
  for (const { raw, line } of unfold(text)) {
    const name = /^([A-Za-z0-9-]+)[;:]/.exec(raw)?.[1]?.toUpperCase();
    const inside = open.at(-1);
    const place = inside?.name ?? 'calendar';
    if (name === undefined) return refuseAt(line, place, `"${excerpt(raw)}" is not a property (NAME:value)`);
    const value = raw
      .slice(name.length + 1)
      .trim()
      .toUpperCase();
    if (name === 'BEGIN') {
      if (!inside && value !== 'VCALENDAR') refuseAt(line, place, `begins with ${excerpt(value)} instead of VCALENDAR`);
      if (open.length >= MAX_DEPTH) refuseAt(line, place, 'components are nested too deeply');
      const component = { line, name: value, properties: [], children: [] };
      (inside?.children ?? calendars).push(component);
      open.push(component);
    } else if (!inside) {
      refuseAt(line, place, `"${excerpt(raw)}" is outside BEGIN:VCALENDAR`);
    } else if (name === 'END') {
      if (value !== inside.name)
        refuseAt(line, place, `END:${excerpt(value)} closes ${inside.name} of line ${inside.line}`);
      open.pop();
    } else {
      inside.properties.push({ line, name, raw });
    }
  }
  const cut = open.at(-1);
  if (cut) refuseAt(cut.line, cut.name, 'the text ends before its END: the calendar is cut off');
  if (calendars.length === 0) refuseAt(1, 'calendar', 'there is no BEGIN:VCALENDAR');
  return calendars;
}

function unfold(text: string): { raw: string; line: number }[] {
  const lines: { raw: string; line: number }[] = [];
  for (const [index, physical] of text
    .replace(/^\uFEFF/, '')
    .split(/\r\n|\n|\r/)
    .entries()) {
    const line = index + 1;
    const last = lines.at(-1);
    if (/^[ \t]/.test(physical)) {
      if (!last) refuseAt(line, 'calendar', 'a continuation line has nothing to continue');
      else last.raw += physical.slice(1);
    } else if (physical !== '') {
      lines.push({ raw: physical, line });
    }
    const { raw } = lines.at(-1) ?? { raw: '' };
    if (raw.length > MAX_LINE_CHARS)
      refuseAt(line, 'calendar', `a property is longer than ${MAX_LINE_CHARS} characters`);
  }
  return lines;
}

/** Parameters (lower-case names), value type and text value of one property, as ical.js reads them. Throws CalendarRefused. */
export function readProperty(
  property: Property,
  place: string,
): { params: Map<string, string>; type: string; first: string } {
  try {
    const [, params, type, first] = ICAL.parse.property(property.raw) as [
      string,
      Record<string, string | string[]>,
      string,
      unknown,
    ];
    return { params: new Map(Object.entries(params).map(([k, v]) => [k, String(v)])), type, first: String(first) };
  } catch (error) {
    return refuseAt(
      property.line,
      place,
      `${property.name} can't be read: ${excerpt(error instanceof Error ? error.message : String(error))}`,
    );
  }
}

/** The one property of this name, or undefined. Throws CalendarRefused when there are more. */
export function single(component: Component, name: string): Property | undefined {
  const [first, second] = component.properties.filter((p) => p.name === name);
  if (second) refuseAt(second.line, component.name, `${name} is given twice`);
  return first;
}

export function refuseAt(line: number, place: string, reason: string): never {
  throw new CalendarRefused({ line, place, reason });
}

/** A short, printable piece of untrusted text. */
export function excerpt(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed
  const clean = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').trim();
  return clean.length > 80 ? `${clean.slice(0, 79)}…` : clean;
}
