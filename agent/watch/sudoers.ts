/** Whom sudo lets become somebody else, by /etc/sudoers and what it includes (sudoers(5)). Read as text: no program is run. */
import { dirname, isAbsolute, join } from 'node:path';
import { listOrNone } from '../system/lenient-reads.js';

/** What a file holds; null: it can't be read. */
export type ReadFile = (path: string) => string | null;
export type ListFolder = (path: string) => readonly string[];

export const SUDOERS = '/etc/sudoers';
/** As sudo has it. */
const DEEPEST_INCLUDE = 128;
const MOST_FILES = 1_000;
/** What is told of a rule; the rest can be looked up there. */
const MOST_TOLD = 300;

export interface SudoRules {
  /** `eve in /etc/sudoers.d/eve` with what she may: `ALL=(ALL) NOPASSWD: ALL`. */
  readonly grants: Readonly<Record<string, string>>;
  /** Groups of the system that are let in: who comes to one of them is news as well. */
  readonly groups: readonly string[];
}

interface Grant {
  readonly users: readonly string[];
  readonly may: string;
  readonly file: string;
}

/** @param deps for tests; default: this host's files */
export function readSudoers(deps: { readonly read: ReadFile; readonly list?: ListFolder }): SudoRules {
  const list = deps.list ?? listOrNone;
  const grants: Grant[] = [];
  const aliases = new Map<string, readonly string[]>();
  const seen = new Set<string>();
  const visit = (file: string, depth: number): void => {
    if (depth > DEEPEST_INCLUDE || seen.has(file) || seen.size >= MOST_FILES) return;
    seen.add(file);
    const text = deps.read(file);
    if (text === null) return;
    for (const line of linesOf(text)) {
      const included = /^[@#](include|includedir)\s+(.+)$/.exec(line);
      if (included !== null) for (const next of filesOf(included, file, list)) visit(next, depth + 1);
      else if (/^User_Alias\s/.test(line)) addAliases(aliases, line.replace(/^User_Alias\s+/, ''));
      else if (!/^(?:Defaults\b|Defaults[@:!>]|(?:Host|Runas|Cmnd|Cmd)_Alias\s)/.test(line)) {
        const grant = grantOf(line, file);
        if (grant !== null) grants.push(grant);
      }
    }
  };
  visit(SUDOERS, 0);
  return told(grants, aliases);
}

/** Whole lines: continued ones joined, without comments. `#1000` is a user, `#include` a directive. */
const linesOf = (text: string): string[] =>
  text
    .replace(/\\\r?\n/g, ' ')
    .split(/\r?\n/)
    .map((line) =>
      line
        .replace(/^\s+/, '')
        .replace(/^#(?!include(?:dir)?\s|\d).*$/, '')
        .replace(/(?<=\s)#(?!\d).*$/, '')
        .trim(),
    )
    .filter((line) => line !== '');

/** sudo leaves out names with a dot or a `~` at the end: what package managers and editors leave behind. */
function filesOf([, how, path = '']: RegExpExecArray, from: string, list: ListFolder): string[] {
  const named = path.replace(/^"(.*)"$/, '$1');
  const whole = isAbsolute(named) ? named : join(dirname(from), named);
  if (how === 'include') return [whole];
  return list(whole)
    .filter((name) => !name.includes('.') && !name.endsWith('~'))
    .toSorted()
    .map((name) => join(whole, name));
}

/** `A = x, y : B = z` */
function addAliases(into: Map<string, readonly string[]>, text: string): void {
  for (const part of text.split(/(?<!\\):/)) {
    const found = /^\s*([A-Z][A-Z0-9_]*)\s*=\s*(.+)$/.exec(part);
    if (found !== null) into.set(found[1] as string, usersOf(found[2] as string));
  }
}

const USER = String.raw`!*\s*(?:\\.|"[^"]*"|[^\s,"\\])+`;
const USERS = new RegExp(`^(${USER}(?:\\s*,\\s*${USER})*)\\s+(\\S.*)$`);

function grantOf(line: string, file: string): Grant | null {
  const found = USERS.exec(line);
  if (found === null || !found[2]?.includes('=')) return null;
  return { users: usersOf(found[1] as string), may: (found[2] as string).replace(/\s+/g, ' '), file };
}

/** Without those who are kept out. */
const usersOf = (text: string): string[] =>
  (text.match(new RegExp(USER, 'g')) ?? [])
    .map((one) => one.trim())
    .filter((one) => !one.startsWith('!'))
    .map((one) => one.replace(/"/g, '').replace(/\\(.)/g, '$1'));

function told(grants: readonly Grant[], aliases: ReadonlyMap<string, readonly string[]>): SudoRules {
  const found = new Map<string, string[]>();
  const groups = new Set<string>();
  for (const { users, may, file } of grants)
    for (const user of new Set(users.flatMap((one) => meant(one, aliases, new Set())))) {
      const name = `${user === 'ALL' ? 'everybody' : user} in ${file}`;
      found.set(name, [...(found.get(name) ?? []), may]);
      if (/^%[^#:]/.test(user)) groups.add(user.slice(1));
    }
  const grantsTold = [...found].map(([name, may]) => [name, may.join('; ').slice(0, MOST_TOLD)] as const);
  return { grants: Object.fromEntries(grantsTold), groups: [...groups] };
}

function meant(user: string, aliases: ReadonlyMap<string, readonly string[]>, within: ReadonlySet<string>): string[] {
  const alias = aliases.get(user);
  if (alias === undefined || within.has(user)) return [user];
  return alias.flatMap((one) => meant(one, aliases, new Set([...within, user])));
}
