/**
 * Hours of operation, freezes and cadences (design §6): the only door to this folder. Pure; but it reads the runtime's tz
 * database, so workflow code must not import it: activities resolve windows and hand epoch times to workflows.
 */
export { type NextStart, nextScheduledStart } from './cadence.js';
export type { CalendarProblem } from './calendar-text.js';
export { isIanaZone } from './clock.js';
export { ENDPOINT_ZONE } from './compile.js';
export { explainWindow } from './explain.js';
export { type FreezeCalendar, type FreezeCalendarResult, parseFreezeCalendar } from './freeze-calendar.js';
export { type FreezesResult, freezesBetween } from './freezes.js';
export type {
  Cadence,
  Freeze,
  FreezeSet,
  Hours,
  Interval,
  NeverCode,
  NextWindow,
  Parsed,
  Problem,
  RecurringWindow,
  Window,
  WindowSpec,
} from './model.js';
export { freezesNeeded, LOOK_AHEAD_DAYS, LOOK_BACK_DAYS, nextWindow } from './next-window.js';
export { isOpen, NO_FREEZES, type WindowsQuery, type WindowsResult, windowsBetween } from './openings.js';
export { cadenceSchema, hoursSchema, parseCadence, parseHours, parseWindowSpec, windowSpecSchema } from './schema.js';
export { formatInstant, shownZone } from './text.js';
