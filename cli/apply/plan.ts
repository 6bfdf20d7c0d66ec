/** What applying would do: each document against what the server has. */
import type { ApiClient } from '../client/http-client.js';
import { differences, type FieldDifference } from './difference.js';
import type { WantedResource } from './documents.js';
import { type Existing, RESOURCE_KINDS } from './resource-kinds.js';

export interface PlannedResource {
  readonly wanted: WantedResource;
  readonly before: Existing | null;
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
    for (const one of inOrder(ofKind)) {
      const before = existing.get(one.name) ?? null;
      const after: unknown = JSON.parse(JSON.stringify(one.spec));
      const fields = differences(before === null ? {} : before.spec, after);
      const action = before === null ? 'create' : fields.length > 0 ? 'change' : 'keep';
      planned.push({ wanted: one, before, action, fields });
    }
  }
  return planned;
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
