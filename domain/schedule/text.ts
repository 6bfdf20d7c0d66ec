/** English for instants and spans; no locale data, so that every host prints the same. */
import { Temporal } from 'temporal-polyfill';
import { DAY, type EpochMs, HOUR, MINUTE } from '../time.js';
import { ENDPOINT_ZONE } from './compile.js';
import type { WindowSpec } from './model.js';

const weekdays = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/**
 * `Sat 28 Mar 2026 22:00 Europe/Berlin`; within the hour that a clock change repeats, the offset tells which: `02:30+01:00`.
 * @param zone a valid IANA name
 */
export function formatInstant({ at, zone }: { at: EpochMs; zone: string }): string {
  const local = Temporal.Instant.fromEpochMilliseconds(Math.floor(at)).toZonedDateTimeISO(zone);
  const wall = local.toPlainDateTime();
  const [earlier, later] = (['earlier', 'later'] as const).map(
    (disambiguation) => wall.toZonedDateTime(zone, { disambiguation }).epochMilliseconds,
  );
  const time = wall.toPlainTime().toString({ smallestUnit: local.second === 0 ? 'minute' : 'second' });
  const offset = earlier === later ? '' : local.offset;
  return `${weekdays[local.dayOfWeek - 1]} ${local.day} ${months[local.month - 1]} ${local.year} ${time}${offset} ${zone}`;
}

/** `45 min`, `2 h 30 min`, `3 d`; rounded up to the minute, so that a need is never understated. */
export function formatSpan(ms: number): string {
  const minutes = Math.ceil(ms / MINUTE);
  const parts = [
    [Math.floor((minutes * MINUTE) / DAY), 'd'],
    [Math.floor(((minutes * MINUTE) % DAY) / HOUR), 'h'],
    [minutes % 60, 'min'],
  ] as const;
  const said = parts.filter(([n]) => n > 0).map(([n, unit]) => `${n} ${unit}`);
  return said.length > 0 ? said.join(' ') : '0 min';
}

/** The zone to show times in: the one all windows share (those of communication where the spec has none), else the endpoint's. */
export function shownZone({
  spec,
  communicate,
  zone,
}: {
  spec: WindowSpec;
  communicate?: WindowSpec | undefined;
  zone: string;
}): string {
  if ('always' in spec) return communicate === undefined ? zone : shownZone({ spec: communicate, zone });
  const [first, ...others] = new Set(spec.windows.map((window) => window.zone));
  return first === undefined || first === ENDPOINT_ZONE || others.length > 0 ? zone : first;
}
