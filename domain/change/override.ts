/** Starting although hours of operation are closed, or although a freeze is on: two things, each asked for by itself. */

export interface Override {
  readonly hours: boolean;
  readonly freezes: boolean;
}

export const NO_OVERRIDE: Override = { hours: false, freezes: false };

/** Reads stored JSON; anything but a plain `true` overrides nothing (fail closed). */
export function readOverride(value: unknown): Override {
  if (typeof value !== 'object' || value === null) return NO_OVERRIDE;
  const { hours, freezes } = value as Readonly<Record<string, unknown>>;
  return { hours: hours === true, freezes: freezes === true };
}

/** What both allow. */
export const commonOverride = (a: Override, b: Override): Override => ({
  hours: a.hours && b.hours,
  freezes: a.freezes && b.freezes,
});

export const overridesAnything = ({ hours, freezes }: Override): boolean => hours || freezes;

/** "outside their hours of operation and during freezes"; the words of mail, page and log. */
export function overrideInWords({ hours, freezes }: Override): string {
  const parts = [...(hours ? ['outside their hours of operation'] : []), ...(freezes ? ['during freezes'] : [])];
  return parts.join(' and ');
}
