/**
 * Reading and printing selector text, such as `label.site = "berlin" and not name in ("web-1", "web-2")`. Grammar: docs/selectors.md.
 * Recursive descent without going back: time grows with the text's length, and length and depth are bounded.
 */
import {
  AGE_FIELD,
  type Condition,
  FLAG_FIELDS,
  type FlagField,
  LEVEL_FIELDS,
  LEVELS,
  type Level,
  type LevelField,
  type Ordering,
  TEXT_FIELDS,
  type TextField,
  type TextPlace,
} from './selector-condition.js';
import { TextRefused, type Token, tokensOf } from './selector-lexer.js';

export const MAX_TEXT = 4_000;
/** Parentheses and `not` inside one another. */
export const MAX_DEPTH = 50;
const MAX_LABEL_KEY = 64;
/** No label is longer, so no longer value could equal one. */
const MAX_VALUE = 256;
const MAX_AGE_DAYS = 3_660;

export type ParsedText =
  | { readonly ok: true; readonly condition: Condition }
  /** `column` counts characters from 1. */
  | { readonly ok: false; readonly column: number; readonly reason: string };

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
const ORDERINGS: readonly string[] = ['<', '<=', '>', '>='];
const KEYWORDS: readonly string[] = ['and', 'or', 'not', 'in', 'has', 'group', 'all'];
const FIELDS = [...TEXT_FIELDS, 'label.<key>', ...LEVEL_FIELDS, AGE_FIELD, ...FLAG_FIELDS].join(', ');

/** Never throws. */
export function parseSelectorText(text: string): ParsedText {
  if (text.length > MAX_TEXT) {
    return { ok: false, column: MAX_TEXT + 1, reason: `a selector has at most ${MAX_TEXT} characters` };
  }
  try {
    return { ok: true, condition: new Reader(tokensOf(text)).read() };
  } catch (error) {
    if (!(error instanceof TextRefused)) throw error;
    return { ok: false, column: [...text.slice(0, error.at)].length + 1, reason: error.message };
  }
}

class Reader {
  private next = 0;
  private depth = 0;
  constructor(private readonly tokens: readonly Token[]) {}

  read(): Condition {
    const condition = this.either();
    const left = this.peek();
    if (left.kind !== 'end') this.refuse(left, 'expected "and", "or" or the end');
    return condition;
  }

  private either(): Condition {
    return this.list('or', () => this.both());
  }

  private both(): Condition {
    return this.list('and', () => this.unary());
  }

  private list(op: 'and' | 'or', part: () => Condition): Condition {
    const first = part();
    const parts = [first];
    while (this.takeWord(op)) parts.push(part());
    return parts.length === 1 ? first : { op, parts };
  }

  private unary(): Condition {
    const token = this.peek();
    if (this.takeWord('not')) return this.deeper(token, () => ({ op: 'not', part: this.unary() }));
    if (!this.takeSign('(')) return this.term();
    const inner = this.deeper(token, () => this.either());
    if (!this.takeSign(')')) this.refuse(this.peek(), 'expected "and", "or" or ")"');
    return inner;
  }

  private deeper<T>(token: Token, read: () => T): T {
    if (++this.depth > MAX_DEPTH) this.refuse(token, `nested more than ${MAX_DEPTH} deep`);
    const result = read();
    this.depth--;
    return result;
  }

  private term(): Condition {
    const token = this.take();
    if (token.kind === 'string') this.refuse(token, 'expected a field, not a value: fields have no quotes');
    if (token.kind !== 'word') this.refuse(token, 'expected a condition');
    const word = token.text;
    if (word === 'all') return { op: 'all' };
    if (word === 'group') return this.group();
    if (word === 'has') return this.has();
    if (is(FLAG_FIELDS, word)) return this.flag(word);
    if (word === AGE_FIELD) return this.age();
    return this.comparison(this.place(token));
  }

  private group(): Condition {
    if (!this.takeWord('in')) return { op: 'group', name: this.value('group') };
    const parts = this.values('in').map((name): Condition => ({ op: 'group', name }));
    return parts.length === 1 ? (parts[0] as Condition) : { op: 'or', parts };
  }

  private has(): Condition {
    const token = this.take();
    if (token.kind !== 'word') this.refuse(token, 'expected a field after "has"');
    return { op: 'has', place: this.place(token) };
  }

  private flag(flag: FlagField): Condition {
    const holds: Condition = { op: 'flag', flag };
    const negated = this.peek().text === '!=' && this.peek().kind === 'sign';
    if (!negated && !this.takeSign('=')) return holds;
    if (negated) this.take();
    const at = this.peek();
    const value = this.value(negated ? '!=' : '=');
    if (value !== 'true' && value !== 'false') this.refuse(at, `expected true or false: ${flag} is one of them`);
    return (value === 'true') === negated ? { op: 'not', part: holds } : holds;
  }

  private age(): Condition {
    const sign = this.take();
    if (sign.kind !== 'sign' || !ORDERINGS.includes(sign.text)) {
      this.refuse(sign, `expected <, <=, > or >= after "${AGE_FIELD}"`);
    }
    const at = this.peek();
    const [, count, unit] = /^(\d{1,7})([smhdw])$/.exec(this.value(sign.text)) ?? [];
    if (count === undefined || unit === undefined) this.refuse(at, 'expected a time such as 90m, 12h, 7d or 2w');
    const ageMs = Number(count) * (UNITS[unit] as number);
    if (ageMs > MAX_AGE_DAYS * 86_400_000) this.refuse(at, `expected at most ${MAX_AGE_DAYS}d`);
    return { op: 'lastSeen', than: sign.text as Ordering, ageMs };
  }

  private comparison(place: TextPlace): Condition {
    const name = printPlace(place);
    const token = this.take();
    if (token.kind === 'word' && token.text === 'in') return this.membership(place);
    if (token.kind === 'word' && token.text === 'not' && this.takeWord('in')) {
      return { op: 'not', part: this.membership(place) };
    }
    if (token.kind !== 'sign') this.refuse(token, `expected =, !=, ~, !~, in or not in after "${name}"`);
    const sign = token.text;
    if (ORDERINGS.includes(sign)) return this.order(place, token);
    if (!['=', '!=', '~', '!~'].includes(sign))
      this.refuse(token, `expected =, !=, ~, !~, in or not in after "${name}"`);
    const at = this.peek();
    const value = this.value(sign);
    const like = sign.endsWith('~');
    if (!like) this.checkLevel(place, value, at);
    const part: Condition = like ? { op: 'like', place, pattern: value } : { op: 'in', place, values: [value] };
    return sign.startsWith('!') ? { op: 'not', part } : part;
  }

  private membership(place: TextPlace): Condition {
    const at = this.peek();
    const values = this.values('in');
    for (const value of values) this.checkLevel(place, value, at);
    return { op: 'in', place, values };
  }

  private order(place: TextPlace, sign: Token): Condition {
    if (!is(LEVEL_FIELDS, place.field)) {
      this.refuse(sign, `"${printPlace(place)}" has no order: expected =, !=, ~, !~, in or not in`);
    }
    const at = this.peek();
    const level = this.value(sign.text);
    this.checkLevel(place, level, at);
    return { op: 'level', field: place.field, than: sign.text as Ordering, level: level as Level };
  }

  private checkLevel(place: TextPlace, value: string, at: Token): void {
    if (is(LEVEL_FIELDS, place.field) && !is(LEVELS, value)) {
      this.refuse(at, `expected ${LEVELS.slice(0, -1).join(', ')} or ${LEVELS.at(-1)}`);
    }
  }

  private place(token: Token): TextPlace {
    const word = token.text;
    if (is(TEXT_FIELDS, word) || is(LEVEL_FIELDS, word)) return { field: word as TextField | LevelField };
    if (!word.startsWith('label.')) {
      const reason = KEYWORDS.includes(word) ? 'expected a condition' : `expected a field: ${FIELDS}`;
      this.refuse(token, reason);
    }
    const quoted = this.peek();
    const key = word === 'label.' && quoted.kind === 'string' ? this.take().text : word.slice('label.'.length);
    if (key === '') this.refuse(quoted, 'expected the label’s key after "label."');
    if (key.length > MAX_LABEL_KEY) this.refuse(token, `a label’s key has at most ${MAX_LABEL_KEY} characters`);
    return { field: 'label', key };
  }

  private values(after: string): string[] {
    if (!this.takeSign('(')) this.refuse(this.peek(), `expected "(" after "${after}"`);
    const values = [this.value('(')];
    while (this.takeSign(',')) values.push(this.value(','));
    if (!this.takeSign(')')) this.refuse(this.peek(), 'expected "," or ")"');
    return values;
  }

  private value(after: string): string {
    const token = this.take();
    if (token.kind === 'word' && KEYWORDS.includes(token.text)) {
      this.refuse(token, `expected a value after "${after}": "${token.text}" is one only in quotes`);
    }
    if (token.kind !== 'word' && token.kind !== 'string') this.refuse(token, `expected a value after "${after}"`);
    if (token.text.length > MAX_VALUE) this.refuse(token, `a value has at most ${MAX_VALUE} characters`);
    return token.text;
  }

  private peek(): Token {
    return this.tokens[this.next] as Token;
  }

  private take(): Token {
    const token = this.peek();
    if (token.kind !== 'end') this.next++;
    return token;
  }

  private takeWord(word: string): boolean {
    const token = this.peek();
    const found = token.kind === 'word' && token.text === word;
    if (found) this.next++;
    return found;
  }

  private takeSign(sign: string): boolean {
    const token = this.peek();
    const found = token.kind === 'sign' && token.text === sign;
    if (found) this.next++;
    return found;
  }

  private refuse(token: Token, reason: string): never {
    throw new TextRefused(token.at, reason);
  }
}

/** The condition as text; reading it again gives the same condition. */
export function printCondition(condition: Condition): string {
  switch (condition.op) {
    case 'and':
    case 'or':
      return condition.parts.map((part) => bracketed(part, ['and', 'or'])).join(` ${condition.op} `);
    case 'not':
      return `not ${bracketed(condition.part, ['and', 'or'])}`;
    case 'all':
      return 'all';
    case 'group':
      return `group ${quote(condition.name)}`;
    case 'flag':
      return condition.flag;
    case 'has':
      return `has ${printPlace(condition.place)}`;
    case 'in': {
      const [only, ...more] = condition.values;
      if (only !== undefined && more.length === 0) return `${printPlace(condition.place)} = ${quote(only)}`;
      return `${printPlace(condition.place)} in (${condition.values.map(quote).join(', ')})`;
    }
    case 'like':
      return `${printPlace(condition.place)} ~ ${quote(condition.pattern)}`;
    case 'level':
      return `${condition.field} ${condition.than} ${condition.level}`;
    case 'lastSeen':
      return `${AGE_FIELD} ${condition.than} ${printAge(condition.ageMs)}`;
  }
}

function bracketed(part: Condition, ops: readonly string[]): string {
  return ops.includes(part.op) ? `(${printCondition(part)})` : printCondition(part);
}

function printPlace(place: TextPlace): string {
  if (place.field !== 'label') return place.field;
  return /^[\p{L}\p{N}_.:/@+*%-]+$/u.test(place.key) ? `label.${place.key}` : `label.${quote(place.key)}`;
}

function printAge(ageMs: number): string {
  const unit = ['w', 'd', 'h', 'm'].find((name) => ageMs % (UNITS[name] as number) === 0) ?? 's';
  return `${ageMs / (UNITS[unit] as number)}${unit}`;
}

const quote = (text: string): string => `"${text.replaceAll(/["\\]/g, '\\$&')}"`;

function is<T extends string>(list: readonly T[], word: string): word is T {
  return (list as readonly string[]).includes(word);
}
