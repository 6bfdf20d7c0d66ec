/** Groups of groups: whatever leads back to itself is refused, by name. */
import { depthOfText, type Group, groupsNamed } from './selector.js';

/** How deep groups may nest, each counted with the conditions inside its text; far beyond what people can follow. */
export const MAX_NESTING = 500;

interface Visit {
  readonly name: string;
  readonly own: number;
  readonly left: string[];
  below: number;
}

/**
 * What is wrong with how groups nest: a loop ("a → b → a"), or a depth nobody can follow; null when nothing is. Looks at the group
 * named first, so that it is named first. Groups nobody made lead nowhere. Time grows with the number of groups, whatever their shape.
 */
export function nestingFault(groups: ReadonlyMap<string, Group>, first: string): string | null {
  const done = new Map<string, number>();
  for (const start of [first, ...groups.keys()]) {
    const fault = done.has(start) ? null : visit({ groups, start, done });
    if (fault !== null) return fault;
  }
  return null;
}

/** Depth first with a list of its own, for a chain of groups may be longer than the stack. */
function visit(args: {
  readonly groups: ReadonlyMap<string, Group>;
  readonly start: string;
  readonly done: Map<string, number>;
}): string | null {
  const { groups, done } = args;
  const path: Visit[] = [];
  const onPath = new Set<string>();
  const enter = (name: string): void => {
    const selector = groups.get(name)?.selector ?? {};
    path.push({ name, own: 1 + depthOfText(selector), left: groupsNamed(selector).map((one) => one.name), below: 0 });
    onPath.add(name);
  };
  enter(args.start);
  for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
    const next = top.left.pop();
    if (next === undefined) {
      path.pop();
      onPath.delete(top.name);
      const depth = top.own + top.below;
      if (depth > MAX_NESTING) return `groups and conditions nest more than ${MAX_NESTING} deep in ${top.name}`;
      done.set(top.name, depth);
      const above = path.at(-1);
      if (above !== undefined) above.below = Math.max(above.below, depth);
    } else if (onPath.has(next)) {
      const names = path.map((one) => one.name);
      return `groups lead back to themselves: ${[...names.slice(names.indexOf(next)), next].join(' → ')}`;
    } else if (done.has(next)) {
      top.below = Math.max(top.below, done.get(next) ?? 0);
    } else {
      enter(next);
    }
  }
  return null;
}
