/** Times for people: in their zone, which is always named. */

export interface Zone {
  /** IANA name. */
  readonly name: string;
  /** `2026-11-30 05:12`; `-` for none. */
  show(at: string | number | null | undefined): string;
  /** With the zone behind it, where nothing else on the screen names it. */
  named(at: string | number | null | undefined): string;
}

export function zoneOf(options: { readonly utc?: boolean }): Zone {
  // ICU calls it Etc/UTC or UTC; people call it UTC.
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const name = options.utc === true || own === undefined || /^Etc\/(UTC|UCT|Zulu)$/.test(own) ? 'UTC' : own;
  // The Swedish locale writes ISO dates.
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone: name, dateStyle: 'short', timeStyle: 'short' });
  const show = (at: string | number | null | undefined): string => {
    if (at === null || at === undefined) return '-';
    const time = new Date(at);
    return Number.isNaN(time.getTime()) ? '-' : format.format(time);
  };
  return { name, show, named: (at) => (show(at) === '-' ? '-' : `${show(at)} ${name}`) };
}
