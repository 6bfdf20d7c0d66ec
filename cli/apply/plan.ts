/** What applying would do: each document against what the server has. */
import type { ApiClient } from '../client/http-client.js';
import { differences, type FieldDifference } from './difference.js';
import type { WantedResource } from './documents.js';
import { type Existing, RESOURCE_KINDS, type Versioned } from './resource-kinds.js';

export interface PlannedResource {
  readonly wanted: WantedResource;
  /** The version the differences are about; null where there is none yet. */
  readonly before: Versioned | null;
  readonly action: 'create' | 'change' | 'keep';
  readonly fields: readonly FieldDifference[];
}

/** In the order in which they have to be put. What the documents don't name is left alone. */
export async function planResources(client: ApiClient, wanted: readonly WantedResource[]): Promise<PlannedResource[]> {
  const planned: PlannedResource[] = [];
  for (const kind of RESOURCE_KINDS) {
    const ofKind = wanted.filter((one) => one.kind === kind);
    if (ofKind.length === 0) continue;
    const existing = new Map((await kind.list(client)).map((one) => [one.name, one]));
    for (const one of inOrder(ofKind)) planned.push(await planOne(client, one, existing.get(one.name) ?? null));
  }
  return planned;
}

/** What changes is read again by itself: that version is shown, and only that one is replaced. */
async function planOne(client: ApiClient, wanted: WantedResource, found: Existing | null): Promise<PlannedResource> {
  const after: unknown = JSON.parse(JSON.stringify(wanted.spec));
  if (found !== null && differences(found.spec, after).length === 0) {
    return { wanted, before: null, action: 'keep', fields: [] };
  }
  const before = found === null ? null : await wanted.kind.read(client, found);
  const fields = differences(before === null ? {} : before.spec, after);
  return { wanted, before, action: before === null ? 'create' : fields.length > 0 ? 'change' : 'keep', fields };
}

/** Groups that others refer to come first. A loop keeps its order, and the server says what it thinks of it. */
function inOrder(resources: readonly WantedResource[]): WantedResource[] {
  const byName = new Map(resources.map((one) => [one.name, one]));
  const placed = new Set<WantedResource>();
  const visit = (one: WantedResource, visiting: ReadonlySet<string>): void => {
    if (placed.has(one) || visiting.has(one.name)) return;
    for (const name of namesIn(one.spec)) {
      const other = byName.get(name);
      if (other !== undefined) visit(other, new Set([...visiting, one.name]));
    }
    placed.add(one);
  };
  for (const one of resources) visit(one, new Set());
  return [...placed];
}

function namesIn(spec: unknown): readonly string[] {
  const groups = (spec as { selector?: { groups?: unknown } }).selector?.groups;
  return Array.isArray(groups) ? groups.filter((name) => typeof name === 'string') : [];
}
