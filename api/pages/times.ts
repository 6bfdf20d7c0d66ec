/** Instants and spans as pages show them: in the person's zone, and how long ago or until then. */
import { formatInstant } from '../../domain/schedule/index.js';
import { DAY, type EpochMs, HOUR, MINUTE } from '../../domain/time.js';

export type Instant = Date | number | string | null | undefined;

export interface Times {
  /** `<time>` with the wall time and the distance. Markup of our own making: nothing in it comes from outside. */
  readonly time: (at: Instant) => string;
  /** `<time>` with the distance only; the wall time is its title. */
  readonly ago: (at: Instant) => string;
  /** `2 h 5 min`, of milliseconds. */
  readonly span: (ms: number) => string;
  readonly zone: string;
}

export function createTimes(args: { readonly zone: string; readonly now: EpochMs }): Times {
  const { zone, now } = args;
  const shown = (at: EpochMs) => formatInstant({ at, zone });
  const wall = (at: EpochMs) => shown(at).slice(0, -(zone.length + 1));
  return {
    zone,
    span: spanInWords,
    time: (given) => {
      const at = epochOf(given);
      if (at === null) return 'never';
      return `<time datetime="${new Date(at).toISOString()}">${wall(at)}</time> <span class="quiet">(${distance(at, now)})</span>`;
    },
    ago: (given) => {
      const at = epochOf(given);
      if (at === null) return 'never';
      return `<time datetime="${new Date(at).toISOString()}" title="${shown(at)}">${distance(at, now)}</time>`;
    },
  };
}

function epochOf(at: Instant): EpochMs | null {
  if (at === null || at === undefined) return null;
  const ms = at instanceof Date ? at.getTime() : typeof at === 'number' ? at : Date.parse(at);
  return Number.isFinite(ms) ? ms : null;
}

/** `in 2 h 5 min`, `3 min ago`, `now`: the two largest units, rounded down. */
export function distance(at: EpochMs, now: EpochMs): string {
  const span = Math.abs(at - now);
  if (span < 5_000) return 'now';
  const text = spanInWords(span);
  return at > now ? `in ${text}` : `${text} ago`;
}

function spanInWords(ms: number): string {
  if (ms < MINUTE) return `${Math.floor(ms / 1_000)} s`;
  const units: readonly (readonly [number, string])[] = [
    [Math.floor(ms / DAY), 'd'],
    [Math.floor((ms % DAY) / HOUR), 'h'],
    [Math.floor((ms % HOUR) / MINUTE), 'min'],
  ];
  const first = units.findIndex(([n]) => n > 0);
  return units
    .slice(first, first + 2)
    .filter(([n]) => n > 0)
    .map(([n, unit]) => `${n} ${unit}`)
    .join(' ');
}
