/** A selector as a person reads it on a page: "group web, label site=graz". */
import type { Selector } from './selector.js';

/** So many of each list are named; of others it is said how many there are. */
const NAMED = 5;

/** @returns parts that all hold, joined by commas; `nobody` for a selector that selects nothing */
export function selectorInWords(selector: Selector): string {
  const parts = [
    ...(selector.all === true ? ['all endpoints'] : []),
    ...listed('group', 'any of the groups', selector.groups),
    ...listed('endpoint', 'endpoints', selector.names),
    ...(selector.ids === undefined
      ? []
      : [selector.ids.length === 1 ? 'one endpoint' : `${selector.ids.length} endpoints`]),
    ...Object.entries(selector.labels ?? {}).map(([key, value]) => `label ${key}=${value}`),
    ...(selector.where === undefined ? [] : [`where ${selector.where}`]),
  ];
  return parts.length === 0 ? 'nobody' : parts.join(', ');
}

function listed(one: string, several: string, names: readonly string[] | undefined): string[] {
  if (names === undefined || names.length === 0) return [];
  if (names.length === 1) return [`${one} ${names[0]}`];
  const more = names.length > NAMED ? ` and ${names.length - NAMED} more` : '';
  return [`${several} ${names.slice(0, NAMED).join(', ')}${more}`];
}
