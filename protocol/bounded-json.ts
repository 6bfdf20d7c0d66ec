/**
 * JSON whose shape is the sender's business, within bounds: a value nested a million deep, or made of a million parts, is
 * well-formed, and would cost whoever stores or shows it. Walked without recursion, so that looking at it is safe as well.
 */
import { z } from 'zod';

export interface JsonBounds {
  /** Objects and lists inside each other; a plain value in the record is 1 deep. */
  readonly depth: number;
  /** Members and elements in all. */
  readonly values: number;
  /** UTF-16 units of all names and texts together. */
  readonly text: number;
}

interface Place {
  readonly value: unknown;
  readonly depth: number;
  readonly key: string | number;
  readonly up: Place | null;
}

/** A record of anything, within bounds; refused with the place where it goes beyond them, and which. */
export function boundedRecord(bounds: JsonBounds, keyLength = 256) {
  return z.record(z.string().max(keyLength), z.unknown()).superRefine((record, context) => {
    const objection = beyond(record, bounds);
    if (objection !== null) context.addIssue({ code: 'custom', path: [...objection.path], message: objection.reason });
  });
}

/** Where a value first goes beyond the bounds; null when it does not. */
export function beyond(
  record: Readonly<Record<string, unknown>>,
  bounds: JsonBounds,
): { readonly path: readonly (string | number)[]; readonly reason: string } | null {
  let values = 0;
  let text = 0;
  const open: Place[] = [];
  const enter = (value: object, up: Place | null) => {
    const depth = (up?.depth ?? 0) + 1;
    for (const [key, inner] of Array.isArray(value) ? value.entries() : Object.entries(value)) {
      values += 1;
      if (typeof key === 'string') text += key.length;
      if (values > bounds.values) return;
      open.push({ value: inner, depth, key, up });
    }
  };
  const at = (place: Place | null, reason: string) => ({ path: pathOf(place), reason });
  enter(record, null);
  for (let place = open.pop(); ; place = open.pop()) {
    if (values > bounds.values) return at(place ?? null, `holds more than ${bounds.values} values`);
    if (place === undefined) return null;
    if (place.depth > bounds.depth) return at(place, `is nested more than ${bounds.depth} deep`);
    if (typeof place.value === 'string') text += place.value.length;
    else if (typeof place.value === 'object' && place.value !== null) enter(place.value, place);
    if (text > bounds.text) return at(place, `holds more than ${bounds.text} characters`);
  }
}

/** The first few steps say where to look; a path of a million steps would be as bad as what it leads to. */
function pathOf(place: Place | null): (string | number)[] {
  const path: (string | number)[] = [];
  for (let one = place; one !== null; one = one.up)
    path.unshift(typeof one.key === 'string' ? one.key.slice(0, 64) : one.key);
  return path.slice(0, 8);
}
