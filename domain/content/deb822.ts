/**
 * Strict reader for Debian control data (deb822): Packages, Release, control and `.sources` files. After Debian Policy 5.1
 * and deb822(5). Anything malformed is refused with its line; nothing is guessed. Bounded, for the input may be hostile.
 */

/** One paragraph. Field names are matched without regard to case, as the format demands. */
export interface Stanza {
  /** Line of the first field, counted from 1. */
  readonly line: number;
  /** Lower-case field name → value; continuation lines joined by `\n`, their leading blank removed. */
  readonly fields: ReadonlyMap<string, string>;
}

export interface Deb822Limits {
  /** Characters of one paragraph, line ends included. */
  readonly maxStanzaLength: number;
  readonly maxStanzas: number;
  readonly maxFields: number;
}

export interface Deb822Options extends Partial<Deb822Limits> {
  /** Whether lines starting with `#` are comments (deb822 source lists) or malformed (indexes, which have none). */
  readonly comments?: boolean;
}

export type Deb822Error = { line: number; reason: string };
export type Deb822Result = { ok: true; stanzas: Stanza[] } | { ok: false; error: Deb822Error };

const DEFAULT_LIMITS: Deb822Limits = { maxStanzaLength: 4 * 1024 * 1024, maxStanzas: 500_000, maxFields: 200 };
/** Printable ASCII but the colon; the first character is neither `#` (comment) nor `-` (OpenPGP dash escape). Policy 5.1. */
const FIELD = /^([!"$-,./0-9;-~][!-9;-~]*):[ \t]*(.*)$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for.
const CONTROL = /[\u0000-\u0008\u000a-\u001f\u007f]/;

/** Parses a whole document held in memory. See {@link createDeb822Reader} for streams. */
export function parseDeb822(text: string, options: Deb822Options = {}): Deb822Result {
  const reader = createDeb822Reader(options);
  const first = reader.push(text);
  if (!first.ok) return first;
  const last = reader.end();
  return last.ok ? { ok: true, stanzas: [...first.stanzas, ...last.stanzas] } : last;
}

/** The only paragraph of a document; refused when there is none or more than one. */
export function parseSingleStanza(text: string, options: Deb822Options = {}): Deb822Result & { stanza?: Stanza } {
  const result = parseDeb822(text, options);
  if (!result.ok) return result;
  const [stanza, second] = result.stanzas;
  if (stanza === undefined) return { ok: false, error: { line: 1, reason: 'has no paragraph' } };
  if (second !== undefined) return { ok: false, error: { line: second.line, reason: 'has more than one paragraph' } };
  return { ...result, stanza };
}

export interface Deb822Reader {
  /** Takes the next piece of text, cut anywhere, and returns the paragraphs it completed. After a refusal, stop. */
  push(text: string): Deb822Result;
  /** Returns the last paragraph, when the text does not end in an empty line. */
  end(): Deb822Result;
}

/** A reader that keeps no more than one paragraph in memory. */
export function createDeb822Reader(options: Deb822Options = {}): Deb822Reader {
  return new Reader({ ...DEFAULT_LIMITS, ...options });
}

class Reader implements Deb822Reader {
  readonly #limits: Deb822Limits & { comments?: boolean };
  #rest = '';
  #line = 0;
  #stanzas = 0;
  #length = 0;
  #startLine = 0;
  #fields = new Map<string, string>();
  #name: string | null = null;
  #value: string[] = [];

  constructor(limits: Deb822Limits & { comments?: boolean }) {
    this.#limits = limits;
  }

  push(text: string): Deb822Result {
    const done: Stanza[] = [];
    const whole = this.#rest + text;
    let from = 0;
    for (let end = whole.indexOf('\n'); end >= 0; end = whole.indexOf('\n', from)) {
      const refusal = this.#take(whole.slice(from, end), done);
      if (refusal !== null) return { ok: false, error: { line: this.#line, reason: refusal } };
      from = end + 1;
    }
    this.#rest = whole.slice(from);
    if (this.#length + this.#rest.length > this.#limits.maxStanzaLength) {
      return { ok: false, error: { line: this.#line + 1, reason: this.#tooLong() } };
    }
    return { ok: true, stanzas: done };
  }

  end(): Deb822Result {
    const done: Stanza[] = [];
    const last = this.#rest;
    this.#rest = '';
    const refusal = (last === '' ? null : this.#take(last, done)) ?? this.#closeStanza(done);
    return refusal === null ? { ok: true, stanzas: done } : { ok: false, error: { line: this.#line, reason: refusal } };
  }

  /** Takes one line; answers why it is refused, or null. */
  #take(line: string, done: Stanza[]): string | null {
    this.#line += 1;
    if (line === '') return this.#closeStanza(done);
    this.#length += line.length + 1;
    if (this.#length > this.#limits.maxStanzaLength) return this.#tooLong();
    if (CONTROL.test(line)) return 'contains a control character';
    if (line.startsWith('#') && this.#limits.comments === true) return null;
    if (line.startsWith(' ') || line.startsWith('\t')) {
      if (line.trim() === '') return 'is blank but not empty: neither a separator nor a value';
      if (this.#name === null) return 'continues a field, but there is none before it';
      this.#value.push(line.slice(1));
      return null;
    }
    const match = FIELD.exec(line);
    if (match === null) return 'is neither a field nor a continuation';
    this.#closeField();
    const name = (match[1] as string).toLowerCase();
    if (this.#fields.has(name)) return `repeats the field ${match[1]}`;
    if (this.#fields.size >= this.#limits.maxFields)
      return `has more than ${this.#limits.maxFields} fields in its paragraph`;
    if (this.#fields.size === 0) this.#startLine = this.#line;
    // Reserves the place, so that a repetition is seen; the value follows when the field ends.
    this.#fields.set(name, '');
    this.#name = name;
    this.#value = [(match[2] as string).trimEnd()];
    return null;
  }

  #closeField(): void {
    if (this.#name !== null) this.#fields.set(this.#name, this.#value.join('\n'));
    this.#name = null;
    this.#value = [];
  }

  #closeStanza(done: Stanza[]): string | null {
    this.#closeField();
    this.#length = 0;
    if (this.#fields.size === 0) return null;
    this.#stanzas += 1;
    if (this.#stanzas > this.#limits.maxStanzas) return `begins more than ${this.#limits.maxStanzas} paragraphs`;
    done.push({ line: this.#startLine, fields: this.#fields });
    this.#fields = new Map();
    return null;
  }

  #tooLong(): string {
    return `is in a paragraph of more than ${this.#limits.maxStanzaLength} characters`;
  }
}
