/** Reads the words of an HTML comment. Not a browser: only good enough that a line of its own stays a line. */

const BREAKS = /<(?:br|\/p|\/div|\/li|\/tr|\/h[1-6]|\/pre)\b[^>]*>/gi;
const QUOTED = /<blockquote\b[\s\S]*?(?:<\/blockquote>|$)/gi;
const UNSEEN = /<(script|style|head)\b[\s\S]*?(?:<\/\1>|$)|<!--[\s\S]*?(?:-->|$)/gi;
const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ' };

/** Plain text of some HTML: quoted parts and what nobody sees left out. */
export function textOfHtml(html: string): string {
  return html
    .replace(UNSEEN, '')
    .replace(QUOTED, '\n')
    .replace(BREAKS, '\n')
    .replace(/<[^>]*>/g, '')
    .replace(/&(?:#(\d{1,6})|#x([0-9a-f]{1,5})|([a-z]{2,6}));/gi, (whole, decimal, hex, name) => {
      if (name !== undefined) return ENTITIES[String(name).toLowerCase()] ?? whole;
      const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
      return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
    });
}
