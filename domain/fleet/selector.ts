/**
 * Which endpoints something applies to. An endpoint matches when it meets every part that is given; an empty selector
 * matches nothing (fail closed), `all: true` matches everything.
 */
export interface Selector {
  readonly all?: true | undefined;
  readonly ids?: readonly string[] | undefined;
  readonly names?: readonly string[] | undefined;
  /** Names of groups; member of any of them. */
  readonly groups?: readonly string[] | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/** What a selector looks at. */
export interface Selectable {
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface Group {
  readonly name: string;
  readonly selector: Selector;
}

/** Whether the endpoint matches. An unknown group, or a group that leads back to itself, matches nothing. */
export function matches(args: {
  readonly endpoint: Selectable;
  readonly selector: Selector;
  readonly groups: ReadonlyMap<string, Group>;
  readonly visiting?: ReadonlySet<string>;
}): boolean {
  const { endpoint, selector, groups } = args;
  const visiting = args.visiting ?? new Set<string>();
  const parts: boolean[] = [];
  if (selector.all === true) parts.push(true);
  if (selector.ids !== undefined) parts.push(selector.ids.includes(endpoint.id));
  if (selector.names !== undefined) parts.push(selector.names.includes(endpoint.name));
  if (selector.labels !== undefined) {
    parts.push(Object.entries(selector.labels).every(([key, value]) => endpoint.labels[key] === value));
  }
  if (selector.groups !== undefined) {
    parts.push(
      selector.groups.some((name) => {
        const group = groups.get(name);
        if (group === undefined || visiting.has(name)) return false;
        return matches({ endpoint, selector: group.selector, groups, visiting: new Set([...visiting, name]) });
      }),
    );
  }
  return parts.length > 0 && parts.every(Boolean);
}
