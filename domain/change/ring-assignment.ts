import { sha256Hex } from '../content/canonical.js';
import type { Group, Selectable } from '../fleet/selector.js';
import { matches } from '../fleet/selector.js';
import type { RingSpec } from './spec.js';

export interface RingPlace {
  readonly endpointId: string;
  /** Ordinal of the ring. */
  readonly ring: number;
  /** Host order inside the ring: lower waves settle before higher ones begin. */
  readonly wave: number;
}

export interface RingAssignment {
  readonly placed: readonly RingPlace[];
  /** Endpoints in no ring, each with the reason. */
  readonly unplaced: readonly { readonly endpointId: string; readonly reason: string }[];
}

export type RingAssignmentResult =
  | ({ readonly kind: 'assigned' } & RingAssignment)
  | { readonly kind: 'malformed'; readonly reason: string };

/**
 * Puts each endpoint into at most one ring. Rings choose in their order from what earlier ones left: by selector, or the
 * first `sharePercent` of it (rounded up, so that a canary ring is never empty while something is left). "First" is by a
 * hash of change and endpoint: the same change always chooses the same endpoints, another change others, so that it is
 * not always the same machines that go first.
 *
 * Endpoints in `keep` stay where an earlier plan put them: a re-plan must not move an endpoint between rings behind the
 * approvers' backs. Only rings of `open to newcomers` (default: all) take others.
 *
 * @returns `malformed` when a share is not a percentage: then nothing is assigned (fail closed).
 */
export function assignRings(args: {
  readonly changeId: string;
  readonly rings: readonly RingSpec[];
  readonly endpoints: readonly Selectable[];
  readonly groups: ReadonlyMap<string, Group>;
  /** Endpoint id → ring of an earlier plan. */
  readonly keep?: ReadonlyMap<string, number>;
  /** Ordinals of rings that opened before: they take no newcomers. */
  readonly closedRings?: ReadonlySet<number>;
}): RingAssignmentResult {
  const keep = args.keep ?? new Map<string, number>();
  const places: RingPlace[] = [];
  const place = (endpoint: Selectable, ordinal: number, ring: RingSpec): void => {
    places.push({ endpointId: endpoint.id, ring: ordinal, wave: waveOf({ endpoint, ring, groups: args.groups }) });
  };

  const newcomers: Selectable[] = [];
  for (const endpoint of args.endpoints) {
    const ordinal = keep.get(endpoint.id);
    const ring = ordinal === undefined ? undefined : args.rings[ordinal];
    if (ordinal !== undefined && ring !== undefined) place(endpoint, ordinal, ring);
    else newcomers.push(endpoint);
  }

  let left = inStableOrder(args.changeId, newcomers);
  for (const [ordinal, ring] of args.rings.entries()) {
    const share = 'sharePercent' in ring.select ? ring.select.sharePercent : null;
    if (share !== null && !(share >= 0 && share <= 100)) {
      return { kind: 'malformed', reason: `ring ${ring.name} has a share of ${share} percent: it must be 0 to 100` };
    }
    if (args.closedRings?.has(ordinal) === true) continue;
    const [chosen, rest] = share === null ? bySelector({ ...args, ring, left }) : byShare(left, share);
    for (const endpoint of chosen) place(endpoint, ordinal, ring);
    left = rest;
  }
  const reason = (args.closedRings?.size ?? 0) > 0 ? 'no ring that has yet to open selects it' : 'no ring selects it';
  return { kind: 'assigned', placed: places, unplaced: left.map(({ id }) => ({ endpointId: id, reason })) };
}

type Split = readonly [chosen: Selectable[], rest: Selectable[]];

function byShare(left: readonly Selectable[], percent: number): Split {
  const count = Math.ceil((left.length * percent) / 100);
  return [left.slice(0, count), left.slice(count)];
}

function bySelector(args: {
  readonly ring: RingSpec;
  readonly left: readonly Selectable[];
  readonly groups: ReadonlyMap<string, Group>;
}): Split {
  const chosen: Selectable[] = [];
  const rest: Selectable[] = [];
  const { select } = args.ring;
  for (const endpoint of args.left) {
    const hit = !('sharePercent' in select) && matches({ endpoint, selector: select, groups: args.groups });
    (hit ? chosen : rest).push(endpoint);
  }
  return [chosen, rest];
}

function waveOf(args: {
  readonly endpoint: Selectable;
  readonly ring: RingSpec;
  readonly groups: ReadonlyMap<string, Group>;
}): number {
  const order = args.ring.hostOrder ?? [];
  const index = order.findIndex((selector) => matches({ endpoint: args.endpoint, selector, groups: args.groups }));
  return index < 0 ? order.length : index;
}

function inStableOrder(changeId: string, endpoints: readonly Selectable[]): Selectable[] {
  return endpoints
    .map((endpoint) => ({ endpoint, key: sha256Hex(changeId, '\n', endpoint.id) }))
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ endpoint }) => endpoint);
}
