/** Endpoints as selectors look at them, for a page of the fleet or all of it. */
import type { Selectable } from '../../domain/fleet/selector.js';
import type { EndpointTraits } from '../../domain/fleet/selector-condition.js';
import type { Queryable } from '../pool.js';

/** The columns {@link toSelectable} reads, of `endpoint e`. Facts are picked one by one: as a whole they are large. */
export const SELECTABLE_COLUMNS = `e.id, e.name, e.labels, e.state, e.scan_only, e.simulated, e.zone, e.function, e.sensitivity,
  e.attack_likelihood, (extract(epoch FROM now() - e.last_seen) * 1000)::float8 AS silent_ms,
  e.facts -> 'os' AS os, e.facts -> 'osId' AS os_id, e.facts -> 'osVersion' AS os_version, e.facts -> 'kernel' AS kernel,
  e.facts -> 'architecture' AS architecture, e.facts -> 'codename' AS codename, e.facts -> 'virtualization' AS virtualization,
  e.facts -> 'agentVersion' AS agent_version`;

/** What selectors look at beside name, id and the time it was last heard of, of `endpoint e`: values without names. */
export const SELECTABLE_TRAITS = `e.labels, e.state, e.scan_only, e.simulated, e.zone, e.function, e.sensitivity, e.attack_likelihood,
  e.facts -> 'os', e.facts -> 'osId', e.facts -> 'osVersion', e.facts -> 'kernel', e.facts -> 'architecture', e.facts -> 'codename',
  e.facts -> 'virtualization', e.facts -> 'agentVersion'`;

export function toSelectable(row: Record<string, unknown>): Selectable & { readonly traits: EndpointTraits } {
  const osVersioned = texts(row.os_id).length > 0 ? `${row.os_id} ${texts(row.os_version)[0] ?? ''}`.trim() : null;
  return {
    id: row.id as string,
    name: row.name as string,
    labels: row.labels as Record<string, string>,
    traits: {
      text: {
        os: [...texts(row.os), ...texts(osVersioned)],
        kernel: texts(row.kernel),
        architecture: texts(row.architecture),
        codename: texts(row.codename),
        virtualization: texts(row.virtualization),
        agentVersion: texts(row.agent_version),
        zone: texts(row.zone),
        function: texts(row.function),
        state: texts(row.state),
        sensitivity: texts(row.sensitivity),
        attackLikelihood: texts(row.attack_likelihood),
      },
      simulated: row.simulated as boolean,
      scanOnly: row.scan_only as boolean,
      silentMs: row.silent_ms as number | null,
    },
  };
}

/** An agent may tell anything: what is no text, or empty, is unknown. */
const texts = (value: unknown): string[] => (typeof value === 'string' && value !== '' ? [value] : []);

/** Of what an agent told, the part that may move its endpoint from one group to another. */
export function selectableFacts(facts: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(facts).filter(([name]) => SELECTABLE_FACTS.has(name)));
}

const SELECTABLE_FACTS: ReadonlySet<string> = new Set([
  'os',
  'osId',
  'osVersion',
  'kernel',
  'architecture',
  'codename',
  'virtualization',
  'agentVersion',
]);

/** Endpoints by id; all of them, or those asked for. */
export async function loadSelectables(
  db: Queryable,
  args: { readonly endpointIds?: readonly string[] | undefined } = {},
): Promise<Selectable[]> {
  const { rows } = await db.query(
    `SELECT ${SELECTABLE_COLUMNS} FROM endpoint e WHERE $1::uuid[] IS NULL OR e.id = ANY ($1) ORDER BY e.id`,
    [args.endpointIds ?? null],
  );
  return rows.map(toSelectable);
}
