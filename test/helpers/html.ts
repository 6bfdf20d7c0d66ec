/** What a link scanner sees of a page: where it leads, and its forms. */

export interface FormField {
  readonly name: string;
  readonly value: string;
  /** `hidden`, `text`, `textarea`, `submit` … */
  readonly type: string;
}

export interface HtmlForm {
  readonly action: string;
  readonly method: string;
  readonly fields: readonly FormField[];
}

const unescaped = (text: string): string =>
  text
    .replace(/&#x([0-9a-f]+);/gi, (_, hex: string) => String.fromCodePoint(Number.parseInt(hex, 16)))
    .replace(/&#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)))
    .replaceAll('&quot;', '"')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&');

const attribute = (tag: string, name: string): string | null => {
  const value = new RegExp(`\\s${name}="([^"]*)"`, 'i').exec(tag)?.[1];
  return value === undefined ? null : unescaped(value);
};

/** Every address in links, forms, images, style sheets, and bare in the text. */
export function addressesIn(text: string): string[] {
  const quoted = [...text.matchAll(/\s(?:href|src|action|formaction)="([^"]*)"/gi)].map((m) => unescaped(m[1] ?? ''));
  const bare = [...text.matchAll(/https?:\/\/[^\s"'<>)]+/g)].map((m) => unescaped(m[0]));
  return [...new Set([...quoted, ...bare])];
}

export function formsIn(html: string): HtmlForm[] {
  return [...html.matchAll(/<form\b[^>]*>([\s\S]*?)<\/form>/gi)].map(([whole, inside = '']) => {
    const open = /<form\b[^>]*>/i.exec(whole)?.[0] ?? '';
    const tags = [...inside.matchAll(/<(input|button|textarea|select)\b[^>]*>/gi)];
    return {
      action: attribute(open, 'action') ?? '',
      method: (attribute(open, 'method') ?? 'get').toUpperCase(),
      fields: tags.flatMap(([tag, element = '']) => {
        const name = attribute(tag, 'name');
        const type = attribute(tag, 'type') ?? (element.toLowerCase() === 'input' ? 'text' : element.toLowerCase());
        return name === null ? [] : [{ name, type, value: attribute(tag, 'value') ?? '' }];
      }),
    };
  });
}

/** Plain text of a page, for a person's eyes. */
export function visibleText(html: string): string {
  return unescaped(html.replace(/<[^>]+>/g, ' ')).replace(/\s+/g, ' ');
}
