/** Words of a selector text. One pass, each character looked at once. */

export type Token =
  | { readonly kind: 'word' | 'string'; readonly text: string; readonly at: number }
  | { readonly kind: 'sign'; readonly text: Sign; readonly at: number }
  | { readonly kind: 'end'; readonly text: ''; readonly at: number };

type Sign = '(' | ')' | ',' | '=' | '!=' | '~' | '!~' | '<' | '<=' | '>' | '>=';

/** Something is wrong at this place (index of a UTF-16 unit). */
export class TextRefused extends Error {
  override readonly name = 'TextRefused';
  constructor(
    readonly at: number,
    message: string,
  ) {
    super(message);
  }
}

const WORD = /[\p{L}\p{N}_.:/@+*%-]+/uy;
const SIGN = /!=|!~|<=|>=|[(),=~<>]/y;
const SPACE = /[ \t\r\n]+/y;

/** @throws TextRefused for a character that begins nothing, or a string that does not end */
export function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const take = (pattern: RegExp): string | null => {
    pattern.lastIndex = at;
    return pattern.exec(text)?.[0] ?? null;
  };
  while (at < text.length) {
    const space = take(SPACE);
    if (space !== null) {
      at += space.length;
      continue;
    }
    if (text[at] === '"') {
      const string = readString(text, at);
      tokens.push({ kind: 'string', text: string.value, at });
      at = string.end;
      continue;
    }
    const sign = take(SIGN);
    const word = sign ?? take(WORD);
    if (word === null)
      throw new TextRefused(
        at,
        `did not expect ${JSON.stringify(String.fromCodePoint(text.codePointAt(at) ?? 0))} here`,
      );
    tokens.push(sign === null ? { kind: 'word', text: word, at } : { kind: 'sign', text: sign as Sign, at });
    at += word.length;
  }
  tokens.push({ kind: 'end', text: '', at });
  return tokens;
}

function readString(text: string, start: number): { value: string; end: number } {
  let value = '';
  for (let at = start + 1; at < text.length; at++) {
    const char = text[at] as string;
    if (char === '"') return { value, end: at + 1 };
    if (char !== '\\') {
      value += char;
      continue;
    }
    at++;
    const escaped = text[at];
    if (escaped !== '"' && escaped !== '\\')
      throw new TextRefused(at - 1, 'expected \\" or \\\\: nothing else follows a backslash');
    value += escaped;
  }
  throw new TextRefused(start, 'this string has no closing quote');
}
