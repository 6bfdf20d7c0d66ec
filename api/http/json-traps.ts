/** What JSON.parse takes without a word and readers disagree about: one name twice, `__proto__`, bottomless nesting. */

/** Deeper than anything the API takes by far. */
export const MAX_DEPTH = 32;

export interface Trap {
  /** The name that was the trouble; empty for the whole. */
  readonly field: string;
  readonly reason: string;
}

/** The first trap in a text that is valid JSON; null for none. One pass, no recursion. */
export function jsonTrap(text: string): Trap | null {
  const open: (Set<string> | null)[] = [];
  const token = /[{}[\]]|"(?:[^"\\]|\\.)*"(\s*:)?/gs;
  for (let found = token.exec(text); found !== null; found = token.exec(text)) {
    const [part, colon] = found;
    if (part === '{' || part === '[') {
      if (open.length >= MAX_DEPTH) return { field: '', reason: `nested more than ${MAX_DEPTH} deep` };
      open.push(part === '{' ? new Set() : null);
    } else if (part === '}' || part === ']') open.pop();
    else if (colon !== undefined) {
      const name = JSON.parse(part.slice(0, -colon.length)) as string;
      const names = open.at(-1);
      if (name === '__proto__') return { field: name, reason: 'not a possible name' };
      if (names?.has(name)) return { field: name, reason: 'is there twice' };
      names?.add(name);
    }
  }
  return null;
}
