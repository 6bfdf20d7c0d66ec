/** What differs between two JSON values, per field. Order matters in lists, never in objects. */

export interface FieldDifference {
  /** `document.hours.apply.windows[0].at`. */
  readonly field: string;
  /** Undefined: not there. */
  readonly before?: unknown;
  readonly after?: unknown;
}

export function differences(before: unknown, after: unknown, field = ''): FieldDifference[] {
  if (Array.isArray(before) && Array.isArray(after)) {
    const longest = Math.max(before.length, after.length);
    return Array.from({ length: longest }, (_, i) => differences(before[i], after[i], `${field}[${i}]`)).flat();
  }
  if (isObject(before) && isObject(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
    return keys.flatMap((key) => differences(before[key], after[key], field === '' ? key : `${field}.${key}`));
  }
  if (before === after) return [];
  return [{ field, ...(before === undefined ? {} : { before }), ...(after === undefined ? {} : { after }) }];
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
